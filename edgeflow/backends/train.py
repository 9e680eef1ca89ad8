"""PaddleSlim's pruning, and fine-tuning by distillation: a program learns the outputs of its float original, without labels.

Everything happens on programs loaded from files, so it needs none of the user's code and never touches his model.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.backends import paddle as paddle_backend
from edgeflow.backends.need import need
from edgeflow.core.arrays import Array, load_npz, save_npz
from edgeflow.core.errors import CompressFailed, EdgeflowError
from edgeflow.core.settings import FineTuneSettings

CRITERIA = {"l1": "l1_norm", "fpgm": "geometry_median"}
PREFIX = "ft_"
"""Of the variables that training adds: counters that start anew would collide with those in the file."""

HELD_OUT = 0.1
"""Share of the samples that the loss is validated on."""

SAMPLES_MIN = 20
MIXUP_ALPHA = 0.5
"""Of the Beta distribution that the shares are drawn from: most blends stay close to one of the two."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What fine-tuning reached: mean squared error over the teacher's variance, on samples held out."""

    epochs: int
    loss_before: float
    loss_after: float
    stopped_early: bool
    resumed_at: int


def prune(prefix: Path, out: Path, ratios: Mapping[str, float], *, criterion: str, skip: Collection[str] = ()) -> dict[str, Any]:
    """Take whole channels out of convolutions; the shapes of everything after them follow.

    Args:
        ratios: share of the output channels to take, by the name of the weight.
        criterion: `l1`, `l2` or `fpgm`.
        skip: weights that keep their channels, and with them every layer that residual sums couple to them.

    Returns:
        `macs_before` and `macs_after` as PaddleSlim counts them.

    Raises:
        CompressFailed: a ratio would empty a layer, or PaddleSlim's bookkeeping of the shapes does not add up.
    """
    paddle = paddle_backend.paddle()
    slim, analysis = need("paddleslim.prune", "build"), need("paddleslim.analysis", "build")
    recover = need("paddleslim.common.recover_program", "build")
    logging.getLogger("paddleslim").setLevel(logging.ERROR)
    with _static(paddle) as (executor, place, scope), paddle.static.scope_guard(scope), paddle.utils.unique_name.guard(PREFIX):
        program, feeds, fetches = paddle.static.load_inference_model(str(prefix), executor)
        names = [var.name for var in fetches]
        recover._remove_fetch_node(program)
        for name, ratio in ratios.items():
            channels = np.asarray(scope.find_var(name).get_tensor()).shape[0]
            if not 0 <= ratio < 1 or channels - round(channels * ratio) < 1:
                raise CompressFailed(f"pruning {ratio:.0%} of {name!r} would leave none of its {channels} channels",
                                     try_="a smaller ratio under [compress]")
        ratios = _uncoupled(program, ratios, skip)
        before = analysis.flops(program)
        chosen: Any = CRITERIA.get(criterion, _l2)
        with _quiet():
            pruned, _, _ = _pruner(slim)(chosen).prune(program, scope, list(ratios), list(ratios.values()), place=place)
        block = pruned.global_block()
        for var in pruned.list_vars():
            held = scope.find_var(var.name) if var.persistable and var.name not in ("feed", "fetch") else None
            if held is not None and tuple(np.asarray(held.get_tensor()).shape) != tuple(var.shape):
                raise CompressFailed(f"PaddleSlim: pruning left {var.name!r} with shape {tuple(var.shape)} in the program and "
                                     "another in its weights", try_="leave the layers around it out of [compress] prune_skip")
        paddle.static.save_inference_model(str(out), [block.var(name) for name in feeds], [block.var(name) for name in names],
                                           executor, program=pruned)
        return {"macs_before": int(before), "macs_after": int(analysis.flops(pruned))}


def _uncoupled(program: Any, ratios: Mapping[str, float], skip: Collection[str]) -> dict[str, float]:
    """The ratios without any layer that loses its channels together with a skipped one."""
    with _quiet():
        graph = need("paddleslim.core", "build").GraphWrapper(program.clone())
        groups = list(need("paddleslim.prune.collections", "build").StaticPruningCollections([*ratios, *skip], graph))
    coupled: set[str] = set()
    for group in groups:
        names = {detail.name for detail in group.all_pruning_details() if detail.axis == 0}
        coupled |= names if names & set(skip) else set()
    return {name: ratio for name, ratio in ratios.items() if name not in coupled and name not in skip}


def fine_tune(
    student: Path, teacher: Path, out: Path, samples: Mapping[str, Array], settings: FineTuneSettings, *, seed: int,
    checkpoint: Path, quantise: Mapping[str, Any] | None = None, sparsity: float = 0.0, say: Say | None = None,
) -> Tuned:
    """Train a program to give its teacher's outputs.

    Args:
        samples: inputs by name, [samples, ...]; labels are not needed.
        checkpoint: an .npz that a killed run goes on from; removed when done.
        quantise: PaddleSlim's configuration for quantisation-aware training; None trains in float.
        sparsity: share of the weights of 1x1 convolutions held at zero.
        say: told of each epoch, with the time that is left.

    Raises:
        CompressFailed: the loss is not finite (the best weights so far are in the checkpoint), or PaddleSlim gave up.
    """
    paddle = paddle_backend.paddle()
    say = say or (lambda _: None)
    need("paddleslim.common.recover_program", "build")
    logging.getLogger("paddleslim").setLevel(logging.ERROR)
    paddle.seed(seed)
    try:
        with _static(paddle) as (executor, place, scope):
            loop = _Loop(paddle, executor, place, scope, student, teacher, settings, quantise, sparsity, samples, seed)
            return loop.run(out, checkpoint, say)
    except EdgeflowError:
        raise
    except Exception as err:
        lines = [line for line in str(err).splitlines() if line.strip()]
        raise CompressFailed(f"fine-tuning failed ({type(err).__name__}: {lines[-1].strip() if lines else ''})",
                             try_="the same recipe without [compress.fine_tune]") from err


class _Loop:
    """One training: the programs, then epochs with validation, early stopping and checkpoints."""

    def __init__(self, paddle: Any, executor: Any, place: Any, scope: Any, student: Path, teacher: Path,
                 settings: FineTuneSettings, quantise: Mapping[str, Any] | None, sparsity: float,
                 samples: Mapping[str, Array], seed: int) -> None:
        self.samples, self.seed, count = samples, seed, len(next(iter(samples.values())))
        if count < SAMPLES_MIN:
            raise CompressFailed(f"fine-tuning: {count} calibration samples are too few",
                                 try_=f"give at least {SAMPLES_MIN} under [data]")
        order = np.random.default_rng(seed).permutation(count)
        held = max(1, int(count * HELD_OUT))
        self.training, self.validation = order[held:], order[:held]
        self.paddle, self.executor, self.place, self.scope = paddle, executor, place, scope
        self.settings, self.quantise = settings, dict(quantise) if quantise else None
        recover = need("paddleslim.common.recover_program", "build")
        distil, slim = need("paddleslim.dist", "build"), need("paddleslim.quant", "build")
        teacher_scope = paddle.static.Scope()
        with paddle.static.scope_guard(scope), paddle.utils.unique_name.guard(PREFIX), _quiet():
            program, self.feeds, fetches = paddle.static.load_inference_model(str(student), executor)
            self.outputs = [var.name for var in fetches]
            with paddle.static.scope_guard(teacher_scope):
                original, _, wanted = paddle.static.load_inference_model(str(teacher), executor)
                # Before the merge, which renames the teacher's variables.
                self.wanted = self._outputs(original, [var.name for var in wanted])
            # The startup program that this fills would overwrite every weight: it is thrown away.
            recover.recover_inference_program(program, paddle.static.Program())
            self.test = program.clone(for_test=True)
            distil.merge(original, program, {name: name for name in self.feeds}, place, scope=scope, teacher_scope=teacher_scope)
            startup = paddle.static.Program()
            with paddle.static.program_guard(program, startup):
                pairs = zip(wanted, self.outputs, strict=True)
                parts = [distil.l2(f"teacher_{a.name}", b, program) for a, b in pairs]
                self.loss = parts[0] if len(parts) == 1 else paddle.add_n(parts)
                self.schedule = _Schedule(settings)
                optimizer = paddle.optimizer.Adam(settings.learning_rate)
                plain = optimizer
                if settings.amp and paddle_backend.has_gpu():
                    optimizer = paddle.static.amp.decorate(optimizer, use_dynamic_loss_scaling=True)
                optimizer.minimize(self.loss)
                self.rate = plain._global_learning_rate(program).name  # a variable: the schedule sets it before each step
            executor.run(startup)
            self.sparse = None
            if sparsity:
                skip = _not_pointwise
                self.sparse = need("paddleslim.prune", "build").UnstructuredPruner(
                    program, mode="ratio", ratio=sparsity, scope=scope, place=place, skip_params_func=skip, local_sparsity=True)
                self.sparse.step()
                self.sparse.update_params()
            if self.quantise:
                self.test = slim.quant_aware(self.test, place, self.quantise, scope=scope, for_test=True)
                program = slim.quant_aware(program, place, self.quantise, scope=scope, for_test=False, return_program=True)
            self.program = program

    def run(self, out: Path, checkpoint: Path, say: Say) -> Tuned:
        settings = self.settings
        with self.paddle.static.scope_guard(self.scope):
            first, waited, last, stopped = 0, 0, settings.epochs, False
            before = best = self._validate()
            kept = self._weights()
            if checkpoint.exists():
                first, best, before, kept = self._resume(checkpoint)
            since = time.monotonic()
            for epoch in range(first, settings.epochs):
                self._epoch(np.random.default_rng((self.seed, epoch)).permutation(self.training), epoch)
                loss = self._validate()
                if not math.isfinite(loss):
                    raise CompressFailed(f"fine-tuning: the loss is {loss} after epoch {epoch + 1}; best so far: {checkpoint}",
                                         try_=f"learning_rate = {settings.learning_rate / 10:g} under [compress.fine_tune]")
                waited = 0 if loss < best else waited + 1
                if loss < best:
                    best, kept = loss, self._weights()
                save_npz(checkpoint, {**{f"w/{k}": v for k, v in kept.items()}, "state": np.asarray([epoch + 1, best, before])})
                left = (time.monotonic() - since) / (epoch - first + 1) * (settings.epochs - epoch - 1)
                say(f"epoch {epoch + 1}/{settings.epochs}, loss {loss:.4g} (best {best:.4g}), {left:.0f} s left")
                if waited >= settings.patience:
                    last, stopped = epoch + 1, True
                    break
            self._restore(kept)
            self._save(out)
            checkpoint.unlink(missing_ok=True)
        return Tuned(last, float(before), float(best), stopped, first)

    def _epoch(self, order: Array, epoch: int) -> None:
        size = min(self.settings.batch, len(order))
        steps = max(len(order) // size, 1)
        for step in range(steps):
            feed = self._mixed(order[step * size:(step + 1) * size], np.random.default_rng((self.seed, epoch, step)))
            rate = self.schedule.at(epoch + step / steps)
            self.scope.find_var(self.rate).get_tensor().set(np.asarray([rate], np.float32), self.place)
            self.executor.run(self.program, feed=feed, fetch_list=[])
            if self.sparse is not None:
                self.sparse.step()
        if self.sparse is not None:
            self.sparse.update_params()

    def _mixed(self, chosen: Array, random: np.random.Generator) -> dict[str, Array]:
        """Samples blended in pairs: the teacher answers for them too, so a small set goes further.

        Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (arXiv 1710.09412), without its labels.
        """
        feed = self._feed(chosen)
        if self.settings.mixup:
            share = random.beta(MIXUP_ALPHA, MIXUP_ALPHA, len(chosen)).astype(np.float32)
            partner = random.permutation(len(chosen))
            for name, array in feed.items():
                if array.dtype == np.float32:
                    weight = share.reshape(-1, *[1] * (array.ndim - 1))
                    feed[name] = weight * array + (1 - weight) * array[partner]
        return feed

    def _feed(self, chosen: Array) -> dict[str, Array]:
        return {name: self.samples[name][chosen] for name in self.feeds}

    def _outputs(self, program: Any, names: Sequence[str]) -> list[Array]:
        """Outputs on the samples held out."""
        size = self.settings.batch
        parts = [self.executor.run(program, feed=self._feed(self.validation[start:start + size]), fetch_list=list(names))
                 for start in range(0, len(self.validation), size)]
        return [np.concatenate([np.asarray(part[k]) for part in parts]) for k in range(len(names))]

    def _validate(self) -> float:
        """Mean squared error over the teacher's variance, the mean of all outputs."""
        got = self._outputs(self.test, self.outputs)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.mean([((a - b) ** 2).mean() / max(float(b.var()), 1e-12)
                                  for a, b in zip(got, self.wanted, strict=True)]))

    def _persistables(self) -> list[str]:
        held = {var.name: self.scope.find_var(var.name) for var in _program(self.test).list_vars()
                if var.persistable and var.name not in ("feed", "fetch")}
        return sorted(name for name, var in held.items() if var is not None and var.get_tensor()._is_initialized())

    def _weights(self) -> dict[str, Array]:
        return {name: np.array(self.scope.find_var(name).get_tensor()) for name in self._persistables()}

    def _restore(self, weights: Mapping[str, Array]) -> None:
        for name, array in weights.items():
            self.scope.find_var(name).get_tensor().set(array, self.place)

    def _resume(self, checkpoint: Path) -> tuple[int, float, float, dict[str, Array]]:
        arrays = load_npz(checkpoint)
        weights = {name[2:]: array for name, array in arrays.items() if name.startswith("w/")}
        if set(weights) != set(self._persistables()) or "state" not in arrays:
            raise CompressFailed(f"{checkpoint}: is a checkpoint of another model", try_="delete it, and build again")
        self._restore(weights)
        epoch, best, before = arrays["state"]
        return int(epoch), float(best), float(before), weights

    def _save(self, out: Path) -> None:
        program = self.test
        if self.quantise:
            self._outputs(program, self.outputs)  # scales settle in a forward pass
            with _quiet():
                program = need("paddleslim.quant", "build").convert(program, self.place, self.quantise, scope=self.scope)
        block = program.global_block()
        self.paddle.static.save_inference_model(
            str(out), [block.var(name) for name in self.feeds], [block.var(name) for name in self.outputs], self.executor,
            program=program)


def _program(program: Any) -> Any:
    """The program behind a compiled one, as quant_aware returns it."""
    return getattr(program, "_program", program)


@dataclass(frozen=True)
class _Schedule:
    """Linear warm-up, then half a cosine to zero."""

    settings: FineTuneSettings

    def at(self, epoch: float) -> float:
        s = self.settings
        if epoch < s.warm_up:
            return s.learning_rate * (epoch + 0.1) / (s.warm_up + 0.1)
        done = (epoch - s.warm_up) / max(s.epochs - s.warm_up, 1e-9)
        return s.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _pruner(slim: Any) -> Any:
    class Pruner(slim.Pruner):  # type: ignore[misc]
        """PaddleSlim 2.6.0 repeats the index where flatten meets a fully connected layer, and takes the wrong rows."""

        def _transform(self, items: Sequence[Any]) -> list[Any]:
            found = []
            for name, axis, source, transforms in items:
                index = source
                for transform in transforms:
                    if set(transform) == {"stride"}:
                        stride = transform["stride"]
                        index = (np.asarray(index)[:, None] * stride + np.arange(stride)).reshape(-1)
                    else:
                        ((_, _, index),) = super()._transform([(name, axis, index, [transform])])
                found.append((name, axis, np.asarray(index, dtype=np.int64)))
            return found

    return Pruner


def _l2(group: Any, values: Mapping[str, Array], graph: Any) -> dict[str, dict[int, Array]]:
    """The Euclidean norm of each channel, a criterion that PaddleSlim's static pruner has not."""
    scores: dict[str, dict[int, Array]] = {}
    for detail in group.all_pruning_details():
        if detail.name in values:
            array = np.asarray(values[detail.name], np.float64)
            axes = tuple(k for k in range(array.ndim) if k != detail.axis)
            scores.setdefault(detail.name, {})[detail.axis] = np.sqrt((array ** 2).sum(axis=axes))
    return scores


def _not_pointwise(program: Any) -> set[str]:
    """Names of all parameters but the weights of 1x1 convolutions: only these have sparse kernels on ARM."""
    block = program.global_block()
    filters = [op.input("Filter")[0] for op in block.ops if op.type == "conv2d"]
    pointwise = {name for name in filters if not name.startswith("teacher_") and tuple(block.var(name).shape[2:]) == (1, 1)}
    return {var.name for var in program.all_parameters() if var.name not in pointwise}


@contextlib.contextmanager
def _static(paddle: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Static mode, an executor and a scope of our own."""
    paddle.enable_static()
    place = paddle.CUDAPlace(0) if paddle_backend.has_gpu() else paddle.CPUPlace()
    executor = paddle.static.Executor(place)
    try:
        yield executor, place, paddle.static.Scope()
    finally:
        executor.close()
        paddle.disable_static()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """PaddleSlim logs every layer."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)

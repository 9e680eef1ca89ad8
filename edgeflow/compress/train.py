"""Fine-tuning by distillation: a program learns the outputs of its float original, without labels.

Everything happens on programs loaded from files, so it needs none of the user's code and never touches his model.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import CompressFailed, EdgeflowError, last_line
from edgeflow.core.need import need
from edgeflow.core.ragged import is_ragged
from edgeflow.core.samples import Array
from edgeflow.core.settings import FineTuneSettings
from edgeflow.files.arrays import load_npz, save_npz
from edgeflow.paddle import session as paddle_backend
from edgeflow.paddle.static import quiet, static_mode

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


@dataclass(frozen=True, slots=True)
class Job:
    """One fine-tuning, in values that another process can be told.

    `student` learns the outputs of `teacher` on `samples` (an .npz of inputs by name; labels are not needed) and is
    written to `out`, program and parameters. `checkpoint` is an .npz that a killed run goes on from, to the same
    result; whoever asked removes it. `quantise`: PaddleSlim's configuration for quantisation-aware training, whose
    float weights go to `trained`; None trains in float. `sparsity`: share of the weights of 1x1 convolutions held at
    zero.
    """

    student: Path
    teacher: Path
    out: Path
    samples: Path
    checkpoint: Path
    settings: FineTuneSettings
    seed: int = 0
    quantise: Mapping[str, Any] | None = None
    trained: Path | None = None
    sparsity: float = 0.0


def train(job: Job, say: Say, together: Alone) -> Tuned:
    """The training itself, in each of the processes that work together; see fine_tune."""
    paddle = paddle_backend.paddle()
    need("paddleslim.common.recover_program", "build")
    logging.getLogger("paddleslim").setLevel(logging.ERROR)
    paddle.seed(job.seed)
    samples = load_npz(job.samples)
    fixed = paddle_backend.fixed_batch(job.teacher, samples)
    if fixed:
        if fixed < together.count:
            raise CompressFailed(
                f"fine-tuning: {together.count} processes cannot share the model's fixed batch of {fixed}",
                try_="processes = 1, or an input whose first dimension is -1",
            )
        job = replace(job, settings=replace(job.settings, batch=fixed))
    try:
        with static_mode(paddle) as (executor, place, scope):
            return _Loop(_Static(paddle, executor, place, scope), job, together, samples, fixed).run(say)
    except EdgeflowError:
        raise
    except Exception as err:
        raise CompressFailed(
            f"fine-tuning failed ({type(err).__name__}: {last_line(err)})",
            try_="the same recipe without [compress.fine_tune]",
        ) from err


class Alone:
    """One process: nothing to agree on. launch.Together is the same for several."""

    rank, count = 0, 1

    def average_gradients(self, program: Any, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Put the mean over all processes in place of each gradient."""

    def average_state(self, program: Any, executor: Any, names: Sequence[str]) -> None:
        """Put the mean over all processes in place of each variable."""


@dataclass(frozen=True, slots=True)
class _Static:
    """Paddle in static mode, with an executor and a scope of our own."""

    paddle: Any
    executor: Any
    place: Any
    scope: Any


def _split(count: int, fixed: int, seed: int) -> tuple[Array, Array]:
    """Which samples are trained on, and which are held out to validate on; whole batches where the batch is fixed."""
    if count < SAMPLES_MIN:
        raise CompressFailed(
            f"fine-tuning: {count} calibration samples are too few", try_=f"give at least {SAMPLES_MIN} under [data]"
        )
    order = np.random.default_rng(seed).permutation(count)
    held = max(1, int(count * HELD_OUT))
    if fixed:
        held = -(-held // fixed) * fixed
        if count - held < fixed:
            raise CompressFailed(
                f"fine-tuning: {count} samples are too few for a fixed batch of {fixed}",
                try_=f"give at least {SAMPLES_MIN + 2 * fixed} under [data]",
            )
    return order[held:], order[:held]


class _Loop:
    """One training: the programs, then epochs with validation, early stopping and checkpoints."""

    def __init__(self, static: _Static, job: Job, together: Alone, samples: Mapping[str, Array], fixed: int) -> None:
        self.paddle, self.executor, self.place, self.scope = static.paddle, static.executor, static.place, static.scope
        self.job, self.settings, self.together, self.samples = job, job.settings, together, samples
        self.quantise = dict(job.quantise) if job.quantise else None
        if any(map(is_ragged, samples.values())):
            raise CompressFailed(
                "fine-tuning: its samples are of several sizes, and batches want one",
                try_="training = samples of one size under [data], such as crops or padded lines",
            )
        self.training, self.validation = _split(len(next(iter(samples.values()))), fixed, job.seed)
        names = self.paddle.utils.unique_name.guard(PREFIX)
        with self.paddle.static.scope_guard(self.scope), names, quiet():
            program, wanted = self._merged()
            self._learning(program, wanted)
            self.sparse = self._sparsity(program)
            self.trained = self.test
            self.program = _program(self._quantised(program))
            if not paddle_backend.has_gpu():
                paddle_backend.through_onednn(self.program)

    def _merged(self) -> tuple[Any, list[Any]]:
        """Student and teacher in one program, and the teacher's outputs in it."""
        paddle, job = self.paddle, self.job
        recover, distil = need("paddleslim.common.recover_program", "build"), need("paddleslim.dist", "build")
        load = paddle_backend.load_inference
        program, self.feeds, fetches = load(job.student, self.executor)
        floats = [k for k, var in enumerate(fetches) if "float" in paddle.base.data_feeder.convert_dtype(var.dtype)]
        if not floats:
            raise CompressFailed(
                "fine-tuning: no output is a float that could be learned",
                try_="export the model without its last argmax, or leave fine-tuning out",
            )
        self.fetches, self.outputs = [var.name for var in fetches], [fetches[k].name for k in floats]
        teacher_scope = paddle.static.Scope()
        with paddle.static.scope_guard(teacher_scope):
            original, _, fetches = load(job.teacher, self.executor)
            wanted = [fetches[k] for k in floats]
            # Before the merge, which renames the teacher's variables.
            self.wanted = self._outputs(original, [var.name for var in wanted])
        # The startup program that this fills would overwrite every weight: it is thrown away.
        recover.recover_inference_program(program, paddle.static.Program())
        self.test = program.clone(for_test=True)
        same = {name: name for name in self.feeds}
        distil.merge(original, program, same, self.place, scope=self.scope, teacher_scope=teacher_scope)
        return program, wanted

    def _learning(self, program: Any, wanted: list[Any]) -> None:
        """Loss and optimizer."""
        paddle, distil, startup = self.paddle, need("paddleslim.dist", "build"), self.paddle.static.Program()
        with paddle.static.program_guard(program, startup):
            pairs = zip(wanted, self.outputs, strict=True)
            parts = [distil.l2(f"teacher_{a.name}", b, program) for a, b in pairs]
            self.loss = parts[0] if len(parts) == 1 else paddle.add_n(parts)
            self.schedule = _Schedule(self.settings)
            optimizer = plain = paddle.optimizer.Adam(self.settings.learning_rate)
            if self.settings.amp and paddle_backend.has_gpu():
                optimizer = paddle.static.amp.decorate(optimizer, use_dynamic_loss_scaling=True)
            gradients = optimizer.backward(self.loss)
            self.together.average_gradients(program, gradients)
            optimizer.apply_gradients(gradients)
            # A variable: the schedule sets it before each step.
            self.rate = plain._global_learning_rate(program).name
        self.executor.run(startup)

    def _sparsity(self, program: Any) -> Any:
        """What holds the smallest weights of 1x1 convolutions at zero; None where none are to be."""
        if not self.job.sparsity:
            return None
        pruner = need("paddleslim.prune", "build").UnstructuredPruner(
            program,
            mode="ratio",
            ratio=self.job.sparsity,
            scope=self.scope,
            place=self.place,
            skip_params_func=_not_pointwise,
            local_sparsity=True,
        )
        pruner.step()
        pruner.update_params()
        return pruner

    def _quantised(self, program: Any) -> Any:
        """The program to train: with fake quantisation where that is what is trained."""
        if not self.quantise:
            return program
        aware = need("paddleslim.quant", "build").quant_aware
        self.test = aware(self.test, self.place, self.quantise, scope=self.scope, for_test=True)
        return aware(program, self.place, self.quantise, scope=self.scope, for_test=False, return_program=True)

    def run(self, say: Say) -> Tuned:
        settings, checkpoint, first_of_all = self.settings, self.job.checkpoint, self.together.rank == 0
        with self.paddle.static.scope_guard(self.scope):
            first, waited = 0, 0
            before = best = self._validate()
            kept = self._weights()
            if checkpoint.exists():
                first, waited, best, before, kept = self._resume(checkpoint)
            last, since = first, time.monotonic()
            for epoch in range(first, settings.epochs):
                if waited >= settings.patience:
                    break
                self._epoch(np.random.default_rng((self.job.seed, epoch)).permutation(self.training), epoch)
                self.together.average_state(self.test, self.executor, self._statistics())
                loss = self._validate()
                if not math.isfinite(loss):
                    held = f"; the best weights so far are kept in {checkpoint}" if checkpoint.exists() else ""
                    raise CompressFailed(
                        f"fine-tuning: the loss is {loss} after epoch {epoch + 1}{held}",
                        try_=f"learning_rate = {settings.learning_rate / 10:g} under [compress.fine_tune]",
                    )
                waited = 0 if loss < best else waited + 1
                if loss < best:
                    best, kept = loss, self._weights()
                if first_of_all:
                    state = np.asarray([epoch + 1, waited, best, before])
                    save_npz(
                        checkpoint,
                        {
                            **{f"w/{k}": v for k, v in kept.items()},
                            "state": state,
                            **{f"now/{k}": v for k, v in self._arrays(self._moving()).items()},
                        },
                    )
                left = (time.monotonic() - since) / (epoch - first + 1) * (settings.epochs - epoch - 1)
                say(f"epoch {epoch + 1}/{settings.epochs}, loss {loss:.4g} (best {best:.4g}), {left:.0f} s left")
                last = epoch + 1
            self._restore(kept)
            if first_of_all:
                self._save(self.job.out)
        return Tuned(last, float(before), float(best), waited >= settings.patience, first)

    def _epoch(self, order: Array, epoch: int) -> None:
        batches = _Batches(self, order, epoch)
        dataset = _dataset(self.paddle, batches)
        loader = self.paddle.io.DataLoader(
            dataset,
            places=[self.place],
            feed_list=[self._variable(name) for name in self.feeds],
            batch_size=None,
            shuffle=False,
            return_list=False,
            num_workers=self.settings.workers,
        )
        for step, feed in enumerate(loader):
            rate = self.schedule.at(epoch + step / batches.steps)
            self.scope.find_var(self.rate).get_tensor().set(np.asarray([rate], np.float32), self.place)
            self.executor.run(self.program, feed=feed, fetch_list=[])
            if self.sparse is not None:
                self.sparse.step()
        if self.sparse is not None:
            self.sparse.update_params()

    def _variable(self, name: str) -> Any:
        return self.program.global_block().var(name)

    def _statistics(self) -> list[str]:
        """What a forward pass moves, such as the means of batch norms and activation ranges: each process sees its
        own.
        """
        trained = {var.name for var in self.program.all_parameters() if var.trainable}
        return [name for name in self._persistables() if name not in trained]

    def _feed(self, chosen: Array) -> dict[str, Array]:
        return {name: self.samples[name][chosen] for name in self.feeds}

    def _outputs(self, program: Any, names: Sequence[str]) -> list[Array]:
        """Outputs on the samples held out."""
        size = self.settings.batch
        parts = [
            self.executor.run(program, feed=self._feed(self.validation[start : start + size]), fetch_list=list(names))
            for start in range(0, len(self.validation), size)
        ]
        return [np.concatenate([np.asarray(part[k]) for part in parts]) for k in range(len(names))]

    def _validate(self) -> float:
        """Mean squared error over the teacher's variance, the mean of all outputs."""
        got = self._outputs(self.test, self.outputs)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(
                np.mean(
                    [((a - b) ** 2).mean() / max(float(b.var()), 1e-12) for a, b in zip(got, self.wanted, strict=True)]
                )
            )

    def _persistables(self) -> list[str]:
        return self._held(_program(self.test))

    def _held(self, program: Any) -> list[str]:
        held = {
            var.name: self.scope.find_var(var.name)
            for var in program.list_vars()
            if var.persistable and var.name not in ("feed", "fetch")
        }
        return sorted(name for name, var in held.items() if var is not None and var.get_tensor()._is_initialized())

    def _arrays(self, names: Sequence[str]) -> dict[str, Array]:
        return {name: np.array(self.scope.find_var(name).get_tensor()) for name in names}

    def _weights(self) -> dict[str, Array]:
        return self._arrays(self._persistables())

    def _moving(self) -> list[str]:
        """All that training changes, the optimiser's moments included; what the teacher holds stays as it is."""
        return [name for name in self._held(self.program) if not name.startswith("teacher_")]

    def _restore(self, weights: Mapping[str, Array]) -> None:
        for name, array in weights.items():
            self.scope.find_var(name).get_tensor().set(array, self.place)

    def _resume(self, checkpoint: Path) -> tuple[int, int, float, float, dict[str, Array]]:
        arrays = load_npz(checkpoint)
        weights = {name[2:]: array for name, array in arrays.items() if name.startswith("w/")}
        moving = {name[4:]: array for name, array in arrays.items() if name.startswith("now/")}
        if set(weights) != set(self._persistables()) or set(moving) != set(self._moving()) or "state" not in arrays:
            raise CompressFailed(f"{checkpoint}: is a checkpoint of another model", try_="delete it, and build again")
        self._restore(moving)
        epoch, waited, best, before = arrays["state"]
        return int(epoch), int(waited), float(best), float(before), weights

    def _save(self, out: Path) -> None:
        program = self.test
        if self.quantise:
            self._outputs(program, self.outputs)  # scales settle in a forward pass
            if self.job.trained is not None:
                self._write(self.job.trained, self.trained)  # before the weights become integers
            with quiet():
                program = need("paddleslim.quant", "build").convert(
                    program, self.place, self.quantise, scope=self.scope
                )
        self._write(out, program)

    def _write(self, out: Path, program: Any) -> None:
        block = program.global_block()
        self.paddle.static.save_inference_model(
            str(out),
            [block.var(name) for name in self.feeds],
            [block.var(name) for name in self.fetches],
            self.executor,
            program=program,
        )


class _Batches:
    """An epoch's batches of one process: a part of each whole batch, so that all processes together see what one
    would.
    """

    def __init__(self, loop: _Loop, order: Array, epoch: int) -> None:
        self.samples, self.feeds, self.order = loop.samples, loop.feeds, order
        self.mixup, self.key = loop.settings.mixup, (loop.job.seed, epoch)
        self.rank, self.count = loop.together.rank, loop.together.count
        self.size = min(loop.settings.batch, len(order))
        self.steps = max(len(order) // self.size, 1)

    def __getitem__(self, step: int) -> tuple[Array, ...]:
        chosen = self.order[step * self.size : (step + 1) * self.size]
        feed = {name: self.samples[name][chosen] for name in self.feeds}
        if self.mixup:
            _mix(feed, np.random.default_rng((*self.key, step)))
        return tuple(feed[name][self.rank :: self.count] for name in self.feeds)


def _mix(feed: dict[str, Array], random: np.random.Generator) -> None:
    """Blend samples in pairs: the teacher answers for them too, so a small set goes further.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (arXiv 1710.09412), without its labels.
    """
    count = len(next(iter(feed.values())))
    share = random.beta(MIXUP_ALPHA, MIXUP_ALPHA, count).astype(np.float32)
    partner = random.permutation(count)
    for name, array in feed.items():
        if array.dtype == np.float32:
            weight = share.reshape(-1, *[1] * (array.ndim - 1))
            feed[name] = weight * array + (1 - weight) * array[partner]


def _dataset(paddle: Any, batches: _Batches) -> Any:
    class Epoch(paddle.io.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return batches.steps

        def __getitem__(self, step: int) -> tuple[Array, ...]:
            return batches[step]

    return Epoch()


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


def _not_pointwise(program: Any) -> set[str]:
    """Names of all parameters but the weights of 1x1 convolutions: only these have sparse kernels on ARM."""
    block = program.global_block()
    filters = [op.input("Filter")[0] for op in block.ops if op.type == "conv2d"]
    pointwise = {
        name for name in filters if not name.startswith("teacher_") and tuple(block.var(name).shape[2:]) == (1, 1)
    }
    return {var.name for var in program.all_parameters() if var.name not in pointwise}

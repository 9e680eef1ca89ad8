"""PaddleSlim's structured pruning: whole channels of convolutions, with the shapes of everything after them."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import CompressFailed, EdgeflowError, last_line
from edgeflow.core.need import need
from edgeflow.core.samples import Array
from edgeflow.paddle import session as paddle_backend
from edgeflow.paddle.static import quiet, static_mode

TRY = "prune_skip under [compress]; edgeflow sensitivity --prune lists the layers"
CRITERIA = {"l1": "l1_norm", "fpgm": "geometry_median"}
PREFIX = "pr_"
"""Of the variables that pruning adds: counters that start anew would collide with those in the file."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """Multiplications of the model before and after, as PaddleSlim counts them."""

    macs_before: int
    macs_after: int


def prune(
    prefix: Path, out: Path, ratios: Mapping[str, float], *, criterion: str, skip: Collection[str] = ()
) -> Pruned:
    """Take whole channels out of convolutions; the shapes of everything after them follow.

    Args:
        ratios: share of the output channels to take, by the name of the weight.
        criterion: `l1`, `l2` or `fpgm`.
        skip: weights that keep their channels, and with them every layer that residual sums couple to them.

    Raises:
        CompressFailed: a ratio would empty a layer, or PaddleSlim's bookkeeping of the shapes does not add up.
    """
    paddle = paddle_backend.paddle()
    slim, analysis = need("paddleslim.prune", "build"), need("paddleslim.analysis", "build")
    logging.getLogger("paddleslim").setLevel(logging.ERROR)
    names_apart = paddle.utils.unique_name.guard(PREFIX)
    with static_mode(paddle) as (executor, place, scope), paddle.static.scope_guard(scope), names_apart, _clear():
        program, feeds, names = _opened(paddle, executor, prefix)
        ratios = _uncoupled(program, ratios, skip)
        for name, ratio in ratios.items():
            channels = np.asarray(scope.find_var(name).get_tensor()).shape[0]
            if not 0 <= ratio < 1 or channels - round(channels * ratio) < 1:
                raise CompressFailed(
                    f"pruning {ratio:.0%} of {name!r} would leave none of its {channels} channels",
                    try_="a smaller ratio under [compress]",
                )
        before = analysis.flops(program)
        chosen: Any = CRITERIA.get(criterion, _l2)
        with quiet():
            pruned, _, _ = _pruner(slim)(chosen).prune(program, scope, list(ratios), list(ratios.values()), place=place)
        block = pruned.global_block()
        for var in pruned.list_vars():
            held = scope.find_var(var.name) if var.persistable and var.name not in ("feed", "fetch") else None
            if held is not None and tuple(np.asarray(held.get_tensor()).shape) != tuple(var.shape):
                raise CompressFailed(
                    f"PaddleSlim: pruning left {var.name!r} with shape {tuple(var.shape)} in the program and "
                    "another in its weights",
                    try_="leave the layers around it out of [compress] prune_skip",
                )
        paddle.static.save_inference_model(
            str(out), [block.var(name) for name in feeds], [block.var(name) for name in names], executor, program=pruned
        )
        _validate_runs(paddle, executor, pruned, feeds, names)
        return Pruned(int(before), int(analysis.flops(pruned)))


@contextlib.contextmanager
def _clear() -> Iterator[None]:
    """What PaddleSlim makes of a graph that it does not see through, said as an error of ours."""
    _teach()
    try:
        yield
    except EdgeflowError:
        raise
    except Exception as err:
        raise CompressFailed(f"PaddleSlim: pruning failed ({type(err).__name__}: {last_line(err)})", try_=TRY) from err


def _opened(paddle: Any, executor: Any, prefix: Path) -> tuple[Any, list[str], list[str]]:
    """A program as PaddleSlim's walk needs it, with the names of its inputs and outputs."""
    program, feeds, fetches = paddle_backend.load_inference(prefix, executor)
    names = [var.name for var in fetches]
    need("paddleslim.common.recover_program", "build")._remove_fetch_node(program)
    _flatten(program)
    return program, feeds, names


def _flatten(program: Any) -> None:
    """A reshape that flattens all but the batch has the number of channels written into it: a flatten has not."""
    block = program.global_block()
    for op in block.ops:
        if op.type != "reshape2" or op.input("Shape") or op.input("ShapeTensor"):
            continue
        before, after = block.var(op.input("X")[0]).shape, block.var(op.output("Out")[0]).shape
        same = len(before) > 2 and len(after) == 2 and before[0] == after[0] and min(before[1:]) > 0
        if same and math.prod(before[1:]) == after[1]:
            op.desc.set_type("flatten_contiguous_range")
            op.desc.remove_attr("shape")
            op._set_attr("start_axis", 1)
            op._set_attr("stop_axis", len(before) - 1)


def _validate_runs(paddle: Any, executor: Any, program: Any, feeds: Sequence[str], names: Sequence[str]) -> None:
    """Shapes that do not follow show when the program runs, not in its file."""
    variables = [program.global_block().var(name) for name in feeds]
    if any(dim < 0 for var in variables for dim in var.shape[1:]):
        return  # a size that we made up may be one that it does not take
    feed = {
        var.name: np.zeros([abs(dim) for dim in var.shape], paddle.base.data_feeder.convert_dtype(var.dtype))
        for var in variables
    }
    try:
        executor.run(program, feed=feed, fetch_list=list(names))
    except Exception as err:
        raise CompressFailed(
            f"PaddleSlim: the pruned program does not run, as shapes did not follow somewhere ({last_line(err)})",
            try_=TRY,
        ) from err


def _uncoupled(program: Any, ratios: Mapping[str, float], skip: Collection[str]) -> dict[str, float]:
    """The ratios without any layer that loses its channels together with a skipped one."""
    with quiet():
        graph = need("paddleslim.core", "build").GraphWrapper(program.clone())
        groups = list(need("paddleslim.prune.collections", "build").StaticPruningCollections([*ratios, *skip], graph))
    free, coupled = set[str](), set(skip)
    for group in groups:
        names = {detail.name for detail in group.all_pruning_details() if detail.axis == 0}
        (coupled if names & set(skip) else free).update(names)
    return {name: ratio for name, ratio in ratios.items() if name in free - coupled}


def _teach() -> None:
    """PaddleSlim's walk over a graph stops silently at means and takes grouped convolutions for plain ones: two
    workers more.
    """
    workers = need("paddleslim.prune.prune_worker", "build")
    held = workers.PRUNE_WORKER.module_dict
    if held["conv2d"] is not workers.conv2d:
        return

    class reduce_mean(workers.PruneWorker):  # type: ignore[misc,name-defined]  # noqa: N801  (the name is the op's)
        """A mean over other axes keeps the channels; over the channels themselves, nothing before it can be pruned."""

        def _prune(self, var: Any, pruned_axis: int, transforms: Any) -> None:
            before, after = self.op.inputs("X")[0], self.op.outputs("Out")[0]
            rank = len(before.shape())
            gone = sorted({axis % rank for axis in self.op.attr("dim")})
            if self.op.attr("reduce_all") or (var == before and pruned_axis in gone):
                raise workers.UnsupportOpError(f"{self.op.type()} over the pruned axis")
            if var == before:
                axis = pruned_axis if self.op.attr("keep_dim") else pruned_axis - sum(k < pruned_axis for k in gone)
                self._visit_and_search(after, axis, transforms)
            else:
                kept = [k for k in range(rank) if self.op.attr("keep_dim") or k not in gone]
                self._visit_and_search(before, kept[pruned_axis], transforms)

    class conv2d(workers.conv2d):  # type: ignore[misc,name-defined]  # noqa: N801
        """Channels of groups would have to go evenly: not pruned, nor what feeds them."""

        def _prune(self, var: Any, pruned_axis: int, transforms: Any) -> None:
            if (self.op.attr("groups") or 1) > 1 and not self._is_depthwise_conv(self.op):
                raise workers.UnsupportOpError(f"{self.op.type()} of {self.op.attr('groups')} groups")
            super()._prune(var, pruned_axis, transforms)

    held["conv2d"] = conv2d
    workers.PRUNE_WORKER.register(reduce_mean)


@dataclass(frozen=True, slots=True)
class Cut:
    """What goes when a share of one convolution's channels goes: (parameter, axis, indices) of it and all that follow
    it.
    """

    name: str
    ratio: float
    parts: tuple[tuple[str, int, Array], ...]


def cuts(prefix: Path, names: Sequence[str], ratios: Sequence[float], *, criterion: str) -> list[Cut]:
    """Which weights `prune` would take for each layer and ratio, without taking them.

    Raises:
        CompressFailed: PaddleSlim gave up.
    """
    paddle = paddle_backend.paddle()
    slim, collections = need("paddleslim.prune", "build"), need("paddleslim.prune.collections", "build")
    graphs = need("paddleslim.core", "build")
    selector = need("paddleslim.prune.idx_selector", "build").IDX_SELECTOR.get("default_idx_selector")
    found = []
    with static_mode(paddle) as (executor, _, scope), paddle.static.scope_guard(scope), quiet(), _clear():
        program, _, _ = _opened(paddle, executor, prefix)
        graph = graphs.GraphWrapper(program)
        pruner = _pruner(slim)(CRITERIA.get(criterion, _l2))
        walk = collections.PruningCollections()
        leaves = walk._find_leaves(graph)  # the same for all layers, and nine tenths of the time of each walk
        for name in names:
            for group in walk.create_pruning_collections([name], graph, skip_vars=list(leaves), skip_leaves=False):
                values = {
                    var: np.array(held.get_tensor())
                    for var in group.variables()
                    if (held := scope.find_var(var)) is not None
                }
                scores = pruner.criterion(group, values, graph)
                for ratio in ratios:
                    items = pruner._transform(selector(group, scores, {name: ratio}))
                    found.append(
                        Cut(name, ratio, tuple((param, axis, np.asarray(index)) for param, axis, index in items))
                    )
    return found


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
            scores.setdefault(detail.name, {})[detail.axis] = np.sqrt((array**2).sum(axis=axes))
    return scores

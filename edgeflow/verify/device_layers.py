"""A device watched op by op: the first op whose kernel there computes otherwise than the emulator.

The device runs copies of the file that hand out intermediates, a slice of them at a time (nb.probe); a copy counts only
where the file's own outputs stay bit for bit what they were. Each op's result is then held to what the emulator makes
of the very values that the op read on the device, so that an error counts for the op that made it and for none after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgeflow import nb
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.samples import Array, batches
from edgeflow.deploy.runners import Where, find_runtime, open_runner, runs_programs
from edgeflow.emulate import Emulator
from edgeflow.emulate.single import int8_scales, single_op
from edgeflow.emulate.ties import EXACT, share_apart
from edgeflow.files.temporary import scratch
from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.partition import placement
from edgeflow.nb.probe import Point, points, probe
from edgeflow.project.reference import Reference
from edgeflow.report.record_parts import DeviceLayer, DeviceLook

SLICE_POINTS = 48
SLICE_BYTES = 1 << 25
"""Of intermediates in one copy: 32 MB beside what the model takes, which the smallest boards have."""

HALF = 4 * 2.0**-10
"""Share of the largest value by which float16 kernels may differ: four units in the last place."""

Run = Callable[[Path], Sequence[Array]]
"""Runs a file on the device with the same inputs each time; outputs in the file's order."""


def watch(model: Path, reference: Reference, where: Where, npu: str) -> DeviceLook:
    """Each op of a file on what runs it, over the first samples that fill its batch.

    Raises:
        see deploy.runners.open_runner, and watch_device.
    """
    feed = batches(dict(reference.inputs), nb.read(model).input_specs, 1)[0]
    # A copy has no manifest beside it: what is known of the file's device is found once, for all copies.
    folder = find_runtime(model, where.runtime, trust=where.trust).folder if runs_programs(where.on) else None

    def run(path: Path) -> list[Array]:
        with open_runner(path, replace(where, runtime=folder), npu) as runner:
            return list(runner.infer(feed).values())

    return watch_device(model, feed, run, npu=npu)


def watch_device(path: Path, feed: Mapping[str, Array], run: Run, *, npu: str = "float32") -> DeviceLook:
    """Run a file on a device piece by piece, and hold each op to the emulator.

    Args:
        feed: what `run` feeds, by name.

    Raises:
        TransportError: from `run`, for the file itself; a copy that dies is named among what was not watched.
    """
    model = nb.read(path)
    graph = nodes(model)
    with Emulator(model, npu=npu, threads=1) as emulator:
        seen = {(item.index, item.variable): item.array for item in emulator.dump(feed)}
    emulated = {
        value: seen[node.index, name]
        for node in graph
        for parameter, values in node.outputs.items()
        for value, name in zip(values, node.op.outputs[parameter], strict=True)
        if (node.index, name) in seen
    }
    own = list(run(path))
    fetches = sorted((node for node in graph if node.op.type == "fetch"), key=lambda node: int(node.op.attr("col", 0)))
    given = {**feed, **{node.reads[0]: array for node, array in zip(fetches, own, strict=True)}}
    lost = []
    with scratch() as folder:
        for part in _slices([point for point in points(model) if point.value in emulated], emulated):
            why = _hand_out(probe(model, part), folder / "watched.nb", own, run)
            if isinstance(why, str):
                lost.append(f"{part[0].node.op.type} {part[0].node.index} to {part[-1].node.index}: {why}")
            else:
                given |= {point.value: array for point, array in zip(part, why, strict=True)}
    rows = tuple(_rows(model, emulated, given, npu))
    return DeviceLook(rows, next((row.op for row in rows if row.state == "differs"), None), tuple(lost))


def _slices(watched: Sequence[Point], emulated: Mapping[str, Array]) -> Iterator[list[Point]]:
    part: list[Point] = []
    for point in watched:
        size = sum(emulated[other.value].nbytes for other in (*part, point))
        if part and (len(part) == SLICE_POINTS or size > SLICE_BYTES):
            yield part
            part = []
        part.append(point)
    if part:
        yield part


def _hand_out(model: nb.Model, path: Path, own: Sequence[Array], run: Run) -> list[Array] | str:
    """What a copy hands out beyond the file's own outputs, or why it does not count."""
    nb.write(model, path)
    try:
        found = list(run(path))
    except EdgeflowError as err:
        return err.what
    if any(not np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(own, found, strict=False)):
        return "looking changed the answer"
    return found[len(own) :]


def _rows(
    model: nb.Model, emulated: Mapping[str, Array], given: Mapping[str, Array], npu: str
) -> Iterator[DeviceLayer]:
    scales = {**int8_scales(model), **_npu_results(model, given)}
    entire: dict[str, float] = {}
    numbers = {id(item.node.op): item.number for item in placement(model).ops}
    for node in nodes(model):
        value = next((value for value in node.writes if value in given and value in emulated), None)
        if value is None or node.op.type in ("feed", "fetch"):
            continue
        alone = _alone(model, node, scales, given, npu)
        here = emulated[value] if alone is None else alone[0]
        there, scale = given[value], scales.get(value)
        if alone is not None and scale is not None and there.dtype == np.int8:
            there = there.astype(np.float32) * np.float32(scale)
        apart = share_apart(here, there)
        state: Literal["agrees", "ties", "unsure", "differs"] = "agrees" if apart <= _room(node, there) else "differs"
        if state == "differs" and alone is not None and scale is not None and _are_ties(here, there, scale, alone[1]):
            state = "ties"
        if state == "differs" and alone is None and any(entire.get(read, 0.0) > EXACT for read in node.reads):
            state = "unsure"
        entire[value] = share_apart(emulated[value], given[value])
        yield DeviceLayer(
            op=numbers.get(id(node.op), node.index),
            op_type=node.op.type,
            output=value,
            alone=alone is not None,
            error=apart,
            entire=entire[value],
            state=state,
        )


def _alone(
    model: nb.Model, node: Node, scales: Mapping[str, float], given: Mapping[str, Array], npu: str
) -> tuple[Array, int] | None:
    """What the emulator makes of an op's inputs as the device had them, and how many of its elements lie at a rounding
    tie; None where an input is not known, or the op only works within its graph.
    """
    data = {value: given[value] for value in node.reads if value in given}
    fed = {
        value: array.astype(np.float32) * np.float32(scales[value]) if value in scales else array
        for value, array in data.items()
    }
    try:
        one = single_op(model, node, scales, fed)
        if one is None:
            return None
        with Emulator(one, npu=npu, threads=1) as emulator:
            feed = {f"{value}/fed": array for value, array in fed.items()}
            found = next(iter(emulator.infer(feed).values()))
            at_tie = sum(int(mask.array.sum()) for mask in emulator.ties(feed))
    except EdgeflowError:
        return None
    return found, at_tie


def _room(node: Node, there: Array) -> float:
    kernel = node.op.kernel
    if there.dtype.kind != "f":
        return 0.0
    return HALF if kernel is not None and kernel.precision == "float16" else EXACT


def _npu_results(model: nb.Model, given: Mapping[str, Array]) -> dict[str, float]:
    """The scales of what NPU subgraphs gave in whole numbers."""
    return {
        value: float(scale)
        for node in nodes(model)
        if node.op.type == "subgraph"
        for index, value in enumerate(node.outputs.get("Outputs", ()))
        if value in given and given[value].dtype == np.int8
        for scale in node.op.numbers(f"Outputs{index}_scale")[:1]
    }


def _are_ties(here: Array, there: Array, scale: float, at_tie: int) -> bool:
    """Whether no element is more than one step away, and no more are than lie at a tie."""
    steps = np.abs(here.astype(np.float64) - there.astype(np.float64)) / scale
    moved = steps > 0.5  # of a step: what is less is float32's own rounding
    return here.shape == there.shape and bool(steps.max(initial=0.0) < 1.5) and int(moved.sum()) <= at_tie

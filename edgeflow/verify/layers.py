"""Layer by layer: what every op of a .nb adds to the drift, against the source program's own variables.

"entire" is the error of an op's result in the whole run, "single" its own error when it is fed the reference's values.
The outputs that are judged never come from here: looking cannot change the answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from edgeflow.core.errors import EdgeflowError
from edgeflow.core.layer_drift import Clue, Gathered, Sums, explain, widest
from edgeflow.core.ragged import cut, is_ragged
from edgeflow.core.samples import Array
from edgeflow.core.tensors import declared_batch
from edgeflow.emulate import Emulator
from edgeflow.emulate.single import int8_scales, npu_scales, single_op
from edgeflow.graph.layermap import layer_map
from edgeflow.graph.walk import ROOM, Run, Walk
from edgeflow.nb import Model
from edgeflow.nb.conversions import CALIBS, INSERTED, MOVES
from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.partition import placement, weight_name
from edgeflow.nb.summary import scales_of
from edgeflow.report.record_parts import Distance, FirstDrift, Layer
from edgeflow.verify.before_boxes import of_unknown_size, up_to

SAMPLES = 32
ELEMENTS_AT_ONCE = 1 << 24
"""Intermediate elements computed in one go through the ops, for which several samples go together. Of these no more
than graph.walk.ROOM are held at a time, beside what later ops read.
"""

ELEMENTS_MOST = 1 << 28
"""Intermediate elements looked at in all, 1 GB in float32: of samples that make more of them fewer are looked at, at
least one.
"""

QUIET_DB = 60.0
"""From here on up a difference is rounding of float32 or float16, and needs no explanation."""

FALL_DB = 6.0
"""Drift starts at an op whose result is so much worse than the worst of what it reads."""


@dataclass(frozen=True, slots=True)
class LayerDrift:
    """The ops in the file's order, their numbers with the worst first, and the op where drift starts; `stop` says what
    was not looked at, `samples` on how many they were seen.
    """

    layers: tuple[Layer, ...] = ()
    ranked: tuple[int, ...] = ()
    first_drift: FirstDrift | None = None
    stop: tuple[str, ...] = ()
    samples: int = 0


@dataclass
class _Probe:
    """One op that is looked at: where it stands, what it writes, and which source variable that should equal."""

    node: Node
    value: str
    source: str
    seen: Gathered
    needs: tuple[str, ...]
    """Source variables that it is compared with and fed."""
    ready: bool = False
    alone: Emulator | None = None
    feeds: tuple[str, ...] = ()


def layer_drift(
    model: Model,
    program: Any,
    inputs: Mapping[str, Array],
    run: Run,
    *,
    npu: str = "float32",
    samples: int = SAMPLES,
) -> LayerDrift:
    """Measure every op of a .nb that was traced to its source.

    Args:
        program: the source program, as the compress stage leaves it before compression.
        inputs: by name, [samples, ...]; the first `samples` are used, a few at a time; fewer where they are large.
        run: computes variables of a part of the source program.

    Returns:
        What docs/report.md calls `layers`, `ranked` and `first_drift`.
    """
    graph = nodes(model, nested=True)
    held = held_sources(model, program, graph)
    scales, moving = {**int8_scales(model), **npu_scales(model)}, of_unknown_size(graph)
    probes = [
        _Probe(node, node.writes[0], held[node.writes[0]], Gathered(), _needs(node, held))
        for node in graph
        if node.op.type not in ("feed", "fetch") and node.writes and node.writes[0] in held
        if not moving.intersection(node.writes)
    ]
    by_value, written = {probe.value: probe for probe in probes}, _written(model, graph)
    uses, sizes = Counter(name for probe in probes for name in probe.needs), dict[str, int]()
    count = min(samples, len(next(iter(inputs.values()))))
    batch = fixed = max(1, declared_batch(model.input_specs))
    count -= count % fixed
    # Samples of several sizes go one by one.
    open_batch = _batched(model) and not any(map(is_ragged, inputs.values()))
    # One thread: the same sums in the same order, whatever else the machine does.
    with Emulator(model, npu=npu, threads=1, arena=False) as whole:
        at = 0
        while at < count:
            (feed,) = cut({name: array[at : at + batch] for name, array in inputs.items()}, batch)
            source, left = Walk(program, feed, run, set(uses), sizes), Counter(uses)
            for value, array, steps in _values(whole, written, feed, scales):
                probe = by_value.get(value)
                if probe is None:
                    continue
                known = {name: source.value(name) for name in probe.needs}
                if known[probe.source].size == array.size:
                    limit = 127 * scales[value] if value in scales else None
                    probe.seen.see(known[probe.source], array, steps, limit)
                if not probe.ready:
                    _prepare(probe, model, scales, held, known, npu)
                _single(probe, held, known)
                left.subtract(probe.needs)
                for name in {name for name in probe.needs if left[name] <= 0}:
                    source.drop(name)
            at += batch
            size = source.elements // batch if at == batch else 0
            if at == batch:  # the first sample tells how large the others are
                count = max(at, min(count, ELEMENTS_MOST // max(size, 1)) // fixed * fixed)
                batch = max(1, min(count - at, ELEMENTS_AT_ONCE // max(size, 1))) if open_batch else fixed
    return replace(_table(model, probes, scales, held, graph), samples=count)


def _batched(model: Model) -> bool:
    """Several samples may go through at once: the file leaves the first dimension open."""
    return all(spec.shape[:1] == (-1,) for spec in model.input_specs)


def held_sources(model: Model, program: Any, graph: Sequence[Node] | None = None) -> dict[str, str]:
    """The source variable that each value of the .nb should equal."""
    graph = nodes(model, nested=True) if graph is None else graph
    mapped = {(item.block, item.op): item.sources for item in layer_map(model, program)}
    found = dict[str, str]({node.writes[0]: node.op.outputs["Out"][0] for node in graph if node.op.type == "feed"})
    for node in graph:
        sources = mapped.get((node.block, node.index), ())
        plain = [value for parameter, values in node.outputs.items() if parameter != "XShape" for value in values]
        if sources and len(plain) == 1:
            found[plain[0]] = sources[-1]
    return found


def _needs(node: Node, held: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((held[node.writes[0]], *(held[value] for value in node.reads if value in held))))


def _written(model: Model, graph: Sequence[Node]) -> dict[tuple[int, str], str]:
    """The value behind each variable that an op of block 0 writes, subgraphs included."""
    written: dict[tuple[int, str], str] = {}
    for node in graph:
        block_0 = (
            node.index
            if not node.block
            else next(
                i
                for i, op in enumerate(model.blocks[0].operations)
                if op.type == "subgraph" and op.attr("sub_block") == node.block
            )
        )
        for parameter, values in node.outputs.items():
            for value, name in zip(values, node.op.outputs[parameter], strict=True):
                written[block_0, name] = value
    return written


def _values(
    runner: Emulator,
    written: Mapping[tuple[int, str], str],
    feed: Mapping[str, Array],
    scales: Mapping[str, float],
) -> Iterator[tuple[str, Array, Array | None]]:
    """What each op wrote, as float; int8 tensors as whole numbers beside it."""
    for item in runner.dump(feed, room=ROOM):
        known = written.get((item.index, item.variable))
        if known is None:
            continue
        if known in scales and item.array.dtype == np.int8:
            yield known, item.array.astype(np.float32) * np.float32(scales[known]), item.array
        else:
            yield known, item.array, None


def _prepare(
    probe: _Probe,
    model: Model,
    scales: Mapping[str, float],
    held: Mapping[str, str],
    known: Mapping[str, Array],
    npu: str,
) -> None:
    probe.ready = True
    arrays = {value: known[held[value]] for value in probe.node.reads if value in held}
    if probe.node.op.type in MOVES:
        return
    try:
        alone = single_op(model, probe.node, scales, arrays)
        if alone is not None:
            probe.alone = Emulator(alone, npu=npu, threads=1, arena=False)
            probe.feeds = tuple(dict.fromkeys(value for value in probe.node.reads if value in held))
    except EdgeflowError:
        probe.alone = None  # such an op only works within its graph


def _single(probe: _Probe, held: Mapping[str, str], known: Mapping[str, Array]) -> None:
    reference = known[probe.source]
    for value in probe.feeds:
        probe.seen.input_channel_max = widest(probe.seen.input_channel_max, known[held[value]])
    if probe.alone is None:
        return
    try:
        got = probe.alone.infer({f"{value}/fed": known[held[value]] for value in probe.feeds})
    except EdgeflowError:
        probe.alone = None
        return
    array = next(iter(got.values()))
    if array.size == reference.size:
        probe.seen.single.add(reference, array)


def _table(
    model: Model,
    probes: Sequence[_Probe],
    scales: Mapping[str, float],
    held: Mapping[str, str],
    graph: Sequence[Node],
) -> LayerDrift:
    places = {id(item.node): item for item in placement(model, graph).ops}
    entire = {probe.value: probe.seen.entire.sqnr_db for probe in probes if probe.seen.entire.seen}
    clipped = {probe.value: probe.seen.clipped / max(probe.seen.entire.seen, 1) for probe in probes}
    rows: list[Layer] = []
    causes: list[tuple[Layer, float]] = []
    for probe in probes:
        node, seen, where = probe.node, probe.seen, places[id(probe.node)]
        if not seen.entire.seen:
            continue
        reason, why, fix = explain(seen, _clue(model, node, scales, clipped))
        loud = not min(seen.entire.sqnr_db, seen.single.sqnr_db if seen.single.seen else math.inf) >= QUIET_DB
        scale = scales.get(probe.value)
        rows.append(
            Layer(
                op=where.number,
                op_type=node.op.type,
                name=weight_name(model, node),
                output=probe.source,
                place=where.place,
                subgraph=where.subgraph,
                kernel="" if node.op.kernel is None else "/".join(astuple(node.op.kernel)),
                sources=(probe.source,),
                shape=tuple(seen.shape),
                entire=_distance(seen.entire),
                single=_distance(seen.single) if seen.single.seen else None,
                saturation=None if scale is None else seen.saturated / seen.entire.seen,
                range=(seen.low, seen.high),
                scale=scale,
                scale_range=None if scale is None else (-127 * scale, 127 * scale),
                nan=seen.nan,
                inf=seen.inf,
                reason=reason if loud else "",
                why=why if loud else "",
                fix=fix if loud and node.op.type not in INSERTED else "",
            )
        )
        reads = [entire[value] for value in node.reads if value in entire]
        causes.append((rows[-1], min(reads, default=math.inf)))
    ranked = sorted((row for row in rows if row.op_type not in INSERTED), key=_badness)
    return LayerDrift(tuple(rows), tuple(row.op for row in ranked), _first(causes), up_to(graph) if rows else ())


def _distance(sums: Sums) -> Distance:
    return Distance(sums.sqnr_db, sums.cosine, sums.max_abs)


def _entire_db(layer: Layer) -> float:
    return math.nan if layer.entire is None or layer.entire.sqnr_db is None else layer.entire.sqnr_db


def _badness(layer: Layer) -> tuple[float, int]:
    error = _entire_db(layer) if layer.single is None or layer.single.sqnr_db is None else layer.single.sqnr_db
    return (-math.inf if math.isnan(error) else error), layer.op


def _first(causes: Sequence[tuple[Layer, float]]) -> FirstDrift | None:
    """The first op whose result falls well below what it reads, towards the final error; else the one that adds
    most.
    """
    if not causes:
        return None
    last = _entire_db(causes[-1][0])
    if last >= QUIET_DB:
        return None

    def fallen(layer: Layer, reads: float) -> bool:
        got = _entire_db(layer)
        return math.isnan(got) or (
            got <= reads - FALL_DB and got <= (last if math.isfinite(last) else 0.0) + 2 * FALL_DB
        )

    found = next((layer for layer, reads in causes if fallen(layer, reads)), None)
    if found is None:
        own = [layer for layer, _ in causes if layer.single is not None]
        found = min(own or [layer for layer, _ in causes], key=_badness)
    return FirstDrift(found.op, found.name, found.reason, found.why, found.fix)


def _clue(model: Model, node: Node, scales: Mapping[str, float], clipped: Mapping[str, float]) -> Clue:
    op = node.op
    quantised = bool(op.attr("enable_int8", False)) or (op.type in CALIBS and bool(op.attr("scale")))
    weight = model.parameters.get(weight_name(model, node))
    ranges = None
    if weight is not None and len(weight.dims) >= 2 and quantised:
        array = np.abs(weight.array().astype(np.float32))
        ranges = (
            array.reshape(weight.dims[0], -1).max(1) if "conv" in op.type else array.reshape(weight.dims[0], -1).max(0)
        )
    of_weights = [s for name in ("Filter0_scale", "W0_scale", "Y0_scale") if (s := scales_of(op, name))]
    weight_scales = np.asarray(of_weights[0]) if of_weights else None
    inputs = next((s[0] for name in ("Input0_scale", "X0_scale") if (s := scales_of(op, name))), None)
    passed = max([clipped.get(value, 0.0) for value in node.reads], default=0.0)
    half = op.kernel is not None and op.kernel.precision == "float16"
    return Clue(
        weight_name(model, node) if not node.block else op.type,
        quantised,
        half,
        bool(node.block),
        passed,
        ranges,
        weight_scales,
        bool(op.attr("enable_int8", False)) and inputs is None,
    )

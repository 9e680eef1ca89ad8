"""What the page shows of a record beyond its own values: tiles, bars, table rows and the map's cells, worked out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeflow.core.drift import LIMITS
from edgeflow.report.bilingual import Both, joined, t, told
from edgeflow.report.charts import bounds, cumulated, interval, layers, reach, waterfall_row
from edgeflow.report.record import Record
from edgeflow.report.record_parts import Distance, Hop, Layer, Output, PlacedOp, Range
from edgeflow.report.values import figure, finite, percent, plain, sentence

COLOURS = 8
GROUPS_MAX = 40
COLUMNS = (
    ("max_abs", "max |diff|", 3),
    ("mean_abs", "mean |diff|", 3),
    ("cosine", "cosine", 7),
    ("sqnr_db", "SQNR dB", 4),
    ("psnr_db", "PSNR dB", 4),
    ("kl", "KL", 3),
    *((limit.drift, limit.what, 4) for limit in LIMITS if not limit.of_distance),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few numbers that matter, with what it is held against; `of` names what the note is about."""

    name: Both
    value: str | Both
    note: Both
    of: str = ""
    is_name: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of the outputs' table, and the limit below it."""

    key: str
    title: Both
    digits: int
    bound: str


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer in the table; `bar` is a chart, `reach` how far its range goes beyond what its scale holds."""

    layer: Layer
    is_anchor: bool
    is_first: bool
    rank: str
    told: str
    kind: str
    entire: Distance
    single: Distance
    held: Range | None
    box: Range | None
    bar: str
    reach: float | None
    wrong: int
    where: str


@dataclass(frozen=True, slots=True)
class Group:
    """The ops that run in one place."""

    where: str
    letter: str
    colour: str
    many: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One op of the map."""

    op: PlacedOp | Layer
    group: Group


def metric(value: float | None) -> str:
    """A metric, with four places; metrics lie between 0 and 1 more often than not."""
    found = finite(value)
    return figure(value) if found is None else f"{found + 0.0:.4f}".replace("-", "−")


def tiles(record: Record) -> list[Tile]:
    """The few numbers that matter."""
    found = [*_metric_tile(record), *_drift_tile(record)]
    first, latency = record.first_drift, record.predicted_latency_ms
    if first is not None:
        note = joined(f"op {first.op}", told(first.reason) if first.reason else t("no reason found"), by=": ")
        found.append(Tile(t("drift starts at"), first.name or "", note, is_name=True))
    if record.nb is not None and record.nb.bytes is not None:
        held = told(record.precision) if record.precision else t("unknown precision")
        found.append(Tile(t("size of the .nb"), t("{n} bytes", n=f"{record.nb.bytes:,}"), held))
    if latency is not None:
        spread = "" if finite(latency.error) is None else f"± {percent(latency.error)}"
        threads = t("{n} threads", n=latency.threads or 1) if latency.threads not in (None, 1) else t("1 thread")
        note = joined(joined(spread, plain(latency.chip), threads, by=", "), t("not measured"), by="; ")
        found.append(Tile(t("predicted latency"), f"{figure(latency.value, 3)} ms", note))
    if record.samples is not None:
        found.append(Tile(t("compared"), _samples(record.samples), told(record.runner)))
    return found


def _samples(many: int) -> Both:
    return t("1 sample") if many == 1 else t("{n} samples", n=f"{many:,}")


def _metric_tile(record: Record) -> list[Tile]:
    if record.metric_reference is None and record.metric_candidate is None:
        return []
    budget = record.limits.metric_drop_max if record.decision is None else record.decision.budget
    held = "" if budget is None else t("budget {budget}", budget=figure(budget))
    moved = f"{metric(record.metric_reference)} → {metric(record.metric_candidate)}"
    change = "" if record.drop is None else lost_or_gained(record.drop)
    return [Tile(told(record.metric) if record.metric else t("metric"), moved, joined(change, held, by=", "))]


def lost_or_gained(drop: float) -> Both:
    """What a metric lost, or gained, in words."""
    if drop == 0:
        return t("no loss")
    return joined(t("gain") if drop < 0 else t("loss"), figure(abs(drop), 3), by=" ")


def _drift_tile(record: Record) -> list[Tile]:
    known = [output for output in record.outputs if output.sqnr_db is not None]
    if not known:
        return []

    def badness(output: Output) -> float:
        value = output.sqnr_db
        return -math.inf if value is None or math.isnan(value) else value

    worst, limit = min(known, key=badness), record.limits.sqnr_db_min
    note = t("no limit set") if limit is None else t("limit {bound}", bound=f"≥ {figure(limit)} dB")
    value = t("no error (inf dB)") if worst.sqnr_db == math.inf else f"{figure(worst.sqnr_db)} dB"
    return [Tile(Both("SQNR", "") if len(known) == 1 else t("lowest SQNR"), value, note, of=worst.name or "–")]


def bars(record: Record) -> tuple[list[tuple[Hop, str]], bool]:
    """Each hop with its chart, and whether any of them costs the metric something."""
    hops = record.waterfall
    shares = cumulated([finite(hop.share) for hop in hops])
    losses = cumulated([finite(hop.metric_loss) for hop in hops])
    share_axis, loss_axis = bounds(shares), bounds(losses)
    drawn = [
        waterfall_row(share, share_axis, lost, loss_axis, not hop.available, _hop_label(hop))
        for hop, share, lost in zip(hops, shares, losses, strict=True)
    ]
    return list(zip(hops, drawn, strict=True)), any(losses)


def _hop_label(hop: Hop) -> str:
    return f"{sentence(hop.hop)}: share of the drift {percent(hop.share)}"


def interval_chart(record: Record) -> str:
    """The loss with its interval against the budget; empty where that has no ends."""
    found = record.decision
    if found is None:
        return ""
    low, high = (finite(bound) for bound in found.interval)
    return "" if low is None or high is None else interval(finite(found.drop), low, high, finite(found.budget))


def columns(record: Record) -> list[Column]:
    """The figures that any output has."""
    limits = {limit.drift: limit for limit in LIMITS}
    found = []
    for key, title, digits in COLUMNS:
        if any(getattr(output, key) is not None for output in record.outputs):
            limit = limits.get(key)
            bound = None if limit is None else getattr(record.limits, limit.key)
            side = "≥" if limit is not None and limit.at_least else "≤"
            found.append(Column(key, told(title), digits, "" if bound is None else f"{side} {figure(bound)}"))
    return found


def output_details(record: Record) -> list[Both]:
    """Boxes counted, and the parts of outputs that join several scales, as sentences."""
    said = []
    for output in record.outputs:
        for part in output.parts:
            figures = f"SQNR {figure(part.sqnr_db)} dB, cosine {figure(part.cosine, 7)}"
            said.append(joined(plain(output.name), ", ", told(part.where), ": ", figures))
        boxes = output.boxes
        if boxes is not None:
            counted = t(
                "{reference} boxes, the candidate {candidate}; over scores of {at}: {found} found, {missed} missed, "
                "{extra} extra; corners off by {corner}, scores by {score}; AP {ap}",
                reference=boxes.reference,
                candidate=boxes.candidate,
                at=", ".join(map(figure, boxes.at)),
                found=boxes.found,
                missed=boxes.missed,
                extra=boxes.extra,
                corner=figure(boxes.corner_error, 3),
                score=figure(boxes.score_error, 3),
                ap=figure(boxes.ap),
            )
            said.append(joined(plain(output.name), counted, by=": "))
    return said


def drifts(record: Record) -> list[tuple[str, Both | str, list[tuple[str, str]]]]:
    """Each output's name, what it is taken for and why, and its figures with how each stands to its limit."""
    states = {(judged.output, judged.limit.drift): judged.state for judged in record.judgements}
    return [
        (
            output.name or "",
            joined(told(output.kind), told(output.why), by=": ") if output.kind else "",
            [
                (figure(getattr(output, column.key), column.digits), states.get((plain(output.name), column.key), ""))
                for column in columns(record)
            ],
        )
        for output in record.outputs
    ]


def layer_plot(record: Record) -> str:
    """Both SQNRs over the ops."""
    first = None if record.first_drift is None else record.first_drift.op
    return layers(record.layers, first) if record.layers else ""


def layer_rows(record: Record) -> list[LayerRow]:
    """Every op of the table, in the file's order."""
    ranks = {op: str(rank) for rank, op in reversed(list(enumerate(record.ranked, 1)))}
    first = None if record.first_drift is None else record.first_drift.op
    seen: set[int] = set()
    found = []
    for layer in record.layers:
        held, box = _finite(layer.range), _finite(layer.scale_range)
        width = max(abs(v) for v in box) if box is not None else 0.0
        found.append(
            LayerRow(
                layer=layer,
                is_anchor=layer.op not in seen,
                is_first=layer.op == first,
                rank=ranks.get(layer.op, ""),
                told=_told(layer),
                kind=" · ".join(text for text in (plain(layer.op_type), _shape(layer.shape)) if text),
                entire=layer.entire or Distance(),
                single=layer.single or Distance(),
                held=held,
                box=box,
                bar=reach(held, box),
                reach=max(abs(v) for v in held) / width if held is not None and width else None,
                wrong=(layer.nan or 0) + (layer.inf or 0),
                where=_where(layer.place, layer.subgraph),
            )
        )
        seen.add(layer.op)
    return found


def _finite(found: Range | None) -> Range | None:
    return found if found is not None and all(map(math.isfinite, found)) else None


def _shape(shape: Sequence[int]) -> str:
    return "×".join(plain(n, 12) for n in shape[:8])


def _told(layer: Layer) -> str:
    said = [f"{key} {plain(value)}" for key, value in (("output", layer.output), ("kernel", layer.kernel)) if value]
    if layer.sources:
        more = " …" if len(layer.sources) > 8 else ""
        said.append(f"from {', '.join(plain(source, 80) for source in layer.sources[:8])}{more}")
    return "; ".join(said)


def _where(place: str | None, subgraph: int | None) -> str:
    """Place and subgraph, in words."""
    return (plain(place) or "–") + ("" if subgraph is None else f" · subgraph {subgraph}")


def cells(record: Record) -> tuple[list[Cell], list[Group]]:
    """Each op of the map, and the places they run in, in order of appearance."""
    ops: Sequence[PlacedOp | Layer] = (record.partition.ops if record.partition else ()) or record.layers
    where = [_where(op.place, op.subgraph) for op in ops]
    groups: Mapping[str, Group] = {
        name: Group(name, _letter(i), f"c{i % COLOURS}", many) for i, (name, many) in enumerate(Counter(where).items())
    }
    return [Cell(op, groups[name]) for op, name in zip(ops, where, strict=True)], list(groups.values())


def _letter(index: int) -> str:
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def split(record: Record) -> Both | str:
    """How many ops go where, in words."""
    found = record.partition
    if found is None or (found.npu_ops, found.cpu_ops, found.subgraphs) == (None, None, None):
        return ""
    npu, cpu, subgraphs = (figure(value) for value in (found.npu_ops, found.cpu_ops, found.subgraphs))
    return t(
        "{npu} ops for the NPU, {cpu} ops for the CPU, {subgraphs} NPU subgraphs", npu=npu, cpu=cpu, subgraphs=subgraphs
    )


def worst_first(value: float | None) -> str:
    """What a cell sorts by where low is bad; NaN is the worst."""
    return _key(value, -math.inf)


def worst_last(value: float | None) -> str:
    """What a cell sorts by where high is bad; NaN is the worst."""
    return _key(value, math.inf)


def _key(value: float | None, nan: float) -> str:
    """A number as JavaScript reads it."""
    if value is None:
        return ""
    found = nan if math.isnan(value) else value
    return ("" if found > 0 else "-") + "Infinity" if math.isinf(found) else repr(found)

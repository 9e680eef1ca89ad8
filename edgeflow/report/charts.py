"""Charts as inline SVG. Widths are percentages, so that a chart fills a phone or a desktop with text of the same
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edgeflow.report.bilingual import Both, t
from edgeflow.report.record_parts import Distance, Layer
from edgeflow.report.values import figure, finite, plain

Span = tuple[float, float]
PLOT_HEIGHT = 260
DB_MAX = 1000.0
"""Beyond it a figure lies on the edge of the plot; float64 itself ends near 320 dB."""

TOP, BOTTOM = 26, 26
"""Room above and below the plot, in pixels, for the mark of the first drift and the op numbers."""


def cumulated(values: Sequence[float | None]) -> list[Span | None]:
    """Where each bar of a waterfall starts and ends; None where the step has no value."""
    spans: list[Span | None] = []
    reached = 0.0
    for value in values:
        spans.append(None if value is None else (reached, reached + value))
        reached += value or 0.0
    return spans


def bounds(spans: Sequence[Span | None]) -> Span:
    """The smallest and largest position, with zero always among them."""
    ends = [end for span in spans if span for end in span] + [0.0]
    low, high = min(ends), max(ends)
    return (low, high) if high > low else (low, low + 1.0)


def waterfall_row(
    share: Span | None, share_axis: Span, loss: Span | None, loss_axis: Span, missing: bool, label: str
) -> str:
    """One hop: its share of the drift above, the loss of the metric below, joined to the rows around it."""
    inside = "<rect class=track x=0 width='100%' y=10 height=16 rx=3 />"
    if missing:
        inside = "<rect class=absent x='0.5%' width='99%' y=10 height=16 rx=3 />"
    inside += _joined(share, share_axis, "share", 10, 16) + _joined(loss, loss_axis, "loss", 29, 7)
    return f"<svg class=row height=44 role=img aria-label='{escape(label, quote=True)}'>{inside}</svg>"


def _joined(span: Span | None, axis: Span, kind: str, top: int, height: int) -> str:
    if span is None:
        return ""
    start, end = _at(span[0], axis), _at(span[1], axis)
    better = " better" if span[1] < span[0] else ""
    links = (
        ""
        if kind == "loss"
        else (
            f"<line class=link x1='{_pc(start)}' x2='{_pc(start)}' y1=0 y2={top} />"
            f"<line class=link x1='{_pc(end)}' x2='{_pc(end)}' y1={top + height} y2='100%' />"
        )
    )
    return (
        f"{links}<rect class='{kind}{better}' x='{_pc(min(start, end))}' width='{_pc(max(abs(end - start), 0.4))}' "
        f"y={top} height={height} rx=2 />"
        if end != start
        else links
    )


def interval(drop: float | None, low: float, high: float, budget: float | None) -> str:
    """The loss with its confidence interval against the budget; left of the budget is within it."""
    known = [0.0, low, high, *(value for value in (drop, budget) if value is not None)]
    height = "y=26 height=58"
    margin = (max(known) - min(known) or 1.0) * 0.12
    axis = (min(known) - margin, max(known) + margin)
    parts = []
    if budget is not None:
        at = _at(budget, axis)
        parts += [
            f"<rect class=within x=0 width='{_pc(at)}' {height} />",
            f"<rect class=beyond x='{_pc(at)}' width='{_pc(100 - at)}' {height} />",
            f"<line class=budget x1='{_pc(at)}' x2='{_pc(at)}' y1=20 y2=90 />",
            _text(at, 14, t("budget {budget}", budget=figure(budget, 3))),
        ]
    parts.append(f"<line class=zero x1='{_pc(_at(0, axis))}' x2='{_pc(_at(0, axis))}' y1=26 y2=84 />")
    ends = [_at(low, axis), _at(high, axis)]
    parts.append(f"<line class=range x1='{_pc(ends[0])}' x2='{_pc(ends[1])}' y1=55 y2=55 />")
    parts += [f"<line class=range x1='{_pc(end)}' x2='{_pc(end)}' y1=46 y2=64 />" for end in ends]
    if drop is not None:
        parts.append(f"<circle class=estimate cx='{_pc(_at(drop, axis))}' cy=55 r=7 />")
    parts.append(_text(_at(0, axis), 104, t("no loss")))
    said = f"loss {figure(drop)}, interval from {figure(low)} to {figure(high)}, " + (
        f"budget {figure(budget)}" if budget is not None else "no budget"
    )
    return f"<svg class=interval height=112 role=img aria-label='{escape(said, quote=True)}'>{''.join(parts)}</svg>"


def layers(found: Sequence[Layer], first_drift: int | None) -> str:
    """SQNR by op: `entire` as a line with dots, `single` as open dots, the op where drift starts marked."""
    entire = [_sqnr(layer.entire) for layer in found]
    single = [_sqnr(layer.single) for layer in found]
    shown = [min(max(value, -DB_MAX), DB_MAX) for value in map(finite, entire + single) if value is not None] or [
        0.0,
        60.0,
    ]
    low, high = min(0.0, min(shown) // 10 * 10), max(shown) // 10 * 10 + 10
    step = next(s for s in (10, 20, 50, 100, 200, 500) if (high - low) / s <= 7)
    parts, tick = [], low
    while tick <= high:
        y = _height(tick, (low, high))
        parts.append(
            f"<line class=grid x1=0 x2='100%' y1={y:.1f} y2={y:.1f} />"
            f"<text class=tick x=2 y={y - 3:.1f}>{figure(tick)}</text>"
        )
        tick += step
    parts.append(_marked(found, first_drift))
    parts.append(_line(entire, (low, high)))
    radius = 4.0 if len(found) <= 120 else 2.5 if len(found) <= 300 else 1.7
    for series, values in (("single", single), ("entire", entire)):
        parts += [
            _dot(layer, value, series, i, len(found), (low, high), radius)
            for i, (layer, value) in enumerate(zip(found, values, strict=True))
            if value is not None
        ]
    parts += [_text(_across(i, len(found)), PLOT_HEIGHT - 6, plain(found[i].op, 8)) for i in _ticks(len(found))]
    return (
        f"<svg class=plot height={PLOT_HEIGHT} role=img aria-label='SQNR of {len(found)} ops in the order of the file; "
        f"the figures are in the table below'>{''.join(parts)}</svg>"
    )


def _sqnr(found: Distance | None) -> float | None:
    return None if found is None else found.sqnr_db


def _marked(found: Sequence[Layer], first_drift: int | None) -> str:
    for i, layer in enumerate(found):
        if first_drift is not None and layer.op == first_drift:
            at = _across(i, len(found))
            return f"<line class=start x1='{_pc(at)}' x2='{_pc(at)}' y1=18 y2={PLOT_HEIGHT - BOTTOM} />" + _text(
                at, 12, t("drift starts at op {op}", op=plain(first_drift, 12)), "start"
            )
    return ""


def _line(values: Sequence[float | None], axis: Span) -> str:
    runs: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if value is None or value != value:
            runs.append([])
        else:
            runs[-1].append(f"{10 * _across(i, len(values)):.1f},{_height(value, axis):.1f}")
    drawn = "".join(
        f"<polyline points='{' '.join(run)}' vector-effect=non-scaling-stroke />" for run in runs if len(run) > 1
    )
    return (
        f"<svg class=entire-line width='100%' height={PLOT_HEIGHT} viewBox='0 0 1000 {PLOT_HEIGHT}' "
        "preserveAspectRatio=none>"
        f"{drawn}</svg>"
    )


def _dot(layer: Layer, value: float, series: str, i: int, total: int, axis: Span, radius: float) -> str:
    op, wrong = layer.op, " wrong" if value != value else ""
    title = f"op {plain(op, 12)} {plain(layer.op_type)} {plain(layer.name)}: {series} {figure(value)} dB"
    at = f"cx='{_pc(_across(i, total))}' cy={_height(value, axis):.1f} r={radius}"
    dot = f"<circle class='{series}{wrong}' {at}><title>{escape(title)}</title></circle>"
    return f"<a href='#op-{op}' tabindex=-1>{dot}</a>"


def _across(i: int, total: int) -> float:
    """Percent from the left; the left edge belongs to the labels of the axis."""
    return 5 + 95 * (i + 0.5) / total


def _height(value: float, axis: Span) -> float:
    """Pixels from the top; infinities lie on the edges, NaN at the bottom with the worst."""
    part = 0.0 if value != value else (value - axis[0]) / (axis[1] - axis[0])
    return TOP + (PLOT_HEIGHT - TOP - BOTTOM) * (1 - min(max(part, 0.0), 1.0))


def _ticks(total: int) -> list[int]:
    many = min(total, 6)
    return sorted({round(i * (total - 1) / max(many - 1, 1)) for i in range(many)})


def reach(held: Span | None, representable: Span | None) -> str:
    """A layer's range against what its scale can hold: the part that is cut off in another colour."""
    if held is None or representable is None:
        return ""
    low, high = min(held[0], representable[0]), max(held[1], representable[1])
    axis = (low, high) if high > low else (low, low + 1.0)
    box, bar = [_at(v, axis) for v in representable], [_at(v, axis) for v in held]
    inner = (max(box[0], bar[0]), min(box[1], bar[1]))
    parts = [f"<rect class=box x='{_pc(box[0])}' width='{_pc(box[1] - box[0])}' y=1 height=8 />"]
    for start, end, kind in (
        (bar[0], min(bar[1], box[0]), "cut"),
        (*inner, "held"),
        (max(bar[0], box[1]), bar[1], "cut"),
    ):
        if end > start:
            parts.append(f"<rect class={kind} x='{_pc(start)}' width='{_pc(end - start)}' y=1 height=8 />")
    return f"<svg class=reach height=10 aria-hidden=true>{''.join(parts)}</svg>"


def _at(value: float, axis: Span) -> float:
    """Percent from the left."""
    return 100 * (value - axis[0]) / (axis[1] - axis[0])


def _pc(value: float) -> str:
    return f"{value:.2f}%"


def _text(at: float, y: int, text: Both | str, kind: str = "") -> str:
    """Text beside a place on the axis, kept within the chart."""
    room = 20 if len(str(text)) > 4 else 3
    other = text.attribute("") if isinstance(text, Both) else ""
    anchor = "start" if at < room else "end" if at > 100 - room else "middle"
    place = f"x='{_pc(min(max(at, 0.0), 100.0))}' y={y} text-anchor={anchor}"
    return f"<text class='{kind}' {place}{other}>{escape(str(text))}</text>"

"""The page's view of single ops: the table that sorts and filters, and the map of where each op runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from edgeflow.report.charts import reach
from edgeflow.report.markup import Cell, badge, code, safe
from edgeflow.report.values import count, figure, items, pair, part, percent, plain, real

COLOURS = 8
LEGEND_MAX = 40
DENSE = 150
"""Ops from which the cells of the map are small."""
COLUMNS = (
    "op",
    "layer",
    "entire dB",
    "single dB",
    "cosine",
    "max |diff|",
    "saturated",
    "range",
    "NaN, Inf",
    "runs on",
    "rank",
    "why, and what helps",
)


def layer_table(report: Mapping[str, Any]) -> str:
    """Every op with its figures, sortable by each column; the filters appear when the script runs."""
    found = items(report, "layers")
    ranked = report.get("ranked")
    ranks = {op: i for i, op in enumerate(ranked, 1) if isinstance(op, int)} if isinstance(ranked, list) else {}
    start = part(report, "first_drift").get("op")
    rows = "".join(_row(layer, ranks, start) for layer in found)
    head = "".join(
        f"<th scope=col{' aria-sort=ascending' if i == 0 else ''}><button type=button>{name}</button>"
        for i, name in enumerate(COLUMNS)
    )
    return (
        _filters(found) + "<div class='scroll tall' role=region tabindex=0 aria-label='Layers'>"
        "<table id=layers-table><caption>SQNR in dB, higher is better: “entire” with the error that has gathered up to "
        "the op, “single” with its own alone, fed the reference’s inputs.</caption>"
        f"<thead><tr>{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def _filters(found: Sequence[Mapping[str, Any]]) -> str:
    places = sorted({plain(layer.get("place")) for layer in found if layer.get("place")})
    options = "".join(f"<option value='{escape(place, quote=True)}'>{escape(place)}" for place in places)
    return (
        "<form id=layers-filter hidden><label>Search <input type=search id=filter-text placeholder='name, type, "
        "reason' "
        "autocomplete=off></label>"
        f"<label>Runs on <select id=filter-place><option value=''>anywhere{options}</select></label>"
        "<label class=tick><input type=checkbox id=filter-reason> only with a reason</label>"
        f"<output id=filter-count aria-live=polite>{count(len(found), 'layer')}</output></form>"
    )


def _row(layer: Mapping[str, Any], ranks: Mapping[int, int], start: Any) -> str:
    op, why = layer.get("op"), plain(layer.get("reason"))
    entire, single = part(layer, "entire"), part(layer, "single")
    first = op is not None and op == start
    rank = ranks.get(op) if isinstance(op, int) else None
    cells: list[Cell] = [
        (plain(op, 12), _key(op)),
        (
            _named(layer)
            + (badge("drift starts here", "bad") + " " if first else "")
            + (badge(why, "warn") if why else ""),
            plain(layer.get("name")),
        ),
        (figure(entire.get("sqnr_db")), _key(entire.get("sqnr_db"), -math.inf)),
        (figure(single.get("sqnr_db")), _key(single.get("sqnr_db"), -math.inf)),
        (figure(entire.get("cosine"), 6), _key(entire.get("cosine"), -math.inf)),
        (figure(entire.get("max_abs"), 3), _key(entire.get("max_abs"))),
        (percent(layer.get("saturation")), _key(layer.get("saturation"))),
        _ranged(layer),
        (_wrongs(layer), _key((real(layer.get("nan")) or 0) + (real(layer.get("inf")) or 0))),
        (_placed(layer), plain(layer.get("place"))),
        ("–" if rank is None else str(rank), _key(rank)),
        (_reasoned(layer), why),
    ]
    tags = ["th scope=row" if i == 1 else "td" for i in range(len(cells))]
    inside = "".join(
        f"<{tag} data-v='{escape(cell[1], quote=True)}'>{cell[0]}" for tag, cell in zip(tags, cells, strict=True)
    )
    identity = f" id=op-{op}" if isinstance(op, int) and not isinstance(op, bool) else ""
    return (
        f"<tr{identity} data-place='{escape(plain(layer.get('place')), quote=True)}'{' data-reason' if why else ''}"
        f"{' class=first' if first else ''}>{inside}"
    )


def _key(value: Any, nan: float = math.inf) -> str:
    """What a cell sorts by, as JavaScript reads it; NaN counts as the worst, which side that is depends on the
    figure.
    """
    found = real(value)
    if found is None:
        return ""
    found = nan if math.isnan(found) else found
    return ("" if found > 0 else "-") + "Infinity" if math.isinf(found) else repr(found)


def _named(layer: Mapping[str, Any]) -> str:
    sources = layer.get("sources")
    more = [plain(layer.get("op_type"))]
    shape = layer.get("shape")
    if isinstance(shape, (list, tuple)) and shape:
        more.append("×".join(plain(n, 12) for n in shape[:8]))
    named = code(layer.get("name") or layer.get("output"))
    said = [f"{key} {plain(layer[key])}" for key in ("output", "kernel") if layer.get(key)]
    if isinstance(sources, (list, tuple)) and sources:
        said.append(f"from {', '.join(plain(s, 80) for s in sources[:8])}{' …' if len(sources) > 8 else ''}")
    small = escape(" · ".join(text for text in more if text))
    return f"<span title='{escape('; '.join(said), quote=True)}'>{named}<small>{small}</small></span>"


def _placed(layer: Mapping[str, Any]) -> str:
    """Place and subgraph, escaped."""
    sub = layer.get("subgraph")
    inside = f" · subgraph {plain(sub, 12)}" if isinstance(sub, int) else ""
    return escape(plain(layer.get("place")) or "–", quote=True) + inside


def _ranged(layer: Mapping[str, Any]) -> Cell:
    held, box = pair(layer.get("range")), pair(layer.get("scale_range"))
    if held is None:
        return "–", ""
    text = f"{figure(held[0], 3)} … {figure(held[1], 3)}"
    if box is not None:
        text += f"<small>scale {figure(box[0], 3)} … {figure(box[1], 3)}</small>"
    width = max(abs(v) for v in box) if box is not None else 0.0
    return reach(held, box) + text, _key(max(abs(v) for v in held) / width if width else None)


def _wrongs(layer: Mapping[str, Any]) -> str:
    counts = [(real(layer.get(key)) or 0, name) for key, name in (("nan", "NaN"), ("inf", "Inf"))]
    return ", ".join(badge(f"{figure(n)} {name}", "bad") for n, name in counts if n) or "none"


def _reasoned(layer: Mapping[str, Any]) -> str:
    if not layer.get("reason"):
        return "–"
    fix = f"<small>try {code(layer['fix'])}</small>" if layer.get("fix") else ""
    return f"{safe(layer.get('why'))}{fix}"


def partition_map(report: Mapping[str, Any]) -> str:
    """Each op as a cell, coloured and lettered by where it is meant to run."""
    split = part(report, "partition")
    ops = items(split, "ops") or items(report, "layers")
    if not ops:
        return ""
    names = [_placed(op) for op in ops]
    many = Counter(names)
    keys = {name: i for i, name in enumerate(many)}
    cells = "".join(
        f"<span class='cell c{keys[name] % COLOURS}' title='op {escape(plain(op.get('op'), 12), quote=True)} "
        f"{escape(plain(op.get('op_type')), quote=True)}: {name}'>{_letter(keys[name])}</span>"
        for op, name in zip(ops, names, strict=True)
    )
    legend = "".join(
        f"<li><span class='cell c{i % COLOURS}' aria-hidden=true>{_letter(i)}</span> {name}: {count(many[name], 'op')}"
        for name, i in list(keys.items())[:LEGEND_MAX]
    )
    if len(keys) > LEGEND_MAX:
        legend += f"<li>and {len(keys) - LEGEND_MAX} more"
    shape = "map dense" if len(ops) > DENSE else "map"
    counts = (("npu_ops", "ops for the NPU"), ("cpu_ops", "ops for the CPU"), ("subgraphs", "NPU subgraphs"))
    said = [f"{figure(split.get(key))} {word}" for key, word in counts if split.get(key) is not None]
    return (
        f"<p>{', '.join(said) + '. ' if said else ''}As the file says; only the device can show where an op "
        "really ran.</p>"
        f"<ul class=legend>{legend}</ul>"
        f"<div class='{shape}' role=img aria-label='{len(ops)} ops in the order of the file'>{cells}</div>"
    )


def _letter(index: int) -> str:
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")

"""The network of a record as the page shows it: its picture, and what the colours of each choice mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from edgeflow.report.bilingual import Both, t
from edgeflow.report.network import OPS_MAX, Drawn, picture
from edgeflow.report.record import Record
from edgeflow.report.record_parts import Distance, Layer, PlacedOp
from edgeflow.report.values import figure, plain

STEPS = (50.0, 40.0, 30.0, 20.0)
"""SQNR in dB at which the colour of drift changes; 20 is a common limit of an output, 50 is rounding."""

COLOURS = 6


@dataclass(frozen=True, slots=True)
class Legend:
    """One way to colour the ops: its key, its name, and its colours with what they mean."""

    key: str
    name: Both
    colours: tuple[tuple[str, Both | str], ...]


@dataclass(frozen=True, slots=True)
class NetworkView:
    """The picture as SVG, the ways to colour it, and how many ops it leaves out."""

    svg: str
    legends: tuple[Legend, ...]
    left_out: int


def network_view(record: Record) -> NetworkView | None:
    """The network of the file; None where the record does not say what comes from what."""
    ops = () if record.partition is None else record.partition.ops
    if not any(op.after for op in ops):
        return None
    layers = {layer.op: layer for layer in record.layers}
    first = None if record.first_drift is None else record.first_drift.op
    places, precisions = _kinds([plain(op.place) for op in ops]), _kinds([plain(op.precision) for op in ops])
    drawn = [_drawn(op, layers.get(op.op), places, precisions, first) for op in ops]
    drift = tuple((f"drift-{i}", text) for i, text in enumerate(_drift_words()))
    legends = [
        Legend("drift", t("gathered drift"), drift),
        Legend("own", t("the op's own error"), drift),
        Legend("precision", t("precision"), tuple((f"sort-{i}", _name(name)) for name, i in precisions.items())),
        Legend("place", t("place"), tuple((f"sort-{i}", _name(name)) for name, i in places.items())),
    ]
    shown = legends if layers else legends[2:]
    return NetworkView(picture(drawn, f"{len(ops)} ops and what each takes from which"), tuple(shown), left_out(ops))


def left_out(ops: tuple[PlacedOp, ...]) -> int:
    """Ops beyond those that a picture holds."""
    return max(len(ops) - OPS_MAX, 0)


def _name(name: str) -> Both | str:
    return name or t("moves data only")


def _kinds(found: list[str]) -> dict[str, int]:
    """A colour for each place or precision, in order of appearance; further ones share the last."""
    return {name: min(i, COLOURS - 1) for i, name in enumerate(dict.fromkeys(found))}


def _drift_words() -> tuple[Both, ...]:
    return (
        t("{db} dB and more", db="50"),
        *(t("{low} to {high} dB", low=figure(low), high=figure(high)) for high, low in pairwise(STEPS)),
        t("below {db} dB", db="20"),
        t("NaN"),
        t("not measured"),
    )


def _step(found: Distance | None) -> int:
    """Which colour of drift a distance has."""
    db = None if found is None else found.sqnr_db
    if db is None:
        return len(STEPS) + 2
    return len(STEPS) + 1 if math.isnan(db) else sum(db < step for step in STEPS)


def _drawn(
    op: PlacedOp, layer: Layer | None, places: dict[str, int], precisions: dict[str, int], first: int | None
) -> Drawn:
    entire, single = (None, None) if layer is None else (layer.entire, layer.single)
    said = [f"op {op.op} {plain(op.op_type)}", plain(op.name), plain(op.place), plain(op.precision)]
    said += [] if op.subgraph is None else [f"subgraph {op.subgraph}"]
    said += [f"{figure(entire.sqnr_db)} dB"] if entire is not None else []
    said += [f"alone {figure(single.sqnr_db)} dB"] if single is not None else []
    said += [plain(layer.reason)] if layer is not None and layer.reason else []
    return Drawn(
        op.op,
        plain(op.op_type),
        " · ".join(dict.fromkeys(part for part in said if part)),
        op.after,
        f"drift-{_step(entire)} own-{_step(single)} precision-{precisions[plain(op.precision)]} "
        f"place-{places[plain(op.place)]}{' start' if op.op == first else ''}",
        "" if layer is None else f"#op-{op.op}",
    )

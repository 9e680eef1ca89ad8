"""What a target's build was accepted to cost, and what has changed since: pure judgement, neither files nor arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Judgement = Literal["worse", "better", "other"]
Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class OutputFigures:
    """Accepted drift of one output; `name` is for people, its position is what counts."""

    name: str
    sqnr_db: float
    cosine: float
    max_abs: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What one target's build costs. None is unknown: no metric, no NPU subgraph, no published latency of the chip.

    `metric_drop` is how much worse the metric got against the reference, by its own direction: negative for a gain.
    `subgraphs` and `cpu_ops` are the NPU's subgraphs and the ops outside them. The text of a pipeline has a metric and
    no outputs.
    """

    size_bytes: int
    ops: int
    samples: int
    outputs: tuple[OutputFigures, ...] = ()
    metric: str | None = None
    metric_drop: float | None = None
    subgraphs: int | None = None
    cpu_ops: int | None = None
    predicted_latency_ms: float | None = None
    chip: str | None = None


@dataclass(frozen=True, slots=True)
class Tolerances:
    """What a value may move without counting as a change: what another machine's rounding does to it, and no more.

    `sqnr_db_exact`: from here on two outputs differ by float32's own rounding, and such an output is not compared
    further.
    `samples`: how many samples the metric may lose.
    """

    sqnr_db: float = 0.1
    sqnr_db_exact: float = 100.0
    cosine_share: float = 0.03
    cosine: float = 1e-6
    max_abs_share: float = 0.05
    samples: float = 1.0
    latency_share: float = 0.01


@dataclass(frozen=True, slots=True)
class Change:
    """One value that moved. `other`: neither better nor worse, such as another name. `text` says by how much."""

    what: str
    before: Figure
    after: Figure
    judgement: Judgement
    text: str


def compare(accepted: Figures, found: Figures, allowed: Tolerances = Tolerances()) -> tuple[Change, ...]:
    """What a build costs more or less than was accepted; what was promised and can no longer be compared is worse.

    NaN in the build is always worse.
    """
    return (
        *_drift(accepted, found, allowed),
        *_metric(accepted, found, allowed),
        *_file(accepted, found),
        *_latency(accepted, found, allowed),
    )


def is_worse(changes: Sequence[Change]) -> bool:
    """At least one of the changes costs more than was accepted."""
    return any(change.judgement == "worse" for change in changes)


def settled(accepted: Figures | None, found: Figures) -> Figures:
    """What to write down: the entry that is there where nothing changed, so that rounding makes no difference in a
    diff.
    """
    return rounded(found) if accepted is None or compare(accepted, found) else accepted


def rounded(figures: Figures) -> Figures:
    """As many digits as the tolerances can tell apart."""
    outputs = tuple(
        OutputFigures(item.name, round(item.sqnr_db, 2), round(item.cosine, 7), _digits(item.max_abs))
        for item in figures.outputs
    )
    return replace(
        figures,
        outputs=outputs,
        metric_drop=None if figures.metric_drop is None else round(figures.metric_drop, 6),
        predicted_latency_ms=None if figures.predicted_latency_ms is None else _digits(figures.predicted_latency_ms),
    )


def is_comparable(figures: Figures) -> bool:
    """Later builds can be compared with every value: none is NaN, and only an SQNR may be infinite."""
    values = [value for item in figures.outputs for value in (item.cosine, item.max_abs)]
    return all(
        math.isfinite(value) for value in (*values, figures.metric_drop or 0.0, figures.predicted_latency_ms or 0.0)
    ) and not any(math.isnan(item.sqnr_db) for item in figures.outputs)


def drop_or_gain(drop: float) -> str:
    """What a metric lost or gained against the reference, in words: a gain is no negative drop."""
    return f"{'gain' if drop < 0 else 'drop'} {abs(drop):.6g}"


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def _moved(
    what: str, name: str, before: float, after: float, by: str, *, up_is_worse: bool, shown: str = ".6g"
) -> Change:
    """A value that went up or down, as a sentence."""
    up = after > before
    worse = math.isnan(after) or up == up_is_worse
    text = f"{name} is {after:{shown}}, was {before:{shown}}: "
    text += "not a number" if math.isnan(after) else f"{by} {'more' if up else 'less'}"
    return Change(what, before, after, "worse" if worse else "better", text)


def _lost(what: str, name: str, before: Figure, after: Figure, why: str) -> Change:
    return Change(what, before, after, "worse", f"{name}: {why}, so what was accepted cannot be held")


def _drift(accepted: Figures, found: Figures, allowed: Tolerances) -> Iterator[Change]:
    many, counts = len(accepted.outputs) > 1, (len(accepted.outputs), len(found.outputs))
    if counts[0] > counts[1]:
        yield _lost("outputs", "outputs", *counts, f"are {counts[1]}, were {counts[0]}")
    elif counts[0] < counts[1]:
        yield Change(
            "outputs",
            *counts,
            "other",
            f"outputs are {counts[1]}, were {counts[0]}: nothing was accepted for the new ones",
        )
    if accepted.samples != found.samples:
        yield Change(
            "samples",
            accepted.samples,
            found.samples,
            "other",
            f"compared on {found.samples} samples, was {accepted.samples}: drift is compared all the same",
        )
    for index, (before, after) in enumerate(zip(accepted.outputs, found.outputs, strict=False)):
        key = f"outputs[{index}]"
        if before.name != after.name:
            yield Change(
                f"{key}.name",
                before.name,
                after.name,
                "other",
                f"output {index} is called {after.name!r}, was {before.name!r}",
            )
        yield from _output(key, f" of output {index}" if many else "", before, after, allowed)


def _output(key: str, of: str, before: OutputFigures, after: OutputFigures, allowed: Tolerances) -> Iterator[Change]:
    known = [min(item.sqnr_db, allowed.sqnr_db_exact) for item in (before, after)]
    if known[0] != known[1] and not abs(known[1] - known[0]) <= allowed.sqnr_db:
        yield _moved(
            f"{key}.sqnr_db",
            f"SQNR{of} (dB)",
            before.sqnr_db,
            after.sqnr_db,
            f"{abs(after.sqnr_db - before.sqnr_db):.3g} dB",
            up_is_worse=False,
            shown=".4g",
        )
    if min(known) >= allowed.sqnr_db_exact:
        return
    apart = [1 - before.cosine, 1 - after.cosine]
    if not abs(apart[1] - apart[0]) <= allowed.cosine + allowed.cosine_share * max(apart[0], 0.0):
        yield _moved(
            f"{key}.cosine",
            f"cosine{of}",
            before.cosine,
            after.cosine,
            f"{abs(after.cosine - before.cosine):.3g}",
            up_is_worse=False,
            shown=".7g",
        )
    if not abs(after.max_abs - before.max_abs) <= allowed.max_abs_share * before.max_abs:
        yield _moved(
            f"{key}.max_abs",
            f"max |diff|{of}",
            before.max_abs,
            after.max_abs,
            _share(before.max_abs, after.max_abs),
            up_is_worse=True,
            shown=".4g",
        )


def _metric(accepted: Figures, found: Figures, allowed: Tolerances) -> Iterator[Change]:
    before, after = accepted.metric_drop, found.metric_drop
    if before is None:
        if after is not None:
            yield Change("metric_drop", None, after, "other", f"{found.metric} is measured now: {drop_or_gain(after)}")
        return
    if after is None:
        yield _lost("metric_drop", str(accepted.metric), before, None, "is no longer measured")
    elif accepted.metric != found.metric:
        yield _lost(
            "metric", str(accepted.metric), accepted.metric, found.metric, f"{found.metric} is measured instead"
        )
    else:
        one = 1 / max(found.samples, 1)
        if not abs(after - before) <= allowed.samples * one + 1e-6:
            by = f"{abs(after - before):.4g} ({abs(after - before) / one:.3g} of {found.samples} samples)"
            moved = _moved("metric_drop", "", before, after, by, up_is_worse=True)
            text = f"{found.metric} {drop_or_gain(after)}, was {drop_or_gain(before)}: "
            text += "not a number" if math.isnan(after) else f"{by} {'more' if after > before else 'less'} lost"
            yield replace(moved, text=text)


def _file(accepted: Figures, found: Figures) -> Iterator[Change]:
    if accepted.size_bytes != found.size_bytes:
        yield _moved(
            "size_bytes",
            "size (bytes)",
            accepted.size_bytes,
            found.size_bytes,
            f"{abs(found.size_bytes - accepted.size_bytes):,} bytes, {_share(accepted.size_bytes, found.size_bytes)}",
            up_is_worse=True,
            shown=",",
        )
    if accepted.ops != found.ops:
        yield _moved(
            "ops", "ops", accepted.ops, found.ops, f"{abs(found.ops - accepted.ops)} ops", up_is_worse=True, shown="d"
        )
    before, after = accepted.subgraphs or 0, found.subgraphs or 0
    if before and not after:
        yield _lost("subgraphs", "NPU subgraphs", before, None, "there is none")
    elif after and not before:
        yield Change("subgraphs", None, after, "other", f"NPU subgraphs are {after}, there was none")
    elif before != after:
        yield _moved(
            "subgraphs", "NPU subgraphs", before, after, f"{abs(after - before)} subgraphs", up_is_worse=True, shown="d"
        )
    if accepted.cpu_ops is not None and found.cpu_ops is not None and accepted.cpu_ops != found.cpu_ops:
        yield _moved(
            "cpu_ops",
            "ops outside the NPU's subgraphs",
            accepted.cpu_ops,
            found.cpu_ops,
            f"{abs(found.cpu_ops - accepted.cpu_ops)} ops",
            up_is_worse=True,
            shown="d",
        )


def _latency(accepted: Figures, found: Figures, allowed: Tolerances) -> Iterator[Change]:
    before, after = accepted.predicted_latency_ms, found.predicted_latency_ms
    if before is None:
        if after is not None:
            yield Change(
                "predicted_latency_ms",
                None,
                after,
                "other",
                f"latency is predicted now: {after:.4g} ms on {found.chip}",
            )
        return
    if after is None:
        yield _lost("predicted_latency_ms", f"latency on {accepted.chip}", before, None, "can no longer be predicted")
    elif accepted.chip != found.chip:
        yield _lost(
            "chip", f"latency on {accepted.chip}", accepted.chip, found.chip, f"{found.chip} is predicted instead"
        )
    elif not abs(after - before) <= allowed.latency_share * before:
        yield _moved(
            "predicted_latency_ms",
            f"predicted latency on {found.chip} (ms)",
            before,
            after,
            _share(before, after),
            up_is_worse=True,
            shown=".4g",
        )


def _share(before: float, after: float) -> str:
    return f"{100 * abs(after / before - 1):.3g} %" if before > 0 else f"{abs(after - before):.4g}"

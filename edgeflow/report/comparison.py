"""Several builds on one page: their figures side by side, charts of size, latency and loss, each build folded below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeflow.report import page_values as view
from edgeflow.report.bilingual import Both, joined, t, told
from edgeflow.report.front import Standing, front, standings
from edgeflow.report.html import environment, frame, kind, safe
from edgeflow.report.record import Record
from edgeflow.report.scatter import Point, scatter
from edgeflow.report.values import figure, percent, plain

BUILDS_MAX = 24
"""Builds on one page; beyond it nobody compares."""


@dataclass(frozen=True, slots=True)
class Column:
    """One build: its name, its own page's address, its record, the CSS class of its verdict, whether none beats it, and
    its figures as texts.
    """

    name: str
    href: str
    record: Record
    kind: str
    best: bool
    rows: tuple[tuple[Both, Both | str], ...]


def comparison(builds: Sequence[tuple[str, str, Record]]) -> str:
    """The page of several builds.

    Args:
        builds: the name of each, such as its target, the relative address of its own page (empty for none), and its
            record; at most BUILDS_MAX.
    """
    records = [record for _, _, record in builds]
    found, metric = standings(records)
    best = front(records)
    columns = [
        Column(name, href, record, kind(record), on_front, _rows(record))
        for (name, href, record), on_front in zip(builds, best, strict=True)
    ]
    loss = t("loss of {metric}", metric=metric) if metric else t("noise, dB below the signal")
    charts = [
        (title, safe(drawn))
        for title, drawn in (
            (t("loss by size"), scatter(_points(columns, found, 0), t("bytes"), loss)),
            (t("loss by predicted latency"), scatter(_points(columns, found, 1), joined("ms"), loss)),
        )
        if drawn
    ]
    return environment().get_template("comparison.html").render(columns=columns, charts=charts, **frame())


def _points(columns: Sequence[Column], found: Sequence[Standing], axis: int) -> list[Point]:
    return [
        Point(x, one.loss, column.name, column.kind)
        for column, one in zip(columns, found, strict=True)
        if (x := one.figures[axis]) is not None and one.loss is not None
    ]


def _rows(record: Record) -> tuple[tuple[Both, Both | str], ...]:
    """The figures of one build, in the order of the table."""
    latency, part = record.predicted_latency_ms, record.partition
    spread = "" if latency is None or latency.error is None else f" ± {percent(latency.error)}"
    worst = min((o.sqnr_db for o in record.outputs if o.sqnr_db is not None), default=None)
    moved = f"{view.metric(record.metric_reference)} → {view.metric(record.metric_candidate)}"
    split = "" if part is None else f"{figure(part.npu_ops)} / {figure(part.cpu_ops)} / {figure(part.subgraphs)}"
    first = record.first_drift
    return (
        (t("precision"), told(record.precision) if record.precision else "–"),
        (t("size of the .nb"), "–" if record.nb is None or record.nb.bytes is None else f"{record.nb.bytes:,}"),
        (t("predicted latency"), "–" if latency is None else f"{figure(latency.value, 3)} ms{spread}"),
        (joined(plain(record.metric)) if record.metric else t("metric"), moved if record.metric else "–"),
        (t("loss"), "–" if record.drop is None else view.lost_or_gained(record.drop)),
        (t("lowest SQNR"), "–" if worst is None else f"{figure(worst)} dB"),
        (t("ops on NPU / CPU / subgraphs"), split or "–"),
        (t("drift starts at"), "–" if first is None else plain(first.name, 40)),
        (t("compared"), "–" if record.samples is None else f"{record.samples:,}"),
    )

"""Builds against their accepted figures, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeflow.cli.language import told, tr
from edgeflow.cli.tables import number, size
from edgeflow.project.accepted import drop_or_gain
from edgeflow.report.values import SENTENCE_LENGTH_MAX, plain

if TYPE_CHECKING:
    from edgeflow.flow.locked import Held
    from edgeflow.project.accepted import Change, Figures


def comparison(items: Sequence[Held]) -> str:
    """What is worse or better than the lock, target by target, and what to do about it."""
    lines: list[str] = []
    for item in items:
        lines += [
            f"{item.target}: {_kind(change)}: {told(plain(change.text, SENTENCE_LENGTH_MAX))}"
            for change in item.changes
        ]
        if not item.changes:
            lines.append(f"{item.target}: {tr('as accepted in edgeflow.lock')}")
    moved = [item.target for item in items if item.changes]
    if moved:
        command = f"edgeflow lock {' '.join(f'--target {name}' for name in moved)}"
        lines.append(f"  {tr('try')}: " + tr("{command}, to accept the new figures").format(command=command))
    return "\n".join(lines)


def accepted(items: Sequence[Held]) -> str:
    """What `edgeflow lock` wrote, and what it refused."""
    lines: list[str] = []
    for item in items:
        if item.refused:
            lines += [
                f"{item.target}: {tr('not accepted')}: {told(plain(text, SENTENCE_LENGTH_MAX))}"
                for text in item.refused
            ]
            lines.append(
                f"  {tr('try')}: {tr('loosen [drift] in the recipe if this is meant, then edgeflow lock again')}"
            )
        elif item.accepted is None:
            lines.append(f"{item.target}: {tr('new')}: {_figures(item.found)}")
        else:
            lines += [
                f"{item.target}: {_kind(change)}: {told(plain(change.text, SENTENCE_LENGTH_MAX))}"
                for change in item.changes
            ]
            lines += [] if item.changes else [f"{item.target}: {tr('unchanged')}"]
    return "\n".join(lines)


def _kind(change: Change) -> str:
    return told("changed" if change.judgement == "other" else str(change.judgement))


def _figures(figures: Figures) -> str:
    found = [f"SQNR {number(min(o.sqnr_db for o in figures.outputs))} dB"] if figures.outputs else []
    if figures.metric_drop is not None:
        found.append(f"{plain(figures.metric)} {told(drop_or_gain(figures.metric_drop))}")
    found += [size(figures.size_bytes), tr("{n} ops").format(n=figures.ops)]
    if figures.subgraphs:
        pieces = tr("{n} NPU subgraphs") if figures.subgraphs > 1 else tr("{n} NPU subgraph")
        found.append(pieces.format(n=figures.subgraphs))
    if figures.predicted_latency_ms is not None:
        predicted = tr("{ms} ms predicted on {chip}")
        found.append(predicted.format(ms=number(figures.predicted_latency_ms), chip=figures.chip))
    return ", ".join(found)

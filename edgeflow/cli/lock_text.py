"""Builds against their accepted figures, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
            f"{item.target}: {_kind(change)}: {plain(change.text, SENTENCE_LENGTH_MAX)}" for change in item.changes
        ]
        if not item.changes:
            lines.append(f"{item.target}: as accepted in edgeflow.lock")
    moved = [item.target for item in items if item.changes]
    if moved:
        lines.append(
            f"  try: edgeflow lock {' '.join(f'--target {name}' for name in moved)}, to accept the new figures"
        )
    return "\n".join(lines)


def accepted(items: Sequence[Held]) -> str:
    """What `edgeflow lock` wrote, and what it refused."""
    lines: list[str] = []
    for item in items:
        if item.refused:
            lines += [f"{item.target}: not accepted: {plain(text, SENTENCE_LENGTH_MAX)}" for text in item.refused]
            lines.append("  try: loosen [drift] in the recipe if this is meant, then edgeflow lock again")
        elif item.accepted is None:
            lines.append(f"{item.target}: new: {_figures(item.found)}")
        else:
            lines += [
                f"{item.target}: {_kind(change)}: {plain(change.text, SENTENCE_LENGTH_MAX)}" for change in item.changes
            ]
            lines += [] if item.changes else [f"{item.target}: unchanged"]
    return "\n".join(lines)


def _kind(change: Change) -> str:
    return "changed" if change.judgement == "other" else str(change.judgement)


def _figures(figures: Figures) -> str:
    found = [f"SQNR {number(min(o.sqnr_db for o in figures.outputs))} dB"] if figures.outputs else []
    if figures.metric_drop is not None:
        found.append(f"{plain(figures.metric)} {drop_or_gain(figures.metric_drop)}")
    found += [size(figures.size_bytes), f"{figures.ops} ops"]
    if figures.subgraphs:
        found.append(f"{figures.subgraphs} NPU subgraph{'s' if figures.subgraphs > 1 else ''}")
    if figures.predicted_latency_ms is not None:
        found.append(f"{number(figures.predicted_latency_ms)} ms predicted on {figures.chip}")
    return ", ".join(found)

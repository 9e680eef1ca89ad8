"""A search as a person reads it: what was tried, the Pareto front, and the lines to paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeflow.core.search import Ranking, Tried
from edgeflow.report.tables import number, size, table


def line(item: Tried, missed: Sequence[str]) -> str:
    """One candidate as it comes in."""
    if item.error:
        return f"{item.name:<28} {item.seconds:6.1f} s  {item.error}"
    drop = "" if item.metric_drop is None else f"drop {item.metric_drop:+.4f}, "
    what = f"{drop}SQNR {number(item.sqnr_db)} dB, {size(item.size_bytes or 0)}, {_ms(item)}"
    return f"{item.name:<28} {item.seconds:6.1f} s  {what}{'' if not missed else '  misses: ' + '; '.join(missed)}"


def lines(found: Any) -> str:
    """The whole result of pipeline.search.search."""
    ranking, out = found.ranking, []
    measured = [item for item in found.tried if not item.error]
    rows = [(item.name, number(item.metric), number(item.sqnr_db), size(item.size_bytes or 0), _ms(item),
             _standing(item, ranking)) for item in measured]
    if rows:
        out.append(table(("candidate", "metric", "SQNR dB", "size", "predicted", ""), rows))
    out.append("Pareto front: " + (", ".join(item.name for item in ranking.front) or "empty"))
    gone = [item for item in found.tried if item.error]
    out += [f"no result: {item.name}: {item.error}" for item in gone]
    why = {"done": "everything was tried", "time": "the time was up", "interrupted": "it was interrupted"}.get(
        found.stopped, found.stopped)
    out.append(f"{len(found.tried)} candidates in {found.seconds:.0f} s; {why}. Certificate: {found.certificate.name}")
    if ranking.best is None:
        out.append("No candidate meets the goal." + (" The closest:" if found.recipe else ""))
    return "\n".join(out) + ("\n\n" + found.recipe.rstrip() if found.recipe else "")


def _standing(item: Tried, ranking: Ranking) -> str:
    if item is ranking.best:
        return "best"
    if item.name in ranking.dropped:
        return f"{ranking.dropped[item.name]} beats it"
    return "meets the goal" if item in ranking.ordered else "misses the goal"


def _ms(item: Tried) -> str:
    return "-" if item.latency_ms is None else f"{item.latency_ms:.3g} ms"

"""What bench prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeflow.report.tables import number, residency, table


def latency(report: Mapping[str, Any]) -> str:
    """One measurement: a row a number of threads, then the comparison, where the ops ran, and what to keep in mind."""
    keys = ("load_ms", "first_ms", "min_ms", "p50_ms", "p90_ms")
    rows = [(str(row["threads"]), str(row["runs"]), *(number(row[key]) for key in keys)) for row in report["sweep"]]
    lines = [table(("threads", "runs", "load ms", "first ms", "min ms", "p50 ms", "p90 ms"), rows),
             f"on {report['runner']}"]
    if found := report.get("comparison"):
        lines.append(f"{found['against']} against {report['model']}: {number(found['other']['p50_ms'])} ms / "
                     f"{number(found['control']['p50_ms'])} ms = {found['ratio']:.4f} "
                     f"[{found['low']:.4f}, {found['high']:.4f}] at {100 * found['confidence']:g} %")
        lines += [f"not steady: {reason}" for reason in found["refused"]]
        if found["refused"]:
            lines.append("try: more --repeats, --cool-down-ms, or a fixed clock (governor performance) and a cooler device")
        lines.append(found["conclusion"])
    if where := report.get("residency"):
        lines.append(residency(where))
    lines += [str(note) for note in report["notes"]]
    return "\n".join(lines)

"""A difference of two .nb files in words."""

from __future__ import annotations

from edgeflow.nb.diff import Difference
from edgeflow.report.tables import number, size, table


def lines(found: Difference) -> str:
    """The difference for a person; one line when there is none."""
    if found.same:
        return "the same"
    out = [*found.header, *found.interface]
    for title, items in (("removed", found.removed), ("added", found.added)):
        if items:
            out.append(f"{title} ({len(items)}): {', '.join(items)}")
    for change in found.changed:
        names = change.before if change.before == change.after else f"{change.before} -> {change.after}"
        out.append(f"{names}: {'; '.join(change.changes)}")
    if found.weights:
        out.append(table(("weight", "change", "SQNR dB"), [
            (w.name, w.change, number(w.sqnr_db)) for w in found.weights]))
    if found.bytes_before != found.bytes_after:
        out.append(f"parameters: {size(found.bytes_before)} -> {size(found.bytes_after)}")
    return "\n".join(out)

"""A rebuild against its record, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeflow.core.provenance import Difference, grouped
from edgeflow.report.values import SENTENCE_LENGTH_MAX, plain

SHOWN = 8


def groups(found: Sequence[Difference]) -> str:
    """Differences, each under whose doing it is."""
    lines = []
    for title, items in grouped(found):
        lines.append(title)
        lines += [f"  {plain(item.text, SENTENCE_LENGTH_MAX)}" for item in items[:SHOWN]]
        if len(items) > SHOWN:
            lines.append(f"  … and {len(items) - SHOWN} more, which --json lists")
    return "\n".join(lines)


def lines(found: Any) -> str:
    """Identical, or what differs, and whether the .nb itself came out the same."""
    out = [] if found.identical else [groups(found.differences)]
    if found.unrecorded:
        names = ", ".join(plain(name, 60) for name in found.unrecorded[:SHOWN])
        out.append(f"not recorded by the build, so not compared: {names}{', …' if len(found.unrecorded) > SHOWN else ''}")
    if found.identical:
        out.append(f"identical: model.nb, sha256 {found.nb_sha256}, and all that the manifest records")
    elif found.same_bytes:
        out.append("the .nb itself is the same, byte for byte")
    return "\n".join(out)

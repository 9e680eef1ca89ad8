"""Which of several builds nothing beats: smaller, faster and nearer to its reference at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeflow.report.record import Record
from edgeflow.report.values import finite


@dataclass(frozen=True, slots=True)
class Standing:
    """One build's figures, all of them better the lower they are; None where they are not known.

    `size_bytes` of the .nb, `latency_ms` predicted, `loss` of the metric, or the noise in dB below the signal (SQNR
    with its sign turned) where the builds have no metric in common.
    """

    size_bytes: float | None
    latency_ms: float | None
    loss: float | None

    @property
    def figures(self) -> tuple[float | None, float | None, float | None]:
        return self.size_bytes, self.latency_ms, self.loss


def standings(records: Sequence[Record]) -> tuple[list[Standing], str]:
    """Each build's figures, and what `loss` is: the metric's name, or empty for SQNR."""
    names = {record.metric for record in records}
    by_metric = len(names) == 1 and None not in names and all(record.drop is not None for record in records)
    found = [
        Standing(
            None if record.nb is None or record.nb.bytes is None else float(record.nb.bytes),
            None if record.predicted_latency_ms is None else finite(record.predicted_latency_ms.value),
            finite(record.drop) if by_metric else _noise(record),
        )
        for record in records
    ]
    return found, str(names.pop()) if by_metric else ""


def _noise(record: Record) -> float | None:
    known = [output.sqnr_db for output in record.outputs if output.sqnr_db is not None]
    return None if not known or any(map(math.isnan, known)) else -min(known)


def front(records: Sequence[Record]) -> list[bool]:
    """Whether each build is one that no other beats; one that failed, or of which a figure is missing that the others
    have, is none.
    """
    found, _ = standings(records)
    known = [k for k in range(3) if any(one.figures[k] is not None for one in found)]
    valid = [
        record.verdict != "FAIL" and bool(known) and all(one.figures[k] is not None for k in known)
        for record, one in zip(records, found, strict=True)
    ]
    return [
        ok and not any(valid[j] and j != i and _beats(other, found[i], known) for j, other in enumerate(found))
        for i, ok in enumerate(valid)
    ]


def _beats(one: Standing, other: Standing, known: Sequence[int]) -> bool:
    pairs = [(one.figures[k], other.figures[k]) for k in known]
    return all(a is not None and b is not None and a <= b for a, b in pairs) and any(a != b for a, b in pairs)

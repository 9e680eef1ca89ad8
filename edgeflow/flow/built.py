"""What a build gives for one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.flow.costs import Cost
from edgeflow.report.exchange import table
from edgeflow.report.record import Record


@dataclass(frozen=True, slots=True)
class Built:
    """One finished target: its folder, what the verification found, and what was kept from before. `costs`: what each
    stage took that was made for it, by name.
    """

    target: str
    folder: Path
    precision: str
    record: Record
    kept: tuple[str, ...]
    costs: Mapping[str, Cost]

    @property
    def passed(self) -> bool:
        """Every limit holds, and the samples suffice to say so."""
        return self.record.passed

    @property
    def report(self) -> dict[str, Any]:
        """The record as report.json has it."""
        return table(self.record)

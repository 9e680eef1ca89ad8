"""What the verification of a text pipeline found: the one record that report.json of a pipeline holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError
from edgeflow.core.statistics import Decision
from edgeflow.core.strict import strict
from edgeflow.report.exchange import MAX_BYTES, plain_values
from edgeflow.report.record import Word

FORMAT = 1
Corners = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """What one side scores against the labels. Boxes by ICDAR's protocol at IoU above 0.5; a line is right where its
    box was found and its text is the label's; `cer` counts texts of boxes that no label has as inserted. The last two
    are read on the labelled boxes, so that no detector has a part in them. None: nothing to count."""

    precision: float | None = None
    recall: float | None = None
    hmean: float | None = None
    line_accuracy: float | None = None
    cer: float | None = None
    labelled_line_accuracy: float | None = None
    labelled_cer: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """Lines that the reference reads right and the candidate does not, by what lost them: the detector found no box
    there; its box lies otherwise, so that the reference misreads it too; the classifier turned it otherwise; the
    recogniser read another text in the same box. `gained`: the other way round."""

    detector: int = 0
    box: int = 0
    classifier: int = 0
    recogniser: int = 0
    gained: int = 0

    @property
    def lines(self) -> int:
        return self.detector + self.box + self.classifier + self.recogniser


@dataclass(frozen=True, slots=True)
class TextHop:
    """A step from the reference to the candidate, with what is read after it."""

    name: str
    hmean: float | None
    line_accuracy: float | None
    cer: float | None


@dataclass(frozen=True, slots=True)
class PartFigures:
    """One .nb of the pipeline, with what its own report says; its own limits do not decide on the text."""

    folder: str
    precision: str
    bytes: int | None = None
    verdict: str = ""
    metric: str | None = None
    reference: float | None = None
    candidate: float | None = None
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """A labelled line: its text and box, what each side read there (None: found no box), and what lost it."""

    label: str
    box: Corners
    reference: str | None
    candidate: str | None
    stage: str = ""


@dataclass(frozen=True, slots=True)
class ComparedPage:
    """A page, with all boxes that each side found on it; `changed` counts lines that are read otherwise."""

    name: str
    changed: int
    lines: tuple[ComparedLine, ...] = ()
    reference_boxes: tuple[Corners, ...] = ()
    candidate_boxes: tuple[Corners, ...] = ()


@dataclass(frozen=True, slots=True)
class TextRecord:
    """A pipeline's verification for one target. `same_texts`, `same_as_emulator`: shares of lines that are read as the
    reference reads them, and, on a device, as the emulator did when the pipeline was built. `mixed`: what was taken out
    of int8, since it lost text there."""

    name: str
    target: str
    verdict: Word
    pages: int = 0
    lines: int = 0
    reference: Rates = Rates()
    candidate: Rates = Rates()
    same_texts: float | None = None
    decisions: dict[str, Decision] = field(default_factory=dict)
    lost: Lost = Lost()
    waterfall: tuple[TextHop, ...] = ()
    parts: tuple[PartFigures, ...] = ()
    worst: tuple[ComparedPage, ...] = ()
    broken: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    runner: str = ""
    reference_device: str = ""
    same_as_emulator: float | None = None
    mixed: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict == "PASS"

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        if self.broken or self.undecided:
            return (self.broken or self.undecided)[0]
        found = self.decisions.get("line_accuracy") or next(iter(self.decisions.values()), None)
        return "" if found is None else found.sentence


def dump_text(record: TextRecord) -> bytes:
    """The bytes of report.json; equal records give equal bytes."""
    table = {"format": FORMAT, "kind": "text", **plain_values(record), "passed": record.passed}
    return (json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def text_table(record: TextRecord) -> dict[str, Any]:
    """The same as JSON values."""
    found: dict[str, Any] = json.loads(dump_text(record))
    return found


def load_text_record(path: Path) -> TextRecord:
    """Read a pipeline's report.json.

    Raises:
        DataError: it is missing, too large, or none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: is larger than {MAX_BYTES} bytes, which no report is")
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"{path}: cannot be read as a report ({type(err).__name__})") from err
    if not isinstance(table, dict) or table.get("kind") != "text":
        raise DataError(f"{path}: is no report of a text pipeline", try_="run edgeflow build again")
    kept = {key: value for key, value in table.items() if key not in ("format", "kind", "passed")}
    return strict(TextRecord, kept, str(path), DataError)

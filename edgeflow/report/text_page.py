"""report.html of a text pipeline: figures, what lost which line, and the pages that differ most with all boxes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from edgeflow.report.html import KINDS, rendered
from edgeflow.report.text_record import ComparedPage, Corners, TextRecord

Pictures = Mapping[str, tuple[bytes, int, int]]
"""JPEGs of pages by name, with the pages' own width and height."""

SHOWN_MAX = 8
"""Pages with their pictures; a page is about 60 kB."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `differs` from the other side's."""

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled line with both readings in pieces; None: no box was found there."""

    label: str
    reference: tuple[Piece, ...] | None
    candidate: tuple[Piece, ...] | None
    stage: str
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A page with its picture under its boxes, as SVG, and its lines, those that differ first."""

    name: str
    drawing: str
    rows: tuple[Row, ...]


def text_page(record: TextRecord, pictures: Pictures) -> str:
    """The whole page of one record."""
    shown = [_shown(page, pictures) for page in record.worst[:SHOWN_MAX] if page.name in pictures]
    return rendered("texts.html", KINDS[record.verdict], record=record, shown=shown)


def pieces(text: str, other: str) -> tuple[Piece, ...]:
    """A text in pieces that the other has too or has not."""
    found = []
    for word, start, end, _, _ in SequenceMatcher(None, text, other, autojunk=False).get_opcodes():
        if end > start:
            found.append(Piece(text[start:end], word != "equal"))
    return tuple(found)


def _shown(page: ComparedPage, pictures: Pictures) -> Shown:
    raw, width, height = pictures[page.name]
    data = base64.b64encode(raw).decode()
    layers = (
        ("#8a8a8a", "2 4", tuple(line.box for line in page.lines)),
        ("#1f77d0", "none", page.reference_boxes),
        ("#e8590c", "8 5", page.candidate_boxes),
    )
    drawn = "".join(
        f'<polygon points="{_points(box)}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        for colour, dash, boxes in layers
        for box in boxes
    )
    drawing = (
        f'<svg viewBox="0 0 {int(width)} {int(height)}" role="img" aria-label="page with boxes">'
        f'<image href="data:image/jpeg;base64,{data}" width="{int(width)}" height="{int(height)}"/>{drawn}</svg>'
    )
    rows = [
        Row(
            line.label,
            None if line.reference is None else pieces(line.reference, line.candidate or ""),
            None if line.candidate is None else pieces(line.candidate, line.reference or ""),
            line.stage,
            line.candidate != line.label,
        )
        for line in page.lines
    ]
    return Shown(page.name, drawing, tuple(sorted(rows, key=lambda row: (not row.stage, not row.is_wrong))))


def _points(box: Corners) -> str:
    """Numbers alone, whatever the record holds."""
    return " ".join(f"{float(x):.1f},{float(y):.1f}" for x, y in box)

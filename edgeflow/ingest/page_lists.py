"""Label files of PaddleOCR's detectors: pages, and where which text stands on each.

Source: PaddleOCR doc/doc_en/detection_en.md ("path<TAB>[{"transcription": ..., "points": [[x, y], ...]}, ...]") and
ppocr/data/imaug/label_ops.py, DetLabelEncode, which sets aside what reads `*` or `###`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.metric import Array
from edgeflow.core.quads import crosses_itself
from edgeflow.core.text_map import smallest_box
from edgeflow.files.inside import open_regular
from edgeflow.ingest.lists import LIST_MAX_BYTES

ASIDE = ("*", "###")
"""Texts that nobody can read: boxes of them count neither as right nor as wrong."""

LINES_MAX, POINTS_MAX, TEXT_MAX = 10_000, 1000, 10_000
REACH = 1e6
"""Pixels: no page is larger, and no corner farther out."""

OTHER_ENCODINGS = ("gb18030", "big5", "utf-16")
WRONG_SHOWN = 10


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text that a label holds: its box, float64[4, 2] in pixels, corners in order around the text from its
    top left on; `aside` counts neither as right nor as wrong."""

    text: str
    box: Array
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A picture and the text on it; `name` as the label file has it."""

    name: str
    file: Path
    lines: tuple[TextLine, ...]

    @property
    def counted(self) -> tuple[TextLine, ...]:
        """Lines that are not set aside."""
        return tuple(line for line in self.lines if not line.aside)


def is_page_list(path: Path) -> bool:
    """A text file whose first line is a picture and a list of boxes."""
    if path.suffix != ".txt" or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16)
    except OSError:
        return False
    line = head.replace(b"\0", b"").strip().split(b"\n", 1)[0]  # of UTF-16 too, which is refused by name later
    return line.partition(b"\t")[2].lstrip().startswith((b"[{", b"[]"))


def read_pages(path: Path, where: str) -> list[Page]:
    """The pages of a label file, whose paths start at its own folder.

    Raises:
        DataError: no UTF-8, too large, a line that is no page, broken boxes, or pictures that are not there; all of
            these are named.
    """
    pages: list[Page] = []
    wrong: list[str] = []
    count = 0
    for number, line in enumerate(_text(path, where).splitlines(), 1):
        if not line.strip():
            continue
        count += 1
        name, tab, label = line.partition("\t")
        try:
            if not tab:
                raise DataError("should be a picture and its boxes with a tab between")
            file = path.parent / name.strip()
            if not file.is_file():
                raise DataError(f"{file} does not exist")
            pages.append(Page(name.strip(), file.resolve(), _lines(label)))
        except DataError as err:
            wrong.append(f"line {number} ({name[:60]}): {err.what}")
    if wrong or not pages:
        raise DataError(
            f"{where}: {len(wrong)} of {count} pages cannot be used" if wrong else f"{where}: lists no page",
            try_='path<TAB>[{"transcription": "text", "points": [[x, y], [x, y], [x, y], [x, y]]}], where paths start '
            "at the list's own folder",
            lines=wrong[:WRONG_SHOWN],
        )
    return pages


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many items, evenly from all."""
    if len(items) <= most:
        return list(items)
    return [items[k * len(items) // most] for k in range(most)]


def _text(path: Path, where: str) -> str:
    try:
        with open_regular(path) as stream:
            raw = stream.read(LIST_MAX_BYTES + 1)
    except OSError as err:
        raise DataError(f"{where}: cannot be read ({err.strerror or err})") from err
    if len(raw) > LIST_MAX_BYTES:
        raise DataError(f"{where}: is larger than {LIST_MAX_BYTES} bytes, which no label file is")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise DataError(
            f"{where}: is no UTF-8 ({err.reason} at byte {err.start})" + _guessed(raw),
            try_=f"save it as UTF-8: iconv -f {_guess(raw) or 'GB18030'} -t UTF-8 {path.name} > labels.txt",
        ) from err


def _guessed(raw: bytes) -> str:
    found = _guess(raw)
    return f"; it reads as {found}" if found else ""


def _guess(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16"
    for name in OTHER_ENCODINGS[:2]:
        try:
            raw.decode(name)
        except UnicodeDecodeError:
            continue
        return name.upper()
    return ""


def _lines(label: str) -> tuple[TextLine, ...]:
    try:
        table = json.loads(label)
    except (ValueError, RecursionError) as err:
        raise DataError(f"its boxes are no JSON ({str(err)[:80]})") from err
    if not isinstance(table, list) or len(table) > LINES_MAX:
        raise DataError(f"its boxes should be a list of at most {LINES_MAX}")
    return tuple(_line(item, k) for k, item in enumerate(table))


def _line(item: object, index: int) -> TextLine:
    text = item.get("transcription") if isinstance(item, dict) else None
    points = item.get("points") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(text, str) or len(text) > TEXT_MAX:
        raise DataError(f"box {index} has no transcription that is a text")
    shaped = isinstance(points, list) and all(
        isinstance(p, list) and len(p) == 2 and all(_is_number(v) for v in p) for p in points
    )
    if not shaped or not isinstance(points, list) or not 4 <= len(points) <= POINTS_MAX:
        raise DataError(f"box {index} ({text[:20]!r}): points should be four or more pairs of numbers")
    corners = np.asarray(points, np.float64)
    quad = corners if len(corners) == 4 else smallest_box(corners)
    if bool(crosses_itself(quad[None])[0]):
        raise DataError(
            f"box {index} ({text[:20]!r}): its edges cross, and corners should stand in order around the text"
        )
    if min(_sides(quad)) < 1:
        raise DataError(f"box {index} ({text[:20]!r}): is less than a pixel wide or high")
    return TextLine(text, quad, text in ASIDE or item.get("illegibility") is True)


def _sides(quad: Array) -> tuple[float, float]:
    """The longer of the two widths and of the two heights."""
    edges = np.hypot(*(np.roll(quad, -1, 0) - quad).T)
    return float(max(edges[0], edges[2])), float(max(edges[1], edges[3]))


def _is_number(value: object) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and abs(value) <= REACH
    )

"""Boxes from a file for each picture: PASCAL VOC's XML, YOLO's text, and the lines of PaddleOCR's label files.

Source: M. Everingham et al., The PASCAL VOC Challenge, development kit of 2012, section 5; docs.ultralytics.com,
"Detect datasets", YOLO format; PaddleOCR doc/doc_en/detection_en.md. VOC's corners are taken as they stand, as
PaddleDetection 2.7 takes them (ppdet/data/source/voc.py), although VOC counts pixels from 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.files.inside import open_regular
from edgeflow.files.json_text import parse_json
from edgeflow.files.xml import Element, read_xml
from edgeflow.ingest.marks import BOX_COLUMNS, QUAD_COLUMNS, Marks
from edgeflow.ingest.pictures import CLASSES_MAX

FILE_MAX_BYTES = 1 << 22
COORDINATE_MAX = 1e6
SHARE_MAX = 1.01
"""YOLO's shares go to 1; rounding may lead a little beyond. Source: ultralytics 8, verify_image_label."""
UNREADABLE = ("*", "###")
"""Texts that nobody can read, set aside. Source: PaddleOCR, DetLabelEncode."""


def read_box_file(path: Path) -> bytes:
    """Its bytes; links may not lead out of its folder.

    Raises:
        DataError: missing, no regular file, too large.
    """
    try:
        with open_regular(path, path.parent) as stream:
            data = stream.read(FILE_MAX_BYTES + 1)
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror or err})") from err
    if len(data) > FILE_MAX_BYTES:
        raise DataError(f"{path.name}: is larger than {FILE_MAX_BYTES} bytes, which no annotation is")
    return data


def voc(path: Path, classes: Mapping[str, int]) -> Marks:
    """Boxes of a VOC file; difficult ones are set aside.

    Args:
        classes: by name.

    Raises:
        DataError: no such XML, an object of another class, corners that are no numbers or stand in another order.
    """
    root = read_xml(read_box_file(path), path.name)
    rows = []
    for k, thing in enumerate(root.all("object")):
        at = f"{path.name}: object {k + 1}"
        name = _text(thing.first("name"))
        if name not in classes:
            raise DataError(f"{at}: {name[:40]!r} is no line of [model] labels")
        corners = [_number(thing.first("bndbox", side), at, side) for side in ("xmin", "ymin", "xmax", "ymax")]
        if corners[2] < corners[0] or corners[3] < corners[1]:
            raise DataError(f"{at}: its corners {corners} should have xmin <= xmax and ymin <= ymax")
        rows.append((classes[name], *corners, float(_text(thing.first("difficult")) == "1")))
    said = [_text(root.first("size", side)) for side in ("height", "width")]
    sides = (int(said[0]), int(said[1])) if all(s.isascii() and s.isdecimal() and len(s) < 7 for s in said) else None
    return Marks(np.array(rows, np.float64).reshape(-1, BOX_COLUMNS), sides=sides if sides and all(sides) else None)


def yolo(path: Path) -> Marks:
    """Boxes of a YOLO file: class, centre and size as shares of the picture; of a polygon the box around it. A picture
    without a file has no box.

    Raises:
        DataError: other columns, a class that is no whole number, values that are no shares.
    """
    try:
        lines = read_box_file(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as err:
        raise DataError(f"{path.name}: cannot be read ({err}), and should be UTF-8 text") from err
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        at = f"{path.name}: line {number}"
        try:
            kind, *values = (float(word) for word in line.split())
        except ValueError as err:
            raise DataError(f"{at}: {line[:60]!r} should be class, x, y, width, height") from err
        if kind != int(kind if math.isfinite(kind) else -1) or not 0 <= kind < CLASSES_MAX:
            raise DataError(f"{at}: the class is {line.split()[0][:20]}, and should be a whole number from 0")
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            raise DataError(f"{at}: has {len(values) + 1} columns, and should have class, x, y, width, height")
        if not all(-SHARE_MAX + 1 <= value <= SHARE_MAX for value in values):
            raise DataError(f"{at}: its values should be shares of the picture, from 0 to 1: {line[:60]!r}")
        if len(values) == 4:
            x, y, width, height = values
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        else:
            box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
        rows.append((kind, *box, 0.0))
    return Marks(np.array(rows, np.float64).reshape(-1, BOX_COLUMNS), shares=True)


def quads(text: str, where: str) -> Marks:
    """Text boxes of a line of PaddleOCR's label file: JSON with transcription and four points each.

    Raises:
        DataError: another form.
    """
    found = parse_json(text, where)
    if not isinstance(found, list):
        raise DataError(f"{where}: should be a list of transcription and points")
    rows = []
    for k, one in enumerate(found):
        points: Any = one.get("points") if isinstance(one, dict) else None
        flat = [v for point in points for v in point] if _are_points(points) else []
        if len(flat) != QUAD_COLUMNS - 1:
            raise DataError(f"{where}: text {k + 1}: points should be four corners, each x and y")
        rows.append((float(str(one.get("transcription")) in UNREADABLE), *map(float, flat)))
    return Marks(np.array(rows, np.float64).reshape(-1, QUAD_COLUMNS))


def numbered(names: Sequence[str]) -> dict[str, int]:
    """Classes by the names in [model] labels, the first of equal ones."""
    return {name.strip(): k for k, name in reversed(list(enumerate(names)))}


def _are_points(points: Any) -> bool:
    return isinstance(points, list) and all(
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < COORDINATE_MAX for v in point)
        for point in points
    )


def _text(element: Element | None) -> str:
    return "" if element is None else element.text.strip()


def _number(element: Element | None, where: str, name: str) -> float:
    try:
        value = float(_text(element))
    except ValueError:
        value = math.nan
    if not abs(value) < COORDINATE_MAX:
        raise DataError(f"{where}: {name} is {_text(element)[:20]!r}, and should be a number of pixels")
    return value

"""Boxes from COCO's JSON: pictures, categories and annotations in one file.

Source: cocodataset.org, "Data format", object detection. Classes are the places of the categories in the file, as
PaddleDetection 2.7 counts them (ppdet/data/source/coco.py), or the lines of [model] labels with their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.files.inside import open_regular, plain_name
from edgeflow.files.json_text import parse_json
from edgeflow.ingest.marks import BOX_COLUMNS, SHOWN, Annotated, Marks

JSON_MAX_BYTES = 1 << 27
"""COCO's own for 5000 pictures has 20 MB."""


def read_coco(path: Path, folder: Path, names: Sequence[str], where: str) -> Annotated:
    """Pictures of a COCO file, which lie in `folder`, with their boxes; crowds are set aside.

    Args:
        names: lines of [model] labels, empty where there are none.

    Raises:
        DataError: no such file, another form, a picture that is not in the folder, a category that no label names.
    """
    try:
        with open_regular(path) as stream:
            data = stream.read(JSON_MAX_BYTES + 1)
    except OSError as err:
        raise DataError(f"{where}: {path} cannot be read ({err.strerror or err})") from err
    if len(data) > JSON_MAX_BYTES:
        raise DataError(f"{where}: {path} is larger than {JSON_MAX_BYTES} bytes", try_="a file of fewer pictures")
    document = parse_json(data, str(path))
    images, categories, annotations = (_list(document, key, path) for key in ("images", "categories", "annotations"))
    files: dict[Any, Path] = {}
    sides: dict[Any, tuple[int, int] | None] = {}
    missing = []
    for k, image in enumerate(images):
        key, file = _key(image, "id", f"{path}: images[{k}]"), _inside(image, folder, f"{path}: images[{k}]")
        if key in files:
            raise DataError(f"{path}: two pictures have the id {key}")
        files[key], sides[key] = file, _sides(image)
        missing += [] if file.is_file() else [file.name]
    if missing or not files:
        listed = ", ".join(missing[:SHOWN])
        raise DataError(
            f"{where}: {len(missing)} of {len(files)} pictures are not in {folder}"
            if missing
            else f"{path}: no picture",
            try_="[data] evaluation = the folder where file_name begins",
            lines=[listed] if missing else [],
        )
    classes = _classes(categories, annotations, names, path)
    rows: dict[Any, list[tuple[float, ...]]] = {key: [] for key in files}
    for k, annotation in enumerate(annotations):
        at = f"{path}: annotations[{k}]"
        key, category = _key(annotation, "image_id", at), _key(annotation, "category_id", at)
        if key not in rows or category not in classes:
            what = "image_id" if key not in rows else "category_id"
            raise DataError(f"{at}: {what} is {annotation[what]}, and the file has none of it")
        rows[key].append((classes[category], *_corners(annotation, at), float(annotation.get("iscrowd") == 1)))
    found = tuple(Marks(np.array(rows[key], np.float64).reshape(-1, BOX_COLUMNS), sides=sides[key]) for key in files)
    return Annotated(tuple(files.values()), found)


def _list(document: Any, key: str, path: Path) -> list[Mapping[str, Any]]:
    found = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise DataError(
            f"{path}: should hold a list of objects named {key!r}, as COCO has it",
            try_="a file as instances_val2017.json",
        )
    return found


def _key(entry: Mapping[str, Any], name: str, where: str) -> int | str:
    found = entry.get(name)
    if isinstance(found, bool) or not isinstance(found, (int, str)):
        raise DataError(f"{where}: {name} is {str(found)[:40]!r}, and should be a number")
    return found


def _inside(image: Mapping[str, Any], folder: Path, where: str) -> Path:
    """The picture's file, which its name may not lead out of the folder."""
    name = image.get("file_name")
    if not isinstance(name, str) or not plain_name(name):
        raise DataError(f"{where}: file_name is {str(name)[:40]!r}, and should be the path of a picture")
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{where}: file_name {name[:80]!r} leads out of {folder}, and should lie in it")
    return file


def _sides(image: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _classes(
    categories: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    path: Path,
) -> dict[Any, int]:
    """The class of each category's id."""
    ids = [_key(one, "id", f"{path}: categories[{k}]") for k, one in enumerate(categories)]
    if len(set(ids)) < len(ids):
        raise DataError(f"{path}: two categories have one id")
    if not names:
        return {one: k for k, one in enumerate(ids)}
    used = {annotation.get("category_id") for annotation in annotations if _hashable(annotation.get("category_id"))}
    known = {name.strip(): k for k, name in reversed(list(enumerate(names)))}
    called = {key: str(one.get("name", "")).strip() for key, one in zip(ids, categories, strict=True)}
    missing = [name for key, name in called.items() if key in used and name not in known]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} categories are no line of [model] labels: {', '.join(missing[:SHOWN])}",
            try_="labels with the names of the categories, in the order of the model's classes",
        )
    return {key: known[name] for key, name in called.items() if name in known}


def _hashable(value: Any) -> bool:
    return isinstance(value, (int, str))


def _corners(annotation: Mapping[str, Any], where: str) -> tuple[float, float, float, float]:
    box = annotation.get("bbox")
    good = isinstance(box, list) and len(box) == 4
    if not good or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e6 for v in box or ()):
        raise DataError(f"{where}: bbox is {str(box)[:60]}, and should be x, y, width, height in pixels")
    assert box is not None
    x, y, width, height = (float(v) for v in box)
    if width < 0 or height < 0:
        raise DataError(f"{where}: bbox is {box}, and its width and height should not be below 0")
    return x, y, x + width, y + height

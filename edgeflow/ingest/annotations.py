"""Pictures with annotations as the tools around them keep both: COCO JSON, a file for each picture (VOC XML, YOLO text,
PNG masks) in a folder or in a list, or PaddleOCR's list of text boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.ingest.box_files import numbered, quads, voc, yolo
from edgeflow.ingest.coco import read_coco
from edgeflow.ingest.marks import BOX_COLUMNS, Annotated, Marks, together_of

SUFFIXES = (".xml", ".txt", ".png")
"""Of annotations with a file for each picture: VOC, YOLO, masks."""
EMPTY = np.empty((0, BOX_COLUMNS))
TOO_FEW = 0.5
"""With fewer YOLO files than this share of the pictures, a folder is probably another one than meant."""


def annotated(
    source: Path, annotations: Path, files: Callable[[], Sequence[Path]], names: Sequence[str], where: str
) -> Annotated:
    """The pictures of a folder or a list, with annotations from a COCO file or a folder.

    Args:
        source: the folder of the pictures, where COCO's file names begin.
        files: gives the pictures, where COCO does not say which.
        names: lines of [model] labels, empty where there are none.

    Raises:
        DataError: annotations are missing or cannot be used; all of them are named.
    """
    if annotations.suffix == ".json":
        return read_coco(annotations, source if source.is_dir() else source.parent, names, where)
    if not annotations.is_dir():
        raise DataError(
            f"{where}: annotations {annotations} should be a COCO .json or a folder with a file for each picture",
            try_="one .xml (VOC), .txt (YOLO) or .png (mask) for each picture, of the same name",
        )
    there = {path.stem: path for path in sorted(annotations.iterdir()) if path.suffix in SUFFIXES}
    kinds = {path.suffix for path in there.values() if path.name != "classes.txt"}  # which labelImg writes beside
    if len(kinds) != 1:
        held = " and ".join(sorted(kinds)) or f"none of {', '.join(SUFFIXES)}"
        raise DataError(f"{where}: annotations {annotations} holds {held}, and should hold one kind of annotation")
    suffix = kinds.pop()
    pictures = list(files())
    pairs = [annotations / f"{file.stem}{suffix}" for file in pictures]
    absent = [path.name for path in pairs if path.stem not in there]
    if absent and (suffix != ".txt" or len(absent) > TOO_FEW * len(pairs)):
        raise DataError(
            f"{where}: {len(absent)} of {len(pairs)} pictures have no annotation in {annotations}",
            try_="an annotation for each picture, of the same name"
            + ("; YOLO has none for a picture without a box, an empty file says the same" if suffix == ".txt" else ""),
            lines=[", ".join(absent[:10])],
        )
    return Annotated(tuple(pictures), read_marks(pairs, names, where, empty=set(absent)))


def read_marks(
    pairs: Iterable[Path], names: Sequence[str], where: str, *, empty: set[str] | frozenset[str] = frozenset()
) -> tuple[Marks, ...]:
    """The annotations of pictures, each from its file; `empty` files are not there and hold no box.

    Raises:
        DataError: some cannot be used; all of them are named.
    """
    classes = numbered(names)
    found, wrong = [], []
    for path in pairs:
        if path.suffix == ".xml" and not classes:
            raise DataError(
                f"{where}: VOC annotations name their classes, and the recipe has no labels to number them",
                try_='labels = "labels.txt" under [model], the names of the classes in the model\'s order',
            )
        try:
            if path.suffix == ".png":
                found.append(Marks(mask=path))
            elif path.suffix == ".xml":
                found.append(voc(path, classes))
            else:
                found.append(Marks(EMPTY) if path.name in empty else yolo(path))
        except DataError as err:
            wrong.append(err.what)
    if wrong:
        raise together_of(wrong, len(found) + len(wrong), where)
    return tuple(found)


def annotated_list(
    path: Path, files: Sequence[Path], labels: Sequence[str], names: Sequence[str], where: str
) -> Annotated | None:
    """The pictures of a list whose lines name an annotation each, or hold text boxes; None where they hold classes or
    texts.

    Raises:
        DataError: annotations of several kinds, missing, outside the list's folder, or of another form.
    """
    if all(label.lstrip().startswith("[") for label in labels):
        return Annotated(tuple(files), _quads(labels, where))
    kinds = {suffix for label in labels for suffix in (Path(label).suffix,)}
    if not kinds & set(SUFFIXES) or not any((path.parent / label).is_file() for label in labels):
        return None
    if len(kinds) > 1:
        raise DataError(f"{where}: its annotations end in {', '.join(sorted(kinds))}, and should be of one kind")
    pairs = [path.parent / label.strip() for label in labels]
    root = path.parent.resolve()
    wrong = [
        f"{pair} leads out of the list's folder" if pair.is_file() else f"{pair} does not exist"
        for pair in pairs
        if not (pair.is_file() and pair.resolve().is_relative_to(root))
    ]
    if wrong:
        raise together_of(wrong, len(pairs), where)
    return Annotated(tuple(files), read_marks(pairs, names, where))


def _quads(labels: Sequence[str], where: str) -> tuple[Marks, ...]:
    found, wrong = [], []
    for number, label in enumerate(labels, 1):
        try:
            found.append(quads(label, f"line {number}"))
        except DataError as err:
            wrong.append(err.what)
    if wrong:
        raise together_of(wrong, len(labels), where)
    return tuple(found)

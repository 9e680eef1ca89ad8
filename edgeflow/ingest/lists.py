"""List files as data: a picture and its class, or its text, on each line, as PaddleClas and PaddleOCR keep them.

Source: PaddleClas docs/zh_CN/training/single_label_classification/dataset.md ("path class", a blank between);
PaddleOCR doc/doc_en/recognition_en.md ("path<TAB>text").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.labels import PAD
from edgeflow.core.samples import Array
from edgeflow.files.inside import open_regular

LIST_MAX_BYTES = 1 << 26


def is_list(path: Path) -> bool:
    """A text file that lists pictures."""
    return path.suffix == ".txt" and path.is_file()


def read_list(path: Path, where: str, *, alone: bool = False) -> tuple[list[Path], list[str]]:
    """The pictures of a list, whose paths start at its own folder, and what stands after each.

    Args:
        alone: a line is a picture and nothing else.

    Raises:
        DataError: no UTF-8, too large, a line without a label, or a picture that is not there; all of these are named.
    """
    try:
        with open_regular(path) as stream:
            raw = stream.read(LIST_MAX_BYTES + 1)
        if len(raw) > LIST_MAX_BYTES:
            raise DataError(f"{where}: is larger than {LIST_MAX_BYTES} bytes, which no list is")
    except OSError as err:
        raise _unread(where, err) from err
    files: list[Path] = []
    labels: list[str] = []
    wrong: list[str] = []
    for number, line in enumerate(_lines(raw, where), 1):
        if not line.strip():
            continue
        name, label = _cut(line, alone=alone)
        file = path.parent / name.strip()
        if not name or not label:
            wrong.append(
                f"line {number}: {line[:80]!r} should be a picture and its label, with a tab or a blank between"
            )
        elif not file.is_file():
            wrong.append(f"line {number}: {file} does not exist")
        files.append(file)
        labels.append(label)
    if wrong or not files:
        raise DataError(
            f"{where}: {len(wrong)} of {len(files)} lines cannot be used" if wrong else f"{where}: lists no picture",
            try_="paths that start at the list's own folder",
            lines=wrong[:10],
        )
    return files, labels


def listed_names(raw: bytes, where: str, *, alone: bool = False) -> list[str]:
    """The files that a list names, in its order.

    Raises:
        DataError: no UTF-8 text.
    """
    return [name for line in _lines(raw, where) if line.strip() and (name := _cut(line, alone=alone)[0].strip())]


def _lines(raw: bytes, where: str) -> list[str]:
    try:
        return raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as err:
        raise _unread(where, err) from err


def _unread(where: str, err: Exception) -> DataError:
    return DataError(f"{where}: cannot be read as a list of pictures ({err}), and should be UTF-8 text")


def _cut(line: str, *, alone: bool) -> tuple[str, str]:
    """What a line names, and what it says of it."""
    if alone:
        return line.strip(), "-"
    name, tab, label = line.partition("\t")
    if not tab:
        name, _, label = line.strip().rpartition(" ")
    return name, label


def classes_or_texts(labels: Sequence[str], dictionary: Sequence[str], where: str, *, blank_last: bool) -> Array:
    """Labels as numbers: classes as they stand there, int64[N]; or letters by their classes, int64[N, longest], padded
    with -1.

    Args:
        dictionary: the recogniser's letters, one a class after the blank (before it, where that is the last class).

    Raises:
        DataError: texts without a dictionary, or with a letter that it has not.
    """
    if not dictionary or all(label.strip().lstrip("-").isdecimal() for label in labels):
        try:
            return np.array([int(label) for label in labels], np.int64)
        except (ValueError, OverflowError) as err:
            raise DataError(
                f"{where}: its labels are texts such as {labels[0][:40]!r}, and the recipe has no dictionary",
                try_='labels = "dict.txt" and task = "ocr_recognise" under [model]',
            ) from err
    return texts(labels, dictionary, where, blank_last=blank_last)


def texts(labels: Sequence[str], dictionary: Sequence[str], where: str, *, blank_last: bool) -> Array:
    """Texts as the classes of their letters, int64[N, longest], padded with -1.

    Raises:
        DataError: a letter is not in the dictionary.
    """
    number = {letter: k + (0 if blank_last else 1) for k, letter in enumerate(dictionary)}
    missing = sorted({letter for label in labels for letter in label if letter not in number})
    if missing:
        raise DataError(
            f"{where}: {len(missing)} letters are not in the dictionary, such as {', '.join(map(repr, missing[:5]))}",
            try_="the dictionary that the model was trained with; space = true under [model] where it has a space",
        )
    found = np.full((len(labels), max(map(len, labels), default=0)), PAD, np.int64)
    for row, label in zip(found, labels, strict=True):
        row[: len(label)] = [number[letter] for letter in label]
    return found

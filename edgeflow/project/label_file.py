"""A file of labels, or the dictionary of a text recogniser: what may stand in it, and how many lines it should have.

Device programs read one label a line; the blank of CTC is no line, and a space is a line of one space.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

from edgeflow.core.errors import RecipeError

MARK = "\ufeff"
TEXT_METRICS = ("cer", "wer", "sequence_accuracy")
Read = Literal["dictionary", "classes"]
REMEDY = "the file that the model was trained with, no line lost or added"


def lines_of(raw: bytes) -> list[str]:
    """Lines as the device programs see them: a last empty one is none. Source: read_lines in demos/files.cpp."""
    lines = raw.decode("utf-8").split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def validate_lines(raw: bytes, where: str) -> None:
    """Hold the content to what it can be.

    Raises:
        RecipeError: no UTF-8, empty, a byte order mark, or an empty line, which stands for a lost one.
    """
    try:
        lines = lines_of(raw)
    except UnicodeDecodeError as err:
        raise RecipeError(
            f"{where}: cannot be read as labels ({err}), and should be UTF-8 text, one label a line"
        ) from err
    if not raw.strip():
        raise RecipeError(f"{where}: is empty, and should hold one label a line")
    if lines[0].startswith(MARK):
        raise RecipeError(
            f"{where}: begins with a byte order mark, which would be part of the first label",
            try_="save it as UTF-8 without BOM",
        )
    if "" in lines:
        number = lines.index("") + 1
        raise RecipeError(
            f"{where}: line {number} is empty, and each line should be a label (a space is a line of one space)",
            try_=REMEDY,
        )


def doubts_of(raw: bytes, *, text: bool) -> list[str]:
    """What is odd in lines that can be read: the same twice, blanks around a label, several letters in a dictionary."""
    lines = lines_of(raw)
    seen: dict[str, int] = {}
    twice = [(line, seen[line], k) for k, line in enumerate(lines, 1) if seen.setdefault(line, k) != k]
    found = [f"lines {first} and {second} are both {line!r}" for line, first, second in twice[:1]]
    wide = [k for k, line in enumerate(lines, 1) if line.strip() and line != line.strip()]
    if wide:
        found.append(f"line {wide[0]} has blanks around its label: {lines[wide[0] - 1]!r}")
    if text and (long := [k for k, line in enumerate(lines, 1) if len(line.strip()) > 1]):
        found.append(f"line {long[0]} holds several letters: {lines[long[0] - 1]!r}")
    return found


def labels_are(task: str | None, metric: str | None, kind: str | None = None) -> Read | None:
    """What the lines are: the recipe's task says so, or without one its metric or the kind of its first output."""
    name = (metric or "").partition(":")[0]
    if task == "ocr_recognise" or (task is None and (name in TEXT_METRICS or kind == "ctc")):
        return "dictionary"
    if task in ("classify", "classify_text") or (task is None and name in ("top1", "top5")):
        return "classes"
    return None


def validate_count(raw: bytes, shape: Sequence[int], where: str, are: Read | None, *, scores: bool = True) -> None:
    """Hold the number of lines to the classes of the model's first output, where it is class scores.

    Args:
        shape: of that output; -1 where it is not known.
        are: what the lines are.
        scores: its values are floats; classes as whole numbers say nothing of how many there are.

    Raises:
        RecipeError: there are more or fewer lines than the classes need.
    """
    lines, remedy = len(lines_of(raw)), REMEDY
    if are == "dictionary":
        classes, wanted, why = shape[-1] if len(shape) == 3 else -1, shape[-1] - 1, "one for each class but the blank"
        if lines == wanted - 1:
            remedy = f"{REMEDY}; or space = true under [model], where it was trained with a space that is no line"
        elif lines == wanted + 1:
            remedy = f"{REMEDY}; the blank is no line"
    elif are == "classes":
        classes = wanted = prod(shape[1:]) if scores and all(size > 0 for size in shape[1:]) else -1
        why = "one for each score of the model"
        if lines == wanted - 1:
            remedy = f"{REMEDY}; a class for the background is a line too"
    else:
        return
    if scores and classes > 1 and lines != wanted:
        raise RecipeError(f"{where}: has {lines} lines, and should have {wanted}, {why}", try_=remedy)

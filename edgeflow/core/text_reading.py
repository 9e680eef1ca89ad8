"""The text in a recogniser's scores: greedy CTC with a dictionary; the twin of read_text in demos/text.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.metric import Array

SPACE = " "


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, and the mean score of its letters: 0 without any."""

    text: str
    score: float


def read_text(scores: Array, dictionary: Sequence[str], *, blank: int = 0, merge: bool = True) -> Reading:
    """The text of one line: the best class of each step, repeats merged into the first, blanks left out.

    Args:
        scores: float[steps, classes]. A step that holds NaN reads nothing.
        dictionary: the letters of all classes but the blank, in their order; a space is one of them.
        blank: its class; -1 for the last one.
        merge: repeats are one letter, as CTC has it.

    Raises:
        DataError: the dictionary does not fit the classes.
    """
    if scores.ndim != 2:
        raise DataError(f"scores of a line: have shape {list(scores.shape)}, and should be [steps, classes]")
    letters = letters_of(scores.shape[1], dictionary, blank=blank)
    blank = blank % scores.shape[1]
    best = scores.argmax(1) if len(scores) else np.empty(0, np.int64)
    best = np.where(np.isnan(scores).any(1), blank, best) if scores.dtype.kind == "f" else best
    text, total, last = [], 0.0, -1
    for step, k in enumerate(best.tolist()):
        if k != blank and not (merge and k == last):
            text.append(letters[k])
            total += float(scores[step, k])
        last = k
    return Reading("".join(text), total / len(text) if text else 0.0)


def letters_of(classes: int, dictionary: Sequence[str], *, blank: int = 0, where: str = "dictionary") -> list[str]:
    """What each class of a recogniser stands for; the blank is an empty text.

    Raises:
        DataError: lines are lost or too many, both numbers named.
    """
    if not -1 <= blank < classes:
        raise DataError(f"{where}: the blank is class {blank}, and the recogniser has the classes 0..{classes - 1}")
    letters = list(dictionary)
    if len(letters) != classes - 1:
        few = len(letters) < classes - 1
        remedy = "the file that the model was trained with, no line lost or added"
        if len(letters) == classes:
            remedy += "; the blank is no line of it"
        elif few and SPACE not in letters:
            remedy += "; a space may be a line of one space at its end"
        raise DataError(
            f"{where}: has {len(dictionary)} lines, and should have {classes - 1}, one for each of the {classes} "
            "classes of the recogniser but the blank",
            try_=remedy,
        )
    place = blank % classes
    return [*letters[:place], "", *letters[place:]]

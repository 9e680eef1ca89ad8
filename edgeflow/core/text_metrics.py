"""Metrics of texts that a recogniser reads: CTC, sequence accuracy, error rates of characters and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeflow.core.errors import BackendMissing, DataError
from edgeflow.core.labels import PAD, classes_in, same_count
from edgeflow.core.metric import Array, Metric, ratio, share
from edgeflow.core.metric_names import Asked

BLANK = 0
"""Class that a CTC recogniser gives between characters. Source: PaddleOCR ppocr/postprocess/rec_postprocess.py."""

LAST = -1
"""The blank is the last class, as in TensorFlow, Keras and many PyTorch projects."""

Text = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """What was read of each sample, as classes, and which class is the blank."""

    read: list[Text]
    blank: int

    def part(self, step: int) -> Texts:
        return Texts(self.read[::step], self.blank)


def ctc_texts(scores: Array, blank: int = BLANK) -> list[Text]:
    """Greedy CTC: the best class of each step, repeats merged, blanks dropped; scores [N, T, C] or classes [N, T].

    A step whose scores hold NaN reads nothing.
    """
    best = scores.argmax(-1) if scores.ndim == 3 else scores
    if scores.ndim == 3 and scores.dtype.kind == "f":
        best = np.where(np.isnan(scores).any(-1), PAD, best)
    texts = []
    for row in best:
        kept = row[np.concatenate([[True], row[1:] != row[:-1]])] if len(row) else row
        texts.append(tuple(int(c) for c in kept if c not in (blank, PAD)))
    return texts


def text_metric(name: str, asked: Asked) -> Metric:
    """`sequence_accuracy`, `cer` or `wer:ID`."""
    said = asked.options.get("blank", str(BLANK))
    blank, space = LAST if said == "last" else int(said), int(asked.options.get("", "0"))
    first = "time" in asked.options
    if asked.kind == "sequence_accuracy":
        return _ctc(name, blank, first, lambda a, b: [float(a == b)], total=share, counts_samples=True)

    def errors(a: Sequence[Any], b: Sequence[Any]) -> list[float]:
        return [edits(a, b), len(b)]

    def of_words(a: Text, b: Text) -> list[float]:
        return errors(_words(a, space), _words(b, space))

    compare = of_words if asked.kind == "wer" else errors
    return _ctc(name, blank, first, compare, total=ratio, higher_is_better=False)


def _ctc(name: str, blank: int, first: bool, compare: Callable[[Text, Text], list[float]], **rest: Any) -> Metric:
    """A metric of texts: scores [N, T, C], [T, N, C], or classes [N, T]; labels [N, L], padded."""

    def answers(outputs: Sequence[Array], labels: Array) -> Texts:
        scores = outputs[0]
        if scores.ndim == 3 and (first or scores.shape[1] == len(labels) != scores.shape[0]):
            scores = np.swapaxes(scores, 0, 1)
        elif scores.ndim == 2 and first:
            scores = scores.T
        same_count(name, scores, labels)
        if scores.ndim not in (2, 3):
            raise DataError(
                f"metric {name}: the output has shape {list(scores.shape)}, and should have [samples, steps, classes], "
                "[steps, samples, classes] or [samples, steps]"
            )
        classes = scores.shape[2] if scores.ndim == 3 else None
        if blank == LAST and classes is None:
            raise DataError(
                f"metric {name}: a class map does not say which class is the last",
                try_="blank=NUMBER instead of blank=last",
            )
        if classes is not None and blank >= classes:
            raise DataError(
                f"metric {name}: the blank is class {blank}, and the output {list(outputs[0].shape)} has the classes "
                f"0..{classes - 1}",
                try_="the index of the blank among the classes, or blank=last",
            )
        classes_in(name, labels, classes, (PAD,))
        place = classes - 1 if blank == LAST and classes is not None else blank
        return Texts(ctc_texts(scores, place), place)

    def parts(texts: Texts, labels: Array) -> Array:
        rows = labels.reshape(len(labels), -1)
        wanted = [tuple(int(c) for c in row if c not in (texts.blank, PAD)) for row in rows]
        return np.asarray([compare(a, b) for a, b in zip(texts.read, wanted, strict=True)], np.float64)

    def lacks(labels: Array) -> str:
        nothing = (PAD,) if blank == LAST else (PAD, blank)
        return "" if (~np.isin(labels, nothing)).any() else "no label holds a character"

    return Metric(answers, parts, needs="classes [N, L] of the characters, padded with -1", lacks=lacks, **rest)


def edits(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How many letters have to be changed, put in or left out.

    Raises:
        BackendMissing: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as err:
        raise BackendMissing(
            f"rapidfuzz is not installed ({err}), which error rates of text need",
            try_="pip install 'edgeflow[metrics]'",
        ) from err
    return int(Levenshtein.distance(a, b))


def _words(text: Text, space: int) -> list[Text]:
    words: list[list[int]] = [[]]
    for character in text:
        if character == space:
            words.append([])
        else:
            words[-1].append(character)
    return [tuple(word) for word in words if word]

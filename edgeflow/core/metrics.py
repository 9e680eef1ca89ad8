"""What a model is for, as one number over samples that can be resampled."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import BackendMissing, DataError
from edgeflow.core.labels import PAD, class_axis, classes_in, same_count, void_of

Array = npt.NDArray[Any]

BLANK = 0
"""Class that a CTC recogniser gives between characters. Source: PaddleOCR ppocr/postprocess/rec_postprocess.py."""

LAST = -1
"""The blank is the last class, as in TensorFlow, Keras and many PyTorch projects."""

CLASSES_MAX = 1 << 16
"""A class map says no number of classes; more than these are no classes but a mistake."""

NO_CLASS = -1
"""An answer that is none: NaN among the scores, a negative number in a class map."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in three steps, so that each can be had alone.

    `answers` of the outputs in the labels' terms, [samples, ...]; `compare` them with the labels into parts of each
    sample, float64[samples, k]; `total` of their sums and how many there were. `counts_samples`: parts[:, 0] is 1
    for a right sample and 0 for a wrong one, and the total is their share.
    """

    answers: Callable[[Sequence[Array], Array], Any]
    compare: Callable[[Any, Array], Array]
    total: Callable[[Array, int], float]
    higher_is_better: bool = True
    counts_samples: bool = False

    def parts(self, outputs: Sequence[Array], labels: Array) -> Array:
        return self.compare(self.answers(outputs, labels), labels)

    def __call__(self, outputs: Sequence[Array], labels: Array) -> float:
        parts = self.parts(outputs, labels)
        return self.total(parts.sum(0), len(parts))


def _share(sums: Array, count: int) -> float:
    return float(sums[0] / count)


def _ratio(sums: Array, count: int) -> float:
    return float(sums[0] / sums[1]) if sums[1] > 0 else 0.0


def best_classes(scores: Array, k: int) -> Array:
    """The k best of [N, C] by value, whatever the dtype; ties fall the same way each time, NaN is no answer."""
    order = np.argsort(scores[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :k]
    best = np.asarray(scores.shape[1] - 1 - order)
    if scores.dtype.kind == "f":
        best[np.isnan(scores).any(axis=1)] = NO_CLASS
    return best


def _top(name: str, k: int) -> Metric:
    def answers(outputs: Sequence[Array], labels: Array) -> Array:
        first = outputs[0]
        same_count(name, first, labels)
        scores = first.reshape(len(first), -1)
        if scores.shape[1] == 1 and scores.dtype.kind in "iu":  # argmax is in the model, also with keepdim
            classes_in(name, labels, None)
            return scores
        if scores.shape[1] == 1:
            raise DataError(
                f"metric {name}: the output has one score a sample, {list(first.shape)}, which has no best class",
                try_="a metric of your own, file.py:function, that knows the threshold",
            )
        classes_in(name, labels, scores.shape[1])
        return best_classes(scores, k)

    def compare(best: Array, labels: Array) -> Array:
        return np.asarray((best == labels.reshape(-1)[:, None]).any(axis=1)[:, None], np.float64)

    return Metric(answers, compare, _share, counts_samples=True)


def class_map(name: str, outputs: Sequence[Array], labels: Array) -> tuple[Array, int | None]:
    """Classes in the shape of the labels, and how many there are; None where the output is a class map itself.

    Raises:
        DataError: neither scores with one axis more than the labels nor classes of their shape.
    """
    answers = outputs[0]
    same_count(name, answers, labels)
    if [dim for dim in answers.shape if dim != 1] == [dim for dim in labels.shape if dim != 1]:
        if answers.dtype.kind == "f" and not np.array_equal(answers, np.floor(answers)):
            raise DataError(
                f"metric {name}: the output {list(answers.shape)} has one score for each label, and should have "
                "scores of every class or the classes themselves",
                try_="end the model in argmax, or a metric of your own that knows the threshold",
            )
        return np.where(answers >= 0, answers, NO_CLASS).astype(np.int64).reshape(labels.shape), None
    axis = class_axis(answers.shape, labels.shape)
    if axis is None:
        raise DataError(
            f"metric {name}: answers of shape {list(answers.shape)} for labels of shape {list(labels.shape)}"
        )
    best = np.asarray(answers.argmax(axis))
    if answers.dtype.kind == "f":
        best[np.isnan(answers).any(axis)] = NO_CLASS
    return np.reshape(best, labels.shape), int(answers.shape[axis])


@dataclass(frozen=True, slots=True)
class Answered:
    """Classes in the shape of the labels, and which labels are left out."""

    found: Array
    classes: int
    void: tuple[int, ...]

    def seen(self, labels: Array) -> Array:
        return np.isin(labels, self.void, invert=True)


def _answered(name: str, outputs: Sequence[Array], labels: Array) -> Answered:
    found, known = class_map(name, outputs, labels)
    top = int(found.max(initial=0))
    void = (PAD,) if labels.ndim == 1 else void_of(top + 1 if known is None else known)
    wanted = classes_in(name, labels, CLASSES_MAX if known is None else known, void)
    top = max(top, int(wanted[~np.isin(wanted, void)].max(initial=0)))
    if top >= CLASSES_MAX:
        raise DataError(f"metric {name}: the output holds {top}, which is no class below {CLASSES_MAX}")
    return Answered(found, top + 1 if known is None else known, void)


def _accuracy() -> Metric:
    """Answers that equal the labels; what is padding or void is left out."""

    def compare(answered: Answered, labels: Array) -> Array:
        seen = answered.seen(labels).reshape(len(labels), -1)
        right = (answered.found == labels).reshape(len(labels), -1) & seen
        return np.asarray(np.stack([right.sum(1), seen.sum(1)], 1), np.float64)

    return Metric(partial(_answered, "accuracy"), compare, _ratio)


def _iou() -> Metric:
    """Intersections, then unions, of each class."""

    def compare(answered: Answered, labels: Array) -> Array:
        rows, classes, count = [], answered.classes, len(labels)
        for answer, label in zip(answered.found.reshape(count, -1), labels.reshape(count, -1), strict=True):
            seen = answered.seen(label)
            a, b = answer[seen], label[seen].astype(np.int64)
            hit = np.bincount(b[a == b], minlength=classes)
            union = np.bincount(a[a >= 0], minlength=classes) + np.bincount(b, minlength=classes) - hit
            rows.append(np.concatenate([hit, union]))
        return np.asarray(rows, np.float64)

    return Metric(partial(_answered, "miou"), compare, _mean_iou)


def _mean_iou(sums: Array, count: int) -> float:
    hit, union = sums[: len(sums) // 2], sums[len(sums) // 2 :]
    return float(np.mean(hit[union > 0] / union[union > 0])) if np.any(union > 0) else 0.0


Text = tuple[int, ...]


def ctc_texts(scores: Array, blank: int = BLANK) -> list[Text]:
    """Greedy CTC: the best class of each step, repeats merged, blanks dropped; scores [N, T, C] or classes [N, T]."""
    best = scores.argmax(-1) if scores.ndim == 3 else scores
    texts = []
    for row in best:
        kept = row[np.concatenate([[True], row[1:] != row[:-1]])] if len(row) else row
        texts.append(tuple(int(c) for c in kept if c not in (blank, PAD)))
    return texts


def _ctc(name: str, blank: int, compare: Callable[[Text, Text], list[float]], **rest: Any) -> Metric:
    """A metric of texts: scores [N, T, C], [T, N, C], or classes [N, T]; labels [N, L], padded."""

    def answers(outputs: Sequence[Array], labels: Array) -> tuple[list[Text], int]:
        scores = outputs[0]
        if scores.ndim == 3 and scores.shape[1] == len(labels) != scores.shape[0]:
            scores = np.swapaxes(scores, 0, 1)  # time first
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
        classes_in(name, labels, classes, (PAD,))
        place = classes - 1 if blank == LAST and classes is not None else blank
        return ctc_texts(scores, place), place

    def parts(answered: tuple[list[Text], int], labels: Array) -> Array:
        got, place = answered
        wanted = [tuple(int(c) for c in row if c not in (place, PAD)) for row in labels.reshape(len(labels), -1)]
        return np.asarray([compare(a, b) for a, b in zip(got, wanted, strict=True)], np.float64)

    return Metric(answers, parts, **rest)


def _edits(a: Sequence[Any], b: Sequence[Any]) -> int:
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


def _of_texts(name: str, kind: str, blank: int, space: int = 0) -> Metric:
    if kind == "sequence_accuracy":
        return _ctc(name, blank, lambda a, b: [float(a == b)], total=_share, counts_samples=True)

    def errors(a: Sequence[Any], b: Sequence[Any]) -> list[float]:
        return [_edits(a, b), len(b)]

    if kind == "wer":
        return _ctc(
            name,
            blank,
            lambda a, b: errors(_words(a, space), _words(b, space)),
            total=_ratio,
            higher_is_better=False,
        )
    return _ctc(name, blank, errors, total=_ratio, higher_is_better=False)


METRICS: dict[str, Metric] = {
    "top1": _top("top1", 1),
    "top5": _top("top5", 5),
    "accuracy": _accuracy(),
    "miou": _iou(),
    "sequence_accuracy": _of_texts("sequence_accuracy", "sequence_accuracy", BLANK),
    "cer": _of_texts("cer", "cer", BLANK),
}
"""Metrics by name; beside them `wer:ID`, whose ID is the class of the space, those of texts with `:blank=last` or
`:blank=ID` behind, and `map` (core/detection.py)."""

TEXTS = re.compile(r"(?P<kind>sequence_accuracy|cer|wer)(:(?P<space>\d{1,9}))?(:blank=(?P<blank>last|\d{1,9}))?")


def metric_named(name: str) -> Metric | None:
    """A built-in metric, with its options; None for `map`, which no sums make up, and for functions of a recipe.

    Raises:
        DataError: an option is none of this metric.
    """
    if name in METRICS:
        return METRICS[name]
    kind = name.partition(":")[0]
    if ".py:" in name or kind not in ("wer", "cer", "sequence_accuracy"):
        return None
    found = TEXTS.fullmatch(name)
    if found is None or (found["space"] is not None) != (kind == "wer"):
        raise DataError(
            f"metric {name!r}: should be wer:ID, the class that is the space, cer or sequence_accuracy, each with "
            ":blank=last or :blank=ID behind it where the blank is not class 0",
            try_='name = "wer:95", name = "cer:blank=last"',
        )
    blank = BLANK if found["blank"] is None else LAST if found["blank"] == "last" else int(found["blank"])
    return _of_texts(name, kind, blank, int(found["space"] or 0))


def loss(name: str, reference: float, candidate: float) -> float:
    """How much worse the candidate is, in units of the metric; below 0 where it is better. A recipe's own metric
    rises.
    """
    metric = metric_named(name)
    return candidate - reference if metric is not None and not metric.higher_is_better else reference - candidate

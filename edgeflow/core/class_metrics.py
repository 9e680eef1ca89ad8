"""Metrics of classes: of whole samples, of tokens and of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.labels import PAD, VOID, class_axis, classes_in, one_of, same_count, void_of
from edgeflow.core.metric import Array, ClassScore, Metric, ratio, share
from edgeflow.core.metric_names import Asked

CLASSES_MAX = 1 << 16
"""A class map says no number of classes; more than these are no classes but a mistake."""

BLOCK_VALUES = 1 << 22
"""Labels that are counted at once: some 100 MB."""

CACHED_VALUES = 1 << 15
"""Pixels that are counted at once where tables are small: what stays in a processor's cache."""

PARTS_MAX = 1 << 27
"""Counts of classes by sample, in all: a gigabyte. More is no metric of classes, such as words of a vocabulary."""

NO_CLASS = -1
"""An answer that is none: NaN among the scores, a negative number in a class map."""


def best_classes(scores: Array, k: int) -> Array:
    """The k best of [N, C] by value, whatever the dtype; ties fall the same way each time, NaN is no answer."""
    order = np.argsort(scores[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :k]
    best = np.asarray(scores.shape[1] - 1 - order)
    if scores.dtype.kind == "f":
        best[np.isnan(scores).any(axis=1)] = NO_CLASS
    return best


def top(k: int) -> Metric:
    """Whether the label is among the k best classes."""
    name = f"top{k}"

    def answers(outputs: Sequence[Array], labels: Array) -> Array:
        first = outputs[0]
        same_count(name, first, labels)
        if labels.size != len(labels):
            raise DataError(
                f"metric {name}: labels have shape {list(labels.shape)}, and should be one class a sample, [N]",
                try_="accuracy, token_accuracy or pixel_accuracy for a class of each token or pixel",
            )
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

    return Metric(answers, compare, share, counts_samples=True, needs="a class for each sample")


def class_map(
    name: str, outputs: Sequence[Array], labels: Array, threshold: float | None = None
) -> tuple[Array, int | None]:
    """Classes in the shape of the labels, and how many there are; None where the output is a class map itself.

    Args:
        threshold: a score above it is class 1, any other class 0, where there is one score for each label.

    Raises:
        DataError: neither scores with one axis more than the labels nor classes of their shape.
    """
    answers = outputs[0]
    same_count(name, answers, labels)
    if [dim for dim in answers.shape if dim != 1] == [dim for dim in labels.shape if dim != 1]:
        if threshold is not None:
            found = np.where(np.isnan(answers), NO_CLASS, answers > threshold)
            return found.astype(np.int64).reshape(labels.shape), 2
        if answers.dtype.kind == "f" and not np.array_equal(answers, np.floor(answers)):
            raise DataError(
                f"metric {name}: the output {list(answers.shape)} has one score for each label, and should have "
                "scores of every class or the classes themselves",
                try_=f'end the model in argmax, or [metric] name = "{name}:threshold=0.5": a score above is class 1',
            )
        found = answers if answers.min(initial=0) >= 0 else np.where(answers >= 0, answers, NO_CLASS)
        return found.astype(np.int64).reshape(labels.shape), None
    axis = class_axis(answers.shape, labels.shape)
    if axis is None or threshold is not None:
        raise DataError(
            f"metric {name}: answers of shape {list(answers.shape)} for labels of shape {list(labels.shape)}"
            + (", and a threshold, which takes one score for each label" if threshold is not None else "")
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
        return ~one_of(labels, self.void)


def answered(name: str, asked: Asked, outputs: Sequence[Array], labels: Array) -> Answered:
    """Answers by class, with labels held to the classes that there are."""
    threshold = asked.options.get("threshold")
    found, known = class_map(name, outputs, labels, None if threshold is None else float(threshold))
    top_class = int(found.max(initial=0))
    void = (PAD,) if labels.ndim == 1 else void_of(top_class + 1 if known is None else known)
    void = tuple(dict.fromkeys((*void, *asked.numbers("ignore"))))
    wanted = classes_in(name, labels, CLASSES_MAX if known is None else known, void)
    if known is not None:
        return Answered(found, known, void)
    top_class = max(top_class, int(wanted[~one_of(wanted, void)].max(initial=0)))
    if top_class >= CLASSES_MAX:
        raise DataError(f"metric {name}: the output holds {top_class}, which is no class below {CLASSES_MAX}")
    return Answered(found, top_class + 1, void)


def left_out(given: Answered, labels: Array) -> str:
    """Which labels are not counted, and how many of each."""
    counts = {value: int(np.count_nonzero(labels == value)) for value in given.void}
    if not any(counts.values()):
        return ""
    each = ", ".join(f"{value} ({count:,})" for value, count in counts.items() if count)
    return f"{sum(counts.values()):,} of {labels.size:,} labels are left out: {each}"


def counts(given: Answered, labels: Array) -> tuple[Array, Array, Array]:
    """Right answers, labels and answers of each class: three int64[samples, classes].

    Raises:
        DataError: so many classes of so many samples are not counted.
    """
    many, classes = len(labels), given.classes
    if many * classes > PARTS_MAX:
        raise DataError(
            f"metric of classes: {classes} classes of {many} samples are more than it counts by class",
            try_="accuracy, or fewer samples",
        )
    found, wanted = given.found.reshape(many, -1), labels.reshape(many, -1)
    sums = np.empty((3, many, classes), np.int64)
    if 16 * (classes + 1) ** 2 <= found.shape[1]:
        step = max(1, CACHED_VALUES // found.shape[1])
        for begin in range(0, many, step):
            tables = _tables(given, found[begin : begin + step], wanted[begin : begin + step])
            right = np.diagonal(tables, axis1=1, axis2=2)[:, :-1]
            sums[:, begin : begin + step] = right, tables[:, :-1].sum(2), tables[:, :-1, :-1].sum(1)
        return sums[0], sums[1], sums[2]
    step = max(1, BLOCK_VALUES // max(found.shape[1], 1))
    for begin in range(0, many, step):
        block = slice(begin, begin + step)
        seen = given.seen(wanted[block])
        rows = np.broadcast_to(np.arange(len(seen))[:, None], seen.shape)[seen] * classes
        answer, label = found[block][seen], wanted[block][seen].astype(np.int64)
        for k, (which, values) in enumerate(((answer == label, label), (slice(None), label), (answer >= 0, answer))):
            flat = np.bincount(rows[which] + values[which], minlength=len(seen) * classes)
            sums[k, block] = flat.reshape(len(seen), classes)
    return sums[0], sums[1], sums[2]


def _tables(given: Answered, found: Array, wanted: Array) -> Array:
    """How often each label (rows) got each answer (columns) in each sample, what is void or no answer last: for maps,
    the fastest.
    """
    none, many = given.classes, len(found)
    label, void = wanted.astype(np.intp), ~given.seen(wanted)
    if void.any():
        label[void] = none
    answer = found if found.min(initial=0) >= 0 else np.where(found >= 0, found, none)
    place = (np.arange(many)[:, None] * (none + 1) + label) * (none + 1) + answer
    return np.bincount(place.reshape(-1), minlength=many * (none + 1) ** 2).reshape(many, none + 1, none + 1)


def accuracy(name: str, asked: Asked, axes: tuple[int, int] = (1, 9), needs: str = "classes [N, …]") -> Metric:
    """Answers that equal the labels; what is padding or void is left out.

    Args:
        axes: how many the labels have at least and at most.
        needs: the same in words.
    """

    def answers(outputs: Sequence[Array], labels: Array) -> Answered:
        if not axes[0] <= labels.ndim <= axes[1]:
            raise DataError(f"metric {name}: labels have shape {list(labels.shape)}, and should be {needs}")
        return answered(name, asked, outputs, labels)

    def compare(given: Answered, labels: Array) -> Array:
        seen = given.seen(labels).reshape(len(labels), -1)
        right = (given.found == labels).reshape(len(labels), -1) & seen
        return np.asarray(np.stack([right.sum(1), seen.sum(1)], 1), np.float64)

    def rows(given: Answered, labels: Array) -> tuple[ClassScore, ...]:
        return class_rows(given, labels, lambda right, wanted, found: right / wanted if wanted else None)

    return Metric(answers, compare, ratio, needs=needs, lacks=_lacks(asked), note=left_out, rows=rows)


def overlap(name: str, asked: Asked, *, twice: bool) -> Metric:
    """Overlap of each class, and the mean of the classes that labels or answers hold.

    Args:
        twice: 2 |A & B| / (|A| + |B|), which is called Dice for pixels and F1 for tokens; else |A & B| / |A | B|.
    """
    without, of = asked.numbers("without"), asked.numbers("of")

    def compare(given: Answered, labels: Array) -> Array:
        right, wanted, found = counts(given, labels)
        both = wanted + found - (0 if twice else right)
        return np.asarray(np.concatenate([right * (2 if twice else 1), both], 1), np.float64)

    def total(sums: Array, count: int) -> float:
        over, under = np.split(sums, 2)
        there = under > 0
        there[[k for k in without if k < len(there)]] = False
        if of:
            there &= np.arange(len(there)) == of[0]
        return float(np.mean(over[there] / under[there])) if there.any() else 0.0

    def rows(given: Answered, labels: Array) -> tuple[ClassScore, ...]:
        def value(right: int, wanted: int, found: int) -> float | None:
            under = wanted + found - (0 if twice else right)
            return None if under == 0 else right * (2 if twice else 1) / under

        return class_rows(given, labels, value)

    return Metric(
        partial(answered, name, asked),
        compare,
        total,
        needs="classes in the outputs' shape",
        lacks=_lacks(asked),
        note=left_out,
        rows=rows,
    )


def class_rows(
    given: Answered, labels: Array, value: Callable[[int, int, int], float | None]
) -> tuple[ClassScore, ...]:
    """A row for each class, of its right answers, its labels and all its answers."""
    sums = [array.sum(0).tolist() for array in counts(given, labels)]
    return tuple(
        ClassScore(str(index), value(right, wanted, found), right, wanted, found)
        for index, (right, wanted, found) in enumerate(zip(*sums, strict=True))
    )


def _lacks(asked: Asked) -> Callable[[Array], str]:
    def lacks(labels: Array) -> str:
        kept = labels[~one_of(labels, (*VOID, *asked.numbers("ignore")))]
        if not kept.size:
            return "every label is void"
        if not kept.any() and 255 not in asked.numbers("ignore") and one_of(labels, (255,)).any():
            return "labels are 0 and 255 alone, as in a mask for the eye: 255 is void, and class 1 should be 1"
        of, without = asked.numbers("of"), asked.numbers("without")
        if of and not (kept == of[0]).any():
            return f"no label is {of[0]}"
        return "every label is of a class that is left out" if without and np.isin(kept, without).all() else ""

    return lacks

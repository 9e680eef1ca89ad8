"""What a model is for, as one number over samples that can be resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import BackendMissing, DataError

Array = npt.NDArray[Any]
PAD = -1
"""In labels of text and of boxes: nothing here."""

BLANK = 0
"""Class that a CTC recogniser gives between characters. Source: PaddleOCR ppocr/postprocess/rec_postprocess.py."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in two steps: `parts` of each sample, float64[samples, k], and `total` of their sums and how many
    there were.

    `counts_samples`: parts[:, 0] is 1 for a right sample and 0 for a wrong one, and the total is their share.
    """

    parts: Callable[[Sequence[Array], Array], Array]
    total: Callable[[Array, int], float]
    higher_is_better: bool = True
    counts_samples: bool = False

    def __call__(self, outputs: Sequence[Array], labels: Array) -> float:
        parts = self.parts(outputs, labels)
        return self.total(parts.sum(0), len(parts))


def _share(sums: Array, count: int) -> float:
    return float(sums[0] / count)


def _ratio(sums: Array, count: int) -> float:
    return float(sums[0] / sums[1]) if sums[1] > 0 else 0.0


def _top(k: int) -> Callable[[Sequence[Array], Array], Array]:
    def parts(outputs: Sequence[Array], labels: Array) -> Array:
        scores = outputs[0].reshape(len(outputs[0]), -1)
        wanted = labels.reshape(-1)
        _same_count(len(scores), len(wanted))
        # A stable order, so that ties fall the same way for reference and candidate.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.asarray((best == wanted[:, None]).any(axis=1)[:, None], np.float64)

    return parts


def _accuracy(outputs: Sequence[Array], labels: Array) -> Array:
    """Whole answers: class indices, or scores along the axis after the batch, equal to the labels everywhere."""
    answers = outputs[0]
    if answers.dtype.kind == "f" and answers.ndim == labels.ndim + 1:
        answers = answers.argmax(1 if answers.ndim > 2 else -1)
    _same_count(len(answers), len(labels))
    if answers.reshape(len(answers), -1).shape != labels.reshape(len(labels), -1).shape:
        raise DataError(
            f"metric accuracy: answers of shape {list(answers.shape)} for labels of shape {list(labels.shape)}"
        )
    return np.asarray(
        (answers.reshape(len(answers), -1) == labels.reshape(len(labels), -1)).mean(1)[:, None], np.float64
    )


def _iou(outputs: Sequence[Array], labels: Array) -> Array:
    """Intersections, then unions, of each class; scores [N, C, H, W] or classes [N, H, W]; labels [N, H, W], -1
    ignored.
    """
    answers = outputs[0]
    classes = answers.shape[1] if answers.ndim == labels.ndim + 1 else int(max(answers.max(), labels.max())) + 1
    if answers.ndim == labels.ndim + 1:
        answers = answers.argmax(1)
    _same_count(len(answers), len(labels))
    if answers.shape != labels.shape:
        raise DataError(f"metric miou: answers of shape {list(answers.shape)} for labels of shape {list(labels.shape)}")
    rows = []
    for answer, label in zip(answers.reshape(len(answers), -1), labels.reshape(len(labels), -1), strict=True):
        seen = label != PAD
        a, b = answer[seen].astype(np.int64), label[seen].astype(np.int64)
        hit = np.bincount(b[a == b], minlength=classes)[:classes]
        union = np.bincount(a, minlength=classes)[:classes] + np.bincount(b, minlength=classes)[:classes] - hit
        rows.append(np.concatenate([hit, union]))
    return np.asarray(rows, np.float64)


def _mean_iou(sums: Array, count: int) -> float:
    hit, union = sums[: len(sums) // 2], sums[len(sums) // 2 :]
    return float(np.mean(hit[union > 0] / union[union > 0])) if np.any(union > 0) else 0.0


def ctc_texts(scores: Array) -> list[tuple[int, ...]]:
    """Greedy CTC: the best class of each step, repeats merged, blanks dropped; scores [N, T, C] or classes [N, T]."""
    best = scores.argmax(-1) if scores.ndim == 3 else scores
    texts = []
    for row in best:
        kept = row[np.concatenate([[True], row[1:] != row[:-1]])] if len(row) else row
        texts.append(tuple(int(c) for c in kept if c not in (BLANK, PAD)))
    return texts


def _texts(outputs: Sequence[Array], labels: Array) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    got = ctc_texts(outputs[0])
    _same_count(len(got), len(labels))
    wanted = [tuple(int(c) for c in row if c not in (BLANK, PAD)) for row in labels.reshape(len(labels), -1)]
    return list(zip(got, wanted, strict=True))


def _sequences(outputs: Sequence[Array], labels: Array) -> Array:
    return np.asarray([[float(got == wanted)] for got, wanted in _texts(outputs, labels)], np.float64)


def _edits(a: Sequence[Any], b: Sequence[Any]) -> int:
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as err:
        raise BackendMissing(
            f"rapidfuzz is not installed ({err}), which error rates of text need",
            try_="pip install 'edgeflow[metrics]'",
        ) from err
    return int(Levenshtein.distance(a, b))


def _characters(outputs: Sequence[Array], labels: Array) -> Array:
    return np.asarray([[_edits(got, wanted), len(wanted)] for got, wanted in _texts(outputs, labels)], np.float64)


def _words(space: int) -> Callable[[Sequence[Array], Array], Array]:
    def split(text: tuple[int, ...]) -> list[tuple[int, ...]]:
        words: list[list[int]] = [[]]
        for character in text:
            if character == space:
                words.append([])
            else:
                words[-1].append(character)
        return [tuple(word) for word in words if word]

    def parts(outputs: Sequence[Array], labels: Array) -> Array:
        pairs = [(split(got), split(wanted)) for got, wanted in _texts(outputs, labels)]
        return np.asarray([[_edits(got, wanted), len(wanted)] for got, wanted in pairs], np.float64)

    return parts


def _same_count(have: int, labels: int) -> None:
    if have != labels:
        raise DataError(f"metric: {labels} labels for {have} samples")


METRICS: dict[str, Metric] = {
    "top1": Metric(_top(1), _share, counts_samples=True),
    "top5": Metric(_top(5), _share, counts_samples=True),
    "accuracy": Metric(_accuracy, _share),
    "miou": Metric(_iou, _mean_iou),
    "sequence_accuracy": Metric(_sequences, _share, counts_samples=True),
    "cer": Metric(_characters, _ratio, higher_is_better=False),
}
"""Metrics by name; beside them `wer:ID`, whose ID is the class of the space, and `map` (core/detection.py)."""


def metric_named(name: str) -> Metric | None:
    """A built-in metric, `wer:ID` included; None for `map`, which no sums make up, and for functions of a recipe.

    Raises:
        DataError: the class of the space is no number.
    """
    if name.startswith("wer:"):
        if not name[4:].isdecimal():
            raise DataError(f"metric {name!r}: should be wer:ID, the class that is the space", try_='name = "wer:95"')
        return Metric(_words(int(name[4:])), _ratio, higher_is_better=False)
    return METRICS.get(name)


def loss(name: str, reference: float, candidate: float) -> float:
    """How much worse the candidate is, in units of the metric; below 0 where it is better. A recipe's own metric
    rises.
    """
    metric = metric_named(name)
    return candidate - reference if metric is not None and not metric.higher_is_better else reference - candidate

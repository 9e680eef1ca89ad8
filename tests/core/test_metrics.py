"""Metrics against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.core.detection import mean_average_precision
from edgeflow.core.errors import DataError
from edgeflow.core.metrics import METRICS, ctc_texts, loss, metric_named


def one_hot(rows: list[list[int]], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[np.asarray(rows)]


def test_text_is_read_and_counted() -> None:
    scores = one_hot([[1, 1, 0, 1, 2], [3, 0, 3, 0, 0]], 5)
    assert ctc_texts(scores) == [(1, 1, 2), (3, 3)]
    labels = np.asarray([[1, 1, 2, -1], [3, 2, -1, -1]])
    assert METRICS["sequence_accuracy"]([scores], labels) == 0.5
    assert METRICS["cer"]([scores], labels) == pytest.approx(1 / 5)
    words = metric_named("wer:3")
    assert words is not None and not words.higher_is_better
    assert words([one_hot([[1, 3, 2, 2]], 5)], np.asarray([[1, 3, 4]])) == 0.5
    with pytest.raises(DataError, match="wer:ID"):
        metric_named("wer:space")


def test_intersection_over_union() -> None:
    scores = np.zeros((1, 2, 2, 2), np.float32)
    scores[0, 1, 0] = 1  # the upper row is class 1, the lower class 0
    labels = np.asarray([[[1, 0], [0, -1]]])
    assert METRICS["miou"]([scores], labels) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert METRICS["miou"]([scores.argmax(1)], labels) == METRICS["miou"]([scores], labels)
    assert METRICS["accuracy"]([np.asarray([1, 2, 3])], np.asarray([1, 0, 3])) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="shape"):
        METRICS["miou"]([scores], np.zeros((1, 3, 3), int))


def test_mean_average_precision() -> None:
    labels = np.full((2, 2, 5), -1.0, np.float32)
    labels[0, 0] = [1, 0, 0, 10, 10]
    labels[1, 0] = [2, 5, 5, 25, 25]
    boxes = np.full((2, 3, 6), -1.0, np.float32)
    boxes[0, 0] = [1, 0.9, 0, 0, 10, 10]
    boxes[1, 0] = [2, 0.8, 5, 5, 25, 25]
    assert mean_average_precision([boxes], labels) == pytest.approx(1.0, abs=1e-6)
    listed = np.stack([boxes[0, 0], boxes[1, 0]])
    assert mean_average_precision([listed, np.asarray([1, 1])], labels) == pytest.approx(1.0, abs=1e-6)
    boxes[1, 0, 2:] += 100
    assert mean_average_precision([boxes], labels) == pytest.approx(0.5, abs=1e-6)
    assert mean_average_precision([boxes], labels, np.asarray([0, 0])) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(DataError, match="boxes"):
        mean_average_precision([np.zeros((2, 7))], labels)


def test_loss_is_above_zero_where_the_candidate_is_worse() -> None:
    assert loss("top1", 0.9, 0.8) == pytest.approx(0.1) and loss("mine.py:score", 0.9, 0.8) == pytest.approx(0.1)
    assert loss("cer", 0.02, 0.6) == pytest.approx(0.58) and loss("wer:0", 0.6, 0.02) == pytest.approx(-0.58)

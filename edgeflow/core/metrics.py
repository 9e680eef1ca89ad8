"""What a model is for, as one number: higher is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import DataError

Array = npt.NDArray[Any]
Metric = Callable[[Sequence[Array], Array], float]


def top1(outputs: Sequence[Array], labels: Array) -> float:
    """Share of samples whose largest score is at the label; first output [samples, classes]."""
    return _top(outputs, labels, 1)


def top5(outputs: Sequence[Array], labels: Array) -> float:
    """Share of samples whose label is among the five largest scores; first output [samples, classes]."""
    return _top(outputs, labels, 5)


def _top(outputs: Sequence[Array], labels: Array, k: int) -> float:
    scores = outputs[0].reshape(len(outputs[0]), -1)
    wanted = labels.reshape(-1)
    if len(scores) != len(wanted):
        raise DataError(f"metric: {len(wanted)} labels for {len(scores)} samples")
    # A stable order, so that ties fall the same way for reference and candidate.
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == wanted[:, None]).any(axis=1)))


METRICS: dict[str, Metric] = {"top1": top1, "top5": top5}

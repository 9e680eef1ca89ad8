"""What a metric is: what a model is for, as one number over samples that can be resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A row of a metric's table: one class, label or kind of entity alone.

    `value` is the metric of this class, None where neither labels nor answers hold it. `wanted` and `found` count it
    in the labels and in the answers, `right` in both at once: pixels, tokens, entities or boxes.
    """

    name: str
    value: float | None
    right: int
    wanted: int
    found: int


def no_lack(labels: Array) -> str:
    """Labels lack nothing."""
    return ""


def no_note(answered: Any, labels: Array) -> str:
    """Nothing is left out."""
    return ""


def no_rows(answered: Any, labels: Array) -> tuple[ClassScore, ...]:
    """No classes that a table could show."""
    return ()


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in three steps, so that each can be had alone.

    `answers` of the outputs in the labels' terms, [samples, ...]; `compare` them with the labels into parts of each
    sample, float64[samples, k]; `total` of their sums and how many there were. `counts_samples`: parts[:, 0] is 1
    for a right sample and 0 for a wrong one, and the total is their share, so that the exact McNemar test judges it;
    else the parts are summed and the bootstrap does. Parts of classes are two halves, each with a column a class.

    `needs`: what labels it takes, in words. `lacks`: what labels have none of, so that it measures nothing; empty
    where they have it. `note`: which labels it left out. `rows`: the same metric for each class.
    """

    answers: Callable[[Sequence[Array], Array], Any]
    compare: Callable[[Any, Array], Array]
    total: Callable[[Array, int], float]
    higher_is_better: bool = True
    counts_samples: bool = False
    needs: str = ""
    lacks: Callable[[Array], str] = no_lack
    note: Callable[[Any, Array], str] = no_note
    rows: Callable[[Any, Array], tuple[ClassScore, ...]] = no_rows

    def parts(self, outputs: Sequence[Array], labels: Array) -> Array:
        return self.compare(self.answers(outputs, labels), labels)

    def __call__(self, outputs: Sequence[Array], labels: Array) -> float:
        parts = self.parts(outputs, labels)
        return self.total(parts.sum(0), len(parts))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A metric of one set of outputs and labels, at any weights: how often each of `count` samples counts.

    `counted`: how many of them hold a label; what a lost one would have cost is shared by these alone.
    """

    count: int
    value: Callable[[Array], float]
    counted: int
    rows: tuple[ClassScore, ...] = ()

    def __call__(self, chosen: Array | None = None) -> float:
        """The metric of samples by index, repeats allowed; None takes all."""
        if chosen is None:
            return self.value(np.ones(self.count))
        return self.value(np.bincount(chosen, minlength=self.count).astype(np.float64))


@dataclass(frozen=True, slots=True)
class Weighed:
    """A metric that no sums make up: outputs are prepared once, and each draw of a bootstrap only weighs samples.

    Higher is better. `reach`: how far one sample more can move the metric, times the number of samples.
    """

    prepare: Callable[[Sequence[Array], Array], Prepared]
    needs: str
    lacks: Callable[[Array], str]
    reach: float = 1.0

    def __call__(self, outputs: Sequence[Array], labels: Array, chosen: Array | None = None) -> float:
        return self.prepare(outputs, labels)(chosen)


def share(sums: Array, count: int) -> float:
    """The first sum over the number of samples."""
    return float(sums[0] / count) if count else 0.0


def ratio(sums: Array, count: int) -> float:
    """The first sum over the second."""
    return float(sums[0] / sums[1]) if sums[1] > 0 else 0.0

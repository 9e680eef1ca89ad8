"""Outputs that join parts of different scale, such as boxes in pixels beside scores: found, so that each is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RATIO = 16.0
"""Columns belong to one part while their largest values are within this factor: what is a sixteenth of the scale has
four bits less of an int8 tensor's seven, and what the whole tensor's SQNR says of it is nothing."""

PARTS_MAX = 8
"""More parts than this are channels of their own ranges, as hidden states have, and no joined outputs."""

COLUMNS_MAX = 4096
MOVING = 0.05
"""A column's values move where they spread over this share of its part's largest value: less is not worth a step of
int8."""


@dataclass(frozen=True, slots=True)
class Part:
    """Columns `first` to `last` of an axis, whose values have one scale."""

    axis: int
    first: int
    last: int

    def of(self, array: Array) -> Array:
        """These columns of an array."""
        return np.take(array, range(self.first, self.last + 1), self.axis)

    @property
    def text(self) -> str:
        """As reports name it."""
        if self.first == self.last:
            return f"column {self.first} of axis {self.axis}"
        return f"columns {self.first} to {self.last} of axis {self.axis}"


def parts_of(reference: Array) -> tuple[Part, ...]:
    """The parts of a float output, along its last axis or its second; none where all is of one scale.

    Args:
        reference: [samples, ...]; the first axis is never cut.
    """
    if reference.dtype.kind != "f" or reference.ndim < 2 or not reference.size:
        return ()
    for axis in dict.fromkeys((reference.ndim - 1, 1)):
        found = _along(reference, axis)
        if 1 < len(found) <= PARTS_MAX:
            return found
    return ()


def _along(reference: Array, axis: int) -> tuple[Part, ...]:
    if not 1 < reference.shape[axis] <= COLUMNS_MAX:
        return ()
    finite = np.where(np.isfinite(reference), np.abs(reference), 0.0)
    peaks = finite.max(tuple(k for k in range(reference.ndim) if k != axis))
    found: list[Part] = []
    first, low, high = 0, np.inf, 0.0
    for k, peak in enumerate(peaks):
        if peak == 0:  # nothing to lose: it goes with its neighbours
            continue
        lower, upper = min(low, float(peak)), max(high, float(peak))
        if upper > RATIO * lower:
            found.append(Part(axis, first, k - 1))
            first, lower, upper = k, float(peak), float(peak)
        low, high = lower, upper
    return (*found, Part(axis, first, reference.shape[axis] - 1))


def frozen_columns(reference: Array, candidate: Array, axis: int) -> list[int]:
    """Columns of one part that are constant in the candidate and move in the reference, over samples and places."""
    if reference.ndim < 2 or len(reference) < 2 or reference.dtype.kind != "f" or not reference.size:
        return []
    if reference.shape[axis] > COLUMNS_MAX:
        return []
    wide = np.moveaxis(reference, axis, 0).reshape(reference.shape[axis], -1)
    other = np.moveaxis(candidate, axis, 0).reshape(reference.shape[axis], -1)
    if not np.isfinite(wide).all():
        return []
    peak = float(np.abs(wide).max())
    moves = wide.max(1).astype(np.float64) - wide.min(1) > MOVING * peak
    return [int(k) for k in np.nonzero(moves & (other == other[:, :1]).all(1))[0]]

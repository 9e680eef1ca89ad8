"""Outputs that join parts of different scale, such as boxes in pixels beside scores: found, so that each is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RATIO = 16.0
"""Parts lie this factor apart: what is a sixteenth of the scale has four bits less of an int8 tensor's seven, and what
the whole tensor's SQNR says of it is nothing."""

PARTS_MAX = 4
LONELY_MAX = 16
"""Among more columns than this a single one of another scale is chance, such as a logit of a class that hardly occurs,
and belongs to those that are nearest."""

COLUMNS_MAX = 4096
MOVING = 0.05
"""A column's values move where they spread over this share of its part's largest value: less is not worth a step of
int8."""

FAINT = 2 / 127
"""Two steps of an int8 tensor of probabilities: a score that moves so far stands still only in a larger scale."""


@dataclass(frozen=True, slots=True)
class Part:
    """Columns of an axis whose values have one scale, such as the four corners of boxes, or every third number."""

    axis: int
    columns: tuple[int, ...]

    def of(self, array: Array) -> Array:
        """These columns of an array."""
        return np.take(array, self.columns, self.axis)

    @property
    def text(self) -> str:
        """As reports name it."""
        return f"{spans(self.columns)} of axis {self.axis}"


def spans(columns: Sequence[int], what: str = "column") -> str:
    """Columns as people write them: `column 4`, `columns 0 to 3, 5`; long lists are cut."""
    runs: list[list[int]] = []
    for column in columns:
        if runs and column == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], column]
        else:
            runs.append([column])
    said = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    more = " …" if len(said) > SHOWN else ""
    return f"{what}{'' if len(columns) == 1 else 's'} {', '.join(said[:SHOWN])}{more}"


SHOWN = 8


def parts_of(reference: Array) -> tuple[Part, ...]:
    """The parts of a float output, along its last axis or its second; none where all is of one scale.

    Args:
        reference: [samples, ...]; the first axis is never cut.
    """
    if reference.dtype.kind != "f" or reference.ndim < 2 or not reference.size:
        return ()
    for axis in dict.fromkeys((reference.ndim - 1, 1)):
        found = _along(reference, axis)
        if len(found) > 1:
            return found
    return ()


def _along(reference: Array, axis: int) -> tuple[Part, ...]:
    """Columns in groups, wherever their sorted largest values leave a gap."""
    many = reference.shape[axis]
    if not 1 < many <= COLUMNS_MAX:
        return ()
    finite, others = (
        np.where(np.isfinite(reference), reference, 0.0),
        tuple(k for k in range(reference.ndim) if k != axis),
    )
    least, most = finite.min(others), finite.max(others)
    peaks = np.maximum(np.abs(least), np.abs(most))
    # Probabilities have one unit, also that of a class which hardly occurs.
    heights = np.where((least >= 0) & (most <= 1), np.maximum(peaks, min(1.0, float(peaks.max()))), peaks)
    order = [int(k) for k in np.argsort(-heights, kind="stable") if peaks[k] > 0]
    groups: list[list[int]] = []
    for k in order:
        if groups and heights[groups[-1][-1]] <= RATIO * heights[k]:
            groups[-1].append(k)
        else:
            groups.append([k])
    groups = _fewer(groups, heights, 2 if many > LONELY_MAX else 1)
    return tuple(Part(axis, tuple(sorted(group))) for group in groups)


def _fewer(groups: list[list[int]], heights: Array, least: int) -> list[list[int]]:
    """Groups of at least so many columns, and not too many of them: those nearest in scale are one."""
    while len(groups) > 1:
        gaps = [float(heights[a[-1]] / heights[b[0]]) for a, b in pairwise(groups)]
        small = {k for k, group in enumerate(groups) if len(group) < least}
        beside = [k for k in range(len(gaps)) if k in small or k + 1 in small]
        if not beside and len(groups) <= PARTS_MAX:
            break
        k = min(beside or range(len(gaps)), key=gaps.__getitem__)
        groups = [*groups[:k], groups[k] + groups[k + 1], *groups[k + 2 :]]
    return groups


def frozen_columns(reference: Array, candidate: Array, axis: int, *, joined: bool = False) -> list[int]:
    """Columns of one part that are constant in the candidate and move in the reference, over samples and places.

    Args:
        joined: the output may join scores to larger values, so that a score moves from FAINT on.
    """
    if reference.ndim < 2 or len(reference) < 2 or reference.dtype.kind != "f" or not reference.size:
        return []
    if reference.shape[axis] > COLUMNS_MAX:
        return []
    wide = np.moveaxis(reference, axis, 0).reshape(reference.shape[axis], -1)
    other = np.moveaxis(candidate, axis, 0).reshape(reference.shape[axis], -1)
    if not np.isfinite(wide).all():
        return []
    peak = float(np.abs(wide).max())
    least, most = wide.min(1).astype(np.float64), wide.max(1)
    moves = most - least > MOVING * peak
    if joined:
        moves |= (least >= 0) & (most <= 1) & (most - least > FAINT)
    return [int(k) for k in np.nonzero(moves & (other == other[:, :1]).all(1))[0]]

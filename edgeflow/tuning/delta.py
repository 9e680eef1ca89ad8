"""Delta debugging: the smallest set of ordered things whose presence makes something fail, in few trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

Fails = Callable[[Sequence[T]], bool | None]
"""Whether it fails with exactly these, in their order; None where that cannot be tried."""

NEIGHBOURS = (0, 1, -1, 2, -2)
"""What is tried in place of a trial that cannot be made, as steps from the middle."""


def smallest_failing(items: Sequence[T], fails: Fails[T]) -> tuple[T, ...]:
    """A set that fails, none of which can be left out where more of it never cures: one culprit, or those that fail
    only together.

    Bisects over beginnings of the order, so that what is tried hangs together: the last one of the shortest
    beginning that fails belongs to the set; with that one always there, what is before it is bisected again.
    Source of the idea: Zeller and Hildebrandt, Simplifying and isolating failure-inducing input, IEEE TSE 28(2), 2002.

    Args:
        items: known to fail all together; known not to fail with none of them.

    Returns:
        The set, in the order of `items`; what it takes is bounded by trials_bound.
    """
    found: list[T] = []
    left = list(items)
    while True:
        low, high = 0, len(left)  # left[:low] and what is found do not fail, left[:high] and what is found do
        while high - low > 1:
            middle, failed = _tried(left, low, high, found, fails)
            low, high = (low, middle) if failed else (middle, high)
        found.insert(0, left[high - 1])
        left = left[: high - 1]
        if not left or fails(found):
            return tuple(found)


def _tried(left: Sequence[T], low: int, high: int, found: Sequence[T], fails: Fails[T]) -> tuple[int, bool]:
    """Where between two ends a trial could be made, and whether it failed; one that cannot be made has not."""
    middle = (low + high) // 2
    for step in NEIGHBOURS:
        at = middle + step
        if low < at < high:
            failed = fails([*left[:at], *found])
            if failed is not None:
                return at, failed
    return middle, False


def trials_bound(count: int, found: int) -> int:
    """Most trials that smallest_failing makes of `count` things for a set of `found`, where all can be made."""
    return found * ((math.ceil(math.log2(count)) if count > 1 else 0) + 1)

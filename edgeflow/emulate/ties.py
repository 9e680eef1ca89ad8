"""Rounding ties of an int8 file: how far they can move its outputs, and whether they explain what a device gave.

Where a value lies at half a step, one unit in the last place decides where it goes, and compilers and CPUs differ by as
much. One flipped step can grow to per cents of an output in a deep network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.emulate.graph import Array
from edgeflow.emulate.runner import Emulator
from edgeflow.nb import Model

EXACT = 1e-5
"""Share of an output's largest value up to which two runs of an int8 file are equal. Source: verify/golden.py ROOM."""

INTO_INT8 = ("fp32_to_int8", "int8_out", "int8_int8_out", "int8out")

MARGIN = 2.0
"""Ties fall either way one by one, and not all together as in the two runs that measure them."""


@dataclass(frozen=True, slots=True)
class Ties:
    """Ties of one run.

    Attributes:
        count: elements that are quantised within one unit in the last place of a tie.
        elements: all that are quantised.
        spread: for each output, the largest difference that sending every tie up or down makes; empty where nothing is
            quantised.
    """

    count: int
    elements: int
    spread: tuple[float, ...]


def quantises(model: Model) -> bool:
    """Whether any op of block 0 rounds to int8 on a CPU."""
    return any(op.kernel is not None and op.kernel.alias in INTO_INT8 for op in model.blocks[0].operations)


def ties(model: Model, feed: Mapping[str, Array], *, npu: str = "float32") -> Ties:
    """Find the ties of a run, and let them all fall to either side."""
    if not quantises(model):
        return Ties(0, 0, ())
    with Emulator(model, npu=npu) as plain:
        base = list(plain.infer(feed).values())
        masks = [found.array for found in plain.ties(feed)]
    count = sum(int(mask.sum()) for mask in masks)
    spread = [0.0] * len(base)
    for rounding in (1, -1) if count else ():
        with Emulator(model, npu=npu, rounding=rounding) as other:
            moved = list(other.infer(feed).values())
        spread = [max(old, _apart(a, b)) for old, a, b in zip(spread, base, moved, strict=True)]
    return Ties(count, sum(mask.size for mask in masks), tuple(spread))


def explains(found: Ties, emulated: Sequence[Array], device: Sequence[Array]) -> bool:
    """Whether rounding ties alone can make a device's outputs differ from the emulated ones as they do.

    Args:
        found: ties of the same run.
    """
    spreads = found.spread or (0.0,) * len(emulated)
    for spread, a, b in zip(spreads, emulated, device, strict=True):
        scale = float(np.abs(a.astype(np.float64)).max(initial=0.0))
        apart = _apart(a, b)
        # Written so that NaN on one side is never explained.
        if a.shape != b.shape or not (np.isfinite(apart) and apart <= max(EXACT * scale, MARGIN * spread)):
            return False
    return True


def share_apart(here: Array, there: Array) -> float:
    """Largest difference as a share of the largest value; infinite where sizes differ, or one alone is no number."""
    if here.size != there.size:
        return float("inf")
    a, b = here.astype(np.float64).ravel(), there.astype(np.float64).ravel()
    largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return _apart(a, b) / max(largest, 1e-30)


def _apart(a: Array, b: Array) -> float:
    if a.shape != b.shape or a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else float("inf")
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    return float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0))

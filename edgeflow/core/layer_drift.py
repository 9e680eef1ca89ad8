"""Drift of one layer, gathered batch by batch, and the likely reason for it; knows no models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.drift import distance

Array = npt.NDArray[Any]
INT8_MAX = 127
FP16_MAX = 65504.0
CLIPPED = 1.05
"""A range is clipped where the reference goes so many times beyond what the scale holds, in more than CLIPPED_SHARE
of it.
"""
CLIPPED_SHARE = 1e-4
AT_ONCE = 1 << 20
"""Elements that are compared at once in float64."""
CHANNELS_APART = 8.0
"""Channels whose ranges are so far apart leave the small ones less than 5 of 8 bits."""


@dataclass
class Sums:
    """Running sums over two versions of a tensor, from which SQNR, cosine and the largest difference follow."""

    signal: float = 0.0
    other: float = 0.0
    noise: float = 0.0
    dot: float = 0.0
    max_abs: float = 0.0
    seen: int = 0

    def add(self, reference: Array, candidate: Array) -> None:
        """Take in one batch; shapes may differ by axes of length one."""
        first, second = reference.ravel(), candidate.ravel()
        for at in range(0, max(first.size, 1), AT_ONCE):
            self._add(first[at : at + AT_ONCE], second[at : at + AT_ONCE])

    def _add(self, reference: Array, candidate: Array) -> None:
        a, b = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
        equal = np.isinf(a) & (a == b)  # an infinity in both is no error, and no signal either
        a, b = np.where(equal, 0.0, a), np.where(equal, 0.0, b)
        gap = distance(a, b)
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.noise += float(gap @ gap)
        self.dot += float(a @ b) if np.isfinite(gap).all() else math.nan
        self.max_abs = max(self.max_abs, float(np.abs(gap).max(initial=0.0))) if np.isfinite(gap).all() else math.nan
        self.seen += a.size

    @property
    def sqnr_db(self) -> float:
        if math.isnan(self.noise) or math.isinf(self.noise):
            return math.nan
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal > 0 else -math.inf

    @property
    def cosine(self) -> float:
        norms = math.sqrt(self.signal * self.other) if self.signal * self.other > 0 else 0.0
        if math.isnan(self.noise) or math.isinf(self.noise):
            return math.nan
        return self.dot / norms if norms else (1.0 if self.noise == 0 else 0.0)

    def as_table(self) -> dict[str, float]:
        return {"sqnr_db": self.sqnr_db, "cosine": self.cosine, "max_abs": self.max_abs}


@dataclass
class Gathered:
    """Measurements of one op over all batches: accumulated and own error, ranges, saturation, NaN and infinity."""

    entire: Sums = field(default_factory=Sums)
    single: Sums = field(default_factory=Sums)
    low: float = math.inf
    high: float = -math.inf
    nan: int = 0
    inf: int = 0
    saturated: int = 0
    clipped: int = 0
    channel_max: Array | None = None
    input_channel_max: Array | None = None
    shape: tuple[int, ...] = ()

    def see(self, reference: Array, candidate: Array, whole: Array | None, limit: float | None) -> None:
        """Take in one batch of the op's result.

        Args:
            whole: the candidate as whole numbers where it is int8.
            limit: the largest value that the result's scale holds.
        """
        self.entire.add(reference, candidate)
        self.shape = tuple(candidate.shape[1:])
        self.nan += int(np.isnan(candidate).sum()) if candidate.dtype.kind == "f" else 0
        self.inf += int(np.isinf(candidate).sum()) if candidate.dtype.kind == "f" else 0
        self.low, self.high = min(self.low, float(np.min(reference))), max(self.high, float(np.max(reference)))
        if whole is not None:
            self.saturated += int(np.count_nonzero(np.abs(whole.astype(np.int16)) >= INT8_MAX))
        if limit is not None:
            self.clipped += int(np.count_nonzero(np.abs(reference) > limit * CLIPPED))
        self.channel_max = widest(self.channel_max, reference)


def widest(known: Array | None, array: Array) -> Array | None:
    """The largest absolute value of each channel (axis 1) so far."""
    if array.ndim < 2 or array.dtype.kind != "f":
        return known
    found = np.abs(array.reshape(array.shape[0], array.shape[1], -1)).max((0, 2))
    return found if known is None or known.shape != found.shape else np.maximum(known, found)


@dataclass(frozen=True, slots=True)
class Clue:
    """Facts about an op, besides its errors, from which `explain` finds the reason."""

    name: str
    quantised: bool
    half: bool
    nested: bool
    input_limit_passed: float
    weight_ranges: Array | None
    weight_scales: Array | None
    missing_scale: bool


def explain(seen: Gathered, clue: Clue) -> tuple[str, str, str]:
    """Reason in two words, why in a sentence, and a fix that a recipe or the command line understands."""
    keep = f'keep_float = ["{clue.name}"] under [compress]' if not clue.nested else f"--keep-on-cpu {clue.name}"
    reach = max(abs(seen.low), abs(seen.high))
    if clue.half and reach > FP16_MAX:
        return (
            "fp16 overflow",
            f"the reference reaches {reach:.3g}, float16 ends at {FP16_MAX:.0f}",
            f"--keep-on-cpu {clue.name}" if clue.nested else "build for float32: --target arm64",
        )
    if seen.nan or seen.inf:
        return "not a number", f"{seen.nan} NaN and {seen.inf} infinite values come out of it", keep
    if clue.missing_scale:
        return (
            "missing scale",
            "it is marked int8 and lacks the scale of a tensor",
            "quantise again with every layer covered",
        )
    if not clue.quantised:
        return "", "", ""
    if clue.input_limit_passed > CLIPPED_SHARE:
        return (
            "range clipped",
            f"{clue.input_limit_passed:.2%} of its input lies beyond what calibration saw",
            f'layer_algo = {{ "{clue.name}" = "abs_max" }} under [compress], or more calibration data',
        )
    if _uneven(clue.weight_ranges) and clue.weight_scales is not None and len(set(clue.weight_scales.tolist())) == 1:
        return (
            "per-layer weights",
            "one scale serves channels whose weights are far apart",
            'weights = "per_channel" under [compress], where the target takes it',
        )
    if _uneven(seen.input_channel_max):
        return "outlier channel", "one channel of its input is much larger than the others and takes the bits", keep
    return "rounding", "eight bits are coarse for what this layer adds up", keep


def _uneven(ranges: Array | None) -> bool:
    if ranges is None or ranges.size < 2:
        return False
    middle = float(np.median(ranges[ranges > 0])) if np.any(ranges > 0) else 0.0
    return middle > 0 and float(ranges.max()) / middle > CHANNELS_APART

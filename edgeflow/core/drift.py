"""How far a candidate is from its reference: measured without limits, judged without arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import NotComparable
from edgeflow.core.settings import DriftLimits

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Drift:
    """Distance of a candidate output from its reference over all samples.

    `sqnr_db` is infinite for equal tensors; `psnr_db` takes the reference's own range as the peak. `kl`: mean
    divergence, in nats, of the candidate's probabilities from the reference's; scores that are none yet go through a
    softmax. Boxes, whose rows have no fixed order, have no plain distance, and whole numbers no likeness: None.

    One of the agreements is there where the output's kind has it, as the mean over samples: `top1_agreement` of places
    with the same best class, `text_agreement` of characters kept, `map_iou` of what lies above the threshold,
    `box_agreement` of boxes found again, `neighbour_agreement` of samples with the same nearest other,
    `id_agreement` of equal values, and `landmark_error` as a share of the shape's extent.

    Equal infinities at the same place are equal, and left out of all means. `nan` and `infinite` count the
    candidate's values that are not, `first_sample` is where the first of them lies.
    """

    max_abs: float | None
    mean_abs: float | None
    cosine: float | None
    sqnr_db: float | None
    top1_agreement: float | None = None
    text_agreement: float | None = None
    map_iou: float | None = None
    box_agreement: float | None = None
    neighbour_agreement: float | None = None
    id_agreement: float | None = None
    landmark_error: float | None = None
    psnr_db: float | None = None
    kl: float | None = None
    nan: int = 0
    infinite: int = 0
    first_sample: int | None = None


def measure(reference: Array, candidate: Array, classes: int | None = None) -> Drift:
    """Measure the plain distance of one output; what its kind agrees on is core/output_drift.py's.

    Args:
        reference, candidate: the same shape [samples, ...], any numeric dtype.
        classes: the axis of the classes, None where there is none.

    Raises:
        NotComparable: the shapes differ by more than axes of length one.
    """
    candidate = shaped_like(reference, candidate)
    difference = distance(reference, candidate)
    a, b = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
    odd = ~np.isfinite(difference)
    both = np.isfinite(a) & np.isfinite(b)
    # Scaled by the largest value, so that no square leaves the range of float64.
    peak = max(float(np.abs(array[both]).max(initial=0.0)) for array in (a, b)) or 1.0
    left, right = np.where(both, a, 0.0) / peak, np.where(both, b, 0.0) / peak
    noise, signal = float(np.dot(left - right, left - right)), float(np.dot(left, left))
    norms = math.sqrt(signal) * float(np.linalg.norm(right))
    cosine = float(np.dot(left, right)) / norms if norms > 0 else float(noise == 0)
    sqnr = math.inf if noise == 0 else _decibel(signal, noise)
    if odd.any():  # no likeness is left to speak of
        noise, cosine, sqnr = (math.nan,) * 3 if np.isnan(difference).any() else (math.inf, 0.0, -math.inf)
    return Drift(
        max_abs=float(difference.max(initial=0.0)),
        mean_abs=float(difference.mean()) if difference.size else 0.0,
        cosine=cosine,
        sqnr_db=sqnr,
        psnr_db=_psnr_db(a[both] / peak, noise, a.size),
        kl=_divergence(reference, candidate, classes),
        nan=int(np.isnan(difference).sum()),
        infinite=int(np.isinf(difference).sum()),
        first_sample=_sample(int(odd.argmax()), reference) if odd.any() else None,
    )


def shaped_like(reference: Array, candidate: Array) -> Array:
    """The candidate in the reference's shape.

    Raises:
        NotComparable: the shapes differ by more than axes of length one.
    """
    if reference.shape == candidate.shape:
        return candidate
    if reference.squeeze().shape != candidate.squeeze().shape:
        raise NotComparable(
            f"outputs cannot be compared: the candidate has shape {list(candidate.shape)}, "
            f"the reference {list(reference.shape)}",
            try_='[outputs.N] kind = "boxes" with columns, and counts, where it lists what was found'
            if reference.shape[1:] == candidate.shape[1:] and reference.ndim > 1
            else "",
        )
    return candidate.reshape(reference.shape)


def distance(reference: Array, candidate: Array) -> Array:
    """|reference - candidate| of every value, flat; 0 for equal infinities, NaN where one of the two is NaN."""
    whole = reference.dtype.kind in "iu" and candidate.dtype.kind in "iu"
    # Whole numbers of 64 bits need more than the 53 of a double.
    wide = np.longdouble if whole and max(reference.dtype.itemsize, candidate.dtype.itemsize) > 4 else np.float64
    a, b = reference.astype(wide).ravel(), candidate.astype(wide).ravel()
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a - b)
    gap[a == b] = 0
    return gap.astype(np.float64)


def _sample(position: int, array: Array) -> int:
    return position // max(array.size // len(array), 1) if array.ndim else 0


def _decibel(signal: float, noise: float) -> float:
    if math.isnan(noise):
        return math.nan
    return 10 * math.log10(signal / noise) if signal > 0 and math.isfinite(noise) else -math.inf


def _psnr_db(reference: Array, noise: float, size: int) -> float | None:
    peak = float(reference.max() - reference.min()) if reference.size else 0.0
    if peak == 0 or math.isnan(noise):
        return None
    return math.inf if noise == 0 else _decibel(peak * peak * size, noise)


def _divergence(reference: Array, candidate: Array, classes: int | None) -> float | None:
    axis = _scores_axis(reference, classes)
    if axis is None or not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        return None
    p, q = _probabilities(reference, axis), _probabilities(candidate, axis)
    return max(0.0, float((p * (np.log(np.maximum(p, 1e-12)) - np.log(np.maximum(q, 1e-12)))).sum(axis).mean()))


def are_probabilities(scores: Array, axis: int) -> bool:
    """Nothing below 0, and sums of 1."""
    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return bool(np.all(wide >= 0) and np.allclose(wide.sum(axis), 1, atol=1e-3))


def _probabilities(scores: Array, axis: int) -> Array:
    wide = scores.astype(np.float64)
    if are_probabilities(scores, axis):
        return wide
    powers = np.exp(wide - wide.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def _scores_axis(reference: Array, classes: int | None) -> int | None:
    """The axis of the classes, where there are at least two of them."""
    scores = classes is not None and reference.ndim >= 2 and reference.size and reference.dtype.kind == "f"
    return classes if scores and classes is not None and reference.shape[classes] >= 2 else None


@dataclass(frozen=True, slots=True)
class Limit:
    """One of the limits: `key` names it in DriftLimits, `drift` what it bounds in Drift, `what` both for people."""

    key: str
    drift: str
    what: str
    at_least: bool

    @property
    def of_distance(self) -> bool:
        """It bounds how far values are apart, which no infinity leaves small."""
        return self.drift in ("max_abs", "mean_abs", "cosine", "sqnr_db")

    def holds(self, value: float, bound: float) -> bool:
        """Whether a value keeps to its bound; NaN never does."""
        return value >= bound if self.at_least else value <= bound

    def sentence(self, value: float, bound: float) -> str:
        """The value and its bound, as reports and the terminal say what is broken."""
        return f"{self.what} {shown(value)}, limit {'>=' if self.at_least else '<='} {shown(bound)}"


LIMITS = (
    Limit("max_abs_max", "max_abs", "max |diff|", at_least=False),
    Limit("mean_abs_max", "mean_abs", "mean |diff|", at_least=False),
    Limit("cosine_min", "cosine", "cosine", at_least=True),
    Limit("sqnr_db_min", "sqnr_db", "SQNR (dB)", at_least=True),
    Limit("top1_agreement_min", "top1_agreement", "top-1 agreement", at_least=True),
    Limit("text_agreement_min", "text_agreement", "agreement of the text", at_least=True),
    Limit("map_iou_min", "map_iou", "IoU of the map", at_least=True),
    Limit("box_agreement_min", "box_agreement", "boxes found again", at_least=True),
    Limit("neighbour_agreement_min", "neighbour_agreement", "nearest neighbours kept", at_least=True),
    Limit("id_agreement_min", "id_agreement", "equal values", at_least=True),
    Limit("landmark_error_max", "landmark_error", "landmark error", at_least=False),
)
"""The limits of a single output: the first four for values with a distance, each other for outputs of one kind."""

METRIC_DROP = Limit("metric_drop_max", "", "metric drop", at_least=False)
"""The limit of the metric, which all outputs have together."""

NOT_A_NUMBER = "the outputs hold NaN"


def shown(value: float) -> str:
    """A number of four digits, without a minus before zero."""
    return f"{value + 0.0:.4g}"


def broken(drift: Drift, limits: DriftLimits, metric_drop: float | None = None) -> list[str]:
    """The limits this drift breaks, as sentences; none means pass.

    NaN breaks all; so does an infinity where the reference is finite, or the other way.
    """
    odd = bool(drift.nan or drift.infinite)
    values = [(limit, getattr(drift, limit.drift)) for limit in LIMITS] + [(METRIC_DROP, metric_drop)]
    found = [
        limit.sentence(got, bound)
        for limit, got in values
        for bound in [getattr(limits, limit.key)]
        if got is not None and bound is not None and not (limit.holds(got, bound) and not (odd and limit.of_distance))
    ]
    if drift.nan or any(value is not None and math.isnan(value) for value in (drift.max_abs, drift.cosine)):
        found.append(f"{NOT_A_NUMBER} ({_odd(drift.nan, drift.first_sample)})")
    elif drift.infinite:
        found.append(
            f"the outputs hold infinities where the reference does not ({_odd(drift.infinite, drift.first_sample)})"
        )
    return found


def _odd(count: int, first: int | None) -> str:
    return f"{count} values" + ("" if first is None else f", the first in sample {first}")


def lowest(values: Iterable[float | None]) -> float | None:
    """The least of those figures that there are; NaN before all others."""
    known = [value for value in values if value is not None]
    return next((value for value in known if math.isnan(value)), min(known, default=None))


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as JSON can hold them: infinities and NaN become strings."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }

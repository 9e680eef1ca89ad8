"""How far a candidate is from its reference: measured without limits, judged without arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import DataError
from edgeflow.core.settings import DriftLimits

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Drift:
    """Distance of a candidate tensor from its reference over all samples.

    `top1_agreement` is the share of samples with the same largest entry along the last axis; None for
    tensors that are no scores (fewer than two axes or two entries). `sqnr_db` is infinite for equal tensors;
    `psnr_db` takes the
    reference's own range as the peak. `kl`: mean divergence, in nats, of the candidate's probabilities from the
    reference's;
    scores that are none yet go through a softmax.
    """

    max_abs: float
    mean_abs: float
    cosine: float
    sqnr_db: float
    top1_agreement: float | None = None
    psnr_db: float | None = None
    kl: float | None = None


def measure(reference: Array, candidate: Array) -> Drift:
    """Measure the drift of one output.

    Args:
        reference, candidate: the same shape [samples, ...], any numeric dtype.

    Raises:
        DataError: the shapes differ by more than axes of length one.
    """
    if reference.shape != candidate.shape:
        if reference.squeeze().shape != candidate.squeeze().shape:
            raise DataError(
                f"outputs cannot be compared: the candidate has shape {list(candidate.shape)}, "
                f"the reference {list(reference.shape)}"
            )
        candidate = candidate.reshape(reference.shape)
    a, b = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
    difference = np.abs(a - b)
    noise, signal = float(np.dot(difference, difference)), float(np.dot(a, a))
    norms = math.sqrt(signal) * float(np.linalg.norm(b))
    if norms > 0:
        cosine = float(np.dot(a, b)) / norms
    else:
        cosine = 1.0 if noise == 0 else 0.0
    if noise == 0:
        sqnr = math.inf
    else:
        sqnr = 10 * math.log10(signal / noise) if signal > 0 else -math.inf
    if math.isnan(noise):
        cosine = sqnr = math.nan
    return Drift(
        max_abs=float(difference.max(initial=0.0)),
        mean_abs=float(difference.mean()) if difference.size else 0.0,
        cosine=cosine,
        sqnr_db=sqnr,
        top1_agreement=_agreement(reference, candidate),
        psnr_db=_psnr_db(a, noise),
        kl=_divergence(reference, candidate),
    )


def _psnr_db(reference: Array, noise: float) -> float | None:
    peak = float(reference.max() - reference.min()) if reference.size else 0.0
    if peak == 0 or math.isnan(noise):
        return None
    return math.inf if noise == 0 else 10 * math.log10(peak * peak * reference.size / noise)


def _divergence(reference: Array, candidate: Array) -> float | None:
    if _agreement(reference, candidate) is None or not np.isfinite(candidate).all():
        return None
    p, q = _probabilities(reference), _probabilities(candidate)
    return max(0.0, float((p * (np.log(np.maximum(p, 1e-12)) - np.log(np.maximum(q, 1e-12)))).sum(-1).mean()))


def _probabilities(scores: Array) -> Array:
    wide = scores.astype(np.float64)
    if np.all(wide >= 0) and np.allclose(wide.sum(-1), 1, atol=1e-3):
        return wide
    powers = np.exp(wide - wide.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _agreement(reference: Array, candidate: Array) -> float | None:
    if reference.ndim < 2 or reference.shape[-1] < 2 or reference.dtype.kind != "f":
        return None
    return float(np.mean(reference.argmax(-1) == candidate.argmax(-1)))


@dataclass(frozen=True, slots=True)
class Limit:
    """One of the limits: `key` names it in DriftLimits, `drift` what it bounds in Drift, `what` both for people."""

    key: str
    drift: str
    what: str
    at_least: bool

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
)
"""The limits of a single output."""

METRIC_DROP = Limit("metric_drop_max", "", "metric drop", at_least=False)
"""The limit of the metric, which all outputs have together."""

NOT_A_NUMBER = "the outputs hold NaN"


def shown(value: float) -> str:
    """A number of four digits, without a minus before zero."""
    return f"{value + 0.0:.4g}"


def broken(drift: Drift, limits: DriftLimits, metric_drop: float | None = None) -> list[str]:
    """The limits this drift breaks, as sentences; none means pass. NaN breaks all."""
    values = [(limit, getattr(drift, limit.drift)) for limit in LIMITS] + [(METRIC_DROP, metric_drop)]
    found = [
        limit.sentence(got, bound)
        for limit, got in values
        for bound in [getattr(limits, limit.key)]
        if got is not None and bound is not None and not limit.holds(got, bound)
    ]
    if any(math.isnan(value) for value in (drift.max_abs, drift.cosine)):
        found.append(NOT_A_NUMBER)
    return found


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as JSON can hold them: infinities and NaN become strings."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }

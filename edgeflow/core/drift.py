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


def broken(drift: Drift, limits: DriftLimits, metric_drop: float | None = None) -> list[str]:
    """The limits this drift breaks, as sentences; none means pass. NaN breaks all."""
    rules = [
        ("max |diff|", drift.max_abs, "<=", limits.max_abs_max),
        ("mean |diff|", drift.mean_abs, "<=", limits.mean_abs_max),
        ("cosine", drift.cosine, ">=", limits.cosine_min),
        ("SQNR (dB)", drift.sqnr_db, ">=", limits.sqnr_db_min),
        ("top-1 agreement", drift.top1_agreement, ">=", limits.top1_agreement_min),
        ("metric drop", metric_drop, "<=", limits.metric_drop_max),
    ]
    found = [
        f"{name} {got:.4g}, limit {op} {bound:.4g}"
        for name, got, op, bound in rules
        if got is not None and bound is not None and not (got >= bound if op == ">=" else got <= bound)
    ]
    if any(math.isnan(value) for value in (drift.max_abs, drift.cosine)):
        found.append("the outputs hold NaN")
    return found


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as JSON can hold them: infinities and NaN become strings."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }

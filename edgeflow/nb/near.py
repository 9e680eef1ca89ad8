"""Weight scales as NNAdapter's converter takes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NEAR = 1e-5
"""Scales this near to the first are taken for it. Source: Paddle-Lite v2.13-rc lite/kernels/nnadapter/utility.h."""


def taken_for_one(scales: npt.NDArray[np.float32]) -> bool:
    """NNAdapter uses the first of these scales for every channel."""
    return bool(scales.size > 1 and np.all(np.abs(scales - scales[0]) <= np.float32(NEAR)))


def as_converted(scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The scales that NNAdapter computes with."""
    return np.full_like(scales, scales[0]) if taken_for_one(scales) else scales

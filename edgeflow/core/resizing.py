"""Planes of another size, as OpenCV interpolates but without its rounding; the twin is demos/resizing.cpp.

Source: OpenCV 4.8, documentation of cv::InterpolationFlags, and what cv2.resize gives: on 8-bit pictures it is within
one grey level (tests/core/test_resizing.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy.typing as npt

Interpolation = Literal["linear", "cubic", "area"]

CUBIC = -0.75
"""The free number of cubic convolution, as OpenCV has it."""


def resized(planes: npt.NDArray[Any], height: int, width: int, kind: Interpolation) -> npt.NDArray[Any]:
    """Interpolate along rows, then along columns.

    linear: between the two nearest pixels, with half-pixel centres, clamped at the edges; nothing is averaged. cubic:
    of four pixels, the edges repeated, held to 0..255 at the end. area: the mean of what an output pixel covers; where
    a side grows, linear with pixels that keep their extent.

    Args:
        planes: float32[C, H, W].

    Returns:
        float32[C, height, width].
    """
    import numpy as np

    _, old_height, old_width = planes.shape
    if kind == "cubic":
        planes = _weighted(planes, _cubic(old_width, width))
        planes = _weighted(planes.transpose(0, 2, 1), _cubic(old_height, height)).transpose(0, 2, 1)
        return np.clip(planes, np.float32(0), np.float32(255))
    if kind == "area" and height <= old_height and width <= old_width:
        planes = _weighted(planes, _area(old_width, width))
        return _weighted(planes.transpose(0, 2, 1), _area(old_height, height)).transpose(0, 2, 1)
    taps = _extents if kind == "area" else _centres
    low, high, weight = taps(old_width, width)
    planes = planes[:, :, low] + (planes[:, :, high] - planes[:, :, low]) * weight
    low, high, weight = taps(old_height, height)
    done: npt.NDArray[Any] = planes[:, low] + (planes[:, high] - planes[:, low]) * weight[:, None]
    return done


def _centres(size: int, new_size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """The two pixels that each output pixel lies between, and how far it is from the first: half-pixel centres,
    clamped.
    """
    import numpy as np

    at = np.clip((np.arange(new_size) + 0.5) * size / new_size - 0.5, 0.0, size - 1)
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + 1, size - 1), (at - low).astype(np.float32)


def _extents(size: int, new_size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """The same for area where a side grows: an output pixel within one pixel is that pixel, others lie between two."""
    import numpy as np

    at = np.arange(new_size)
    low = np.minimum(at * size // new_size, size - 1)
    beyond = (at + 1) - (low + 1) * new_size / size  # in output pixels
    weight = np.where(beyond > 0, beyond - np.floor(beyond), 0.0)
    return low, np.minimum(low + 1, size - 1), weight.astype(np.float32)


def _cubic(size: int, new_size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Pixels and weights, int64 and float32[4, new_size]."""
    import numpy as np

    at = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    low = np.floor(at)
    x, y = at - low, 1.0 - (at - low)
    outer = [((CUBIC * (d + 1.0) - 5.0 * CUBIC) * (d + 1.0) + 8.0 * CUBIC) * (d + 1.0) - 4.0 * CUBIC for d in (x, y)]
    inner = [((CUBIC + 2.0) * d - (CUBIC + 3.0)) * d * d + 1.0 for d in (x, y)]
    weights = np.stack([outer[0], inner[0], inner[1], outer[1]])
    pixels = np.clip(low.astype(np.int64) + np.arange(-1, 3)[:, None], 0, size - 1)
    return pixels, weights.astype(np.float32)


def _area(size: int, new_size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Pixels and weights, int64 and float32[most that one covers, new_size]; 0 for those that it does not."""
    import numpy as np

    start, end = np.arange(new_size) * size / new_size, (np.arange(new_size) + 1) * size / new_size
    first = np.floor(start).astype(np.int64)
    most = math.ceil(size / new_size) + 1
    pixels = first + np.arange(most)[:, None]
    covered = np.minimum(pixels + 1, end) - np.maximum(pixels, start)
    weights = np.maximum(covered, 0.0) / (end - start)
    return np.minimum(pixels, size - 1), weights.astype(np.float32)


def _weighted(planes: npt.NDArray[Any], taps: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Sums along the last axis, one product after the other as the twin adds them."""
    pixels, weights = taps
    total: npt.NDArray[Any] = planes[:, :, pixels[0]] * weights[0]
    for k in range(1, len(pixels)):
        total = total + planes[:, :, pixels[k]] * weights[k]
    return total

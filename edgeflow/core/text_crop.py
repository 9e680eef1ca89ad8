"""A line of text cut out of its picture, upright, as PaddleOCR's get_rotate_crop_image cuts it; the twin of
demos/text_crop.cpp.

Source: what PaddleOCR 2.7 documents and gives, OpenCV 4.11 for warpPerspective with cubic interpolation and the
picture's edge repeated: places are rounded to 1/32 of a pixel and weights to 1/32768.
"""

from __future__ import annotations

import math

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.metric import Array

TALL = 1.5
"""Times as high as wide, from where on a line is turned by a quarter against the clock. Source: PaddleOCR 2.7."""
PLACES = 32
"""Parts of a pixel that places are rounded to. Source: OpenCV 4.11, INTER_TAB_SIZE."""
ONE = 1 << 15
"""Weights of the sixteen pixels sum up to it. Source: OpenCV 4.11, INTER_REMAP_COEF_SCALE."""
CUBIC = -0.75
"""Slope of the cubic. Source: OpenCV 4.11, interpolateCubic."""


def cut_out(picture: Array, quad: Array) -> Array:
    """What lies in a quadrilateral [4, 2], uint8[h, w, 3] of a picture uint8[H, W, 3].

    Its sides are the longer ones of each two that lie opposite, in whole pixels, at least one.

    Raises:
        DataError: a picture of another kind, or corners far outside it.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.size == 0:
        raise DataError(f"picture: is {picture.dtype}{list(picture.shape)}, and should be uint8[H, W, 3]")
    corners = [(float(x), float(y)) for x, y in np.asarray(quad, np.float64).tolist()]
    most = picture.shape[0] + picture.shape[1]
    if not all(abs(value) <= most for point in corners for value in point):
        raise DataError(f"box: is {np.asarray(quad).tolist()}, and should lie in the picture")
    width = max(1, int(max(_apart(corners[0], corners[1]), _apart(corners[2], corners[3]))))
    height = max(1, int(max(_apart(corners[0], corners[3]), _apart(corners[1], corners[2]))))
    x, y = _places(corners, height, width)
    cut = _cubic(picture, x, y)
    return np.ascontiguousarray(np.rot90(cut)) if height / width >= TALL else cut


def turned(line: Array) -> Array:
    """The line upside down."""
    return np.ascontiguousarray(line[::-1, ::-1])


def _apart(one: tuple[float, float], two: tuple[float, float]) -> float:
    x, y = two[0] - one[0], two[1] - one[1]
    return math.sqrt(x * x + y * y)


def _places(corners: list[tuple[float, float]], height: int, width: int) -> tuple[Array, Array]:
    """Where each pixel of the cut comes from, in parts of a pixel, int64[h, w] each.

    The projective map of a rectangle to a quadrilateral. Source: P. Heckbert, Fundamentals of Texture Mapping and Image
    Warping, 1989, section 2.2.3.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    ax, ay, bx, by = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    size = ax * by - bx * ay
    g = (sx * by - bx * sy) / size if size != 0 else 0.0
    h = (ax * sy - sx * ay) / size if size != 0 else 0.0
    u = np.arange(width, dtype=np.float64)[None] / width
    v = np.arange(height, dtype=np.float64)[:, None] / height
    below = g * u + h * v + 1
    across = (x1 - x0 + g * x1) * u + (x3 - x0 + h * x3) * v + x0
    down = (y1 - y0 + g * y1) * u + (y3 - y0 + h * y3) * v + y0
    # Corners that cross each other may lie on the horizon, where nothing is.
    below = np.where(below == 0, np.inf, below)
    most = float(1 << 30)
    x, y = (np.rint(np.clip(side / below * PLACES, -most, most)).astype(np.int64) for side in (across, down))
    return x, y


def _weights() -> Array:
    """Of the four pixels around each of the places in a pixel, float32[32, 4]."""
    one = np.float32(1)
    a = np.float32(CUBIC)
    x = np.arange(PLACES, dtype=np.float32) / np.float32(PLACES)
    far, near = x + one, one - x
    w0 = ((a * far - np.float32(5) * a) * far + np.float32(8) * a) * far - np.float32(4) * a
    w1 = ((a + np.float32(2)) * x - (a + np.float32(3))) * x * x + one
    w2 = ((a + np.float32(2)) * near - (a + np.float32(3))) * near * near + one
    return np.stack([w0, w1, w2, one - w0 - w1 - w2], 1)


def _table() -> Array:
    """Weights int64[32, 32, 16] of the sixteen pixels around a place (y, x); each sixteen sum up to ONE.

    What rounding leaves goes to the greatest or the least of four of them. Source: OpenCV 4.11, initInterTab2D.
    """
    line = _weights()
    table = np.rint((line[:, None, :, None] * line[None, :, None, :]) * np.float32(ONE)).astype(np.int64)
    table = table.reshape(PLACES, PLACES, 16)
    four = np.asarray([10, 11, 14, 15])
    for weights in table.reshape(-1, 16):
        left = int(weights.sum()) - ONE
        if left:
            at = four[int(weights[four].argmin() if left < 0 else weights[four].argmax())]
            weights[at] -= left
    return np.asarray(table)


def _cubic(picture: Array, x: Array, y: Array) -> Array:
    height, width = picture.shape[:2]
    weights = _table()[y % PLACES, x % PLACES]
    rows = [np.clip(y // PLACES + k, 0, height - 1) for k in (-1, 0, 1, 2)]
    columns = [np.clip(x // PLACES + k, 0, width - 1) for k in (-1, 0, 1, 2)]
    total = np.zeros((*x.shape, picture.shape[2]), np.int64)
    for k in range(16):
        total += picture[rows[k // 4], columns[k % 4]].astype(np.int64) * weights[..., k : k + 1]
    return np.asarray(np.clip((total + ONE // 2) // ONE, 0, 255), np.uint8)

"""Where a picture lies in the input that pre-processing makes of it, for what is drawn on it: boxes, corners, masks.

The twin of placement() in demos/preprocess.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.preprocess import Preprocess

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Placement:
    """A point of the picture lies in the input at `point * ratio + offset`; each pair is of rows, then of columns.

    Corners of pixels are whole numbers, as resizing with half-pixel centres has it. `sides` are the picture's,
    `resized` what it is resized to, `size` the input's.
    """

    sides: tuple[int, int]
    resized: tuple[int, int]
    size: tuple[int, int]
    offset: tuple[int, int]

    @property
    def ratio(self) -> tuple[float, float]:
        return self.resized[0] / self.sides[0], self.resized[1] / self.sides[1]

    def points(self, points: Array) -> Array:
        """Points of the picture in the input: float64[..., 2] of x, y."""
        ratio, offset = self.ratio, self.offset
        return np.asarray(points * (ratio[1], ratio[0]) + (offset[1], offset[0]))

    def class_map(self, classes: Array, border: int) -> Array:
        """A map of classes [H, W] as large as the picture becomes one as large as the input: the nearest pixel's class,
        and `border` where the input shows no picture.
        """
        taken = []
        for axis in (0, 1):
            at = np.arange(self.size[axis]) - self.offset[axis]
            inside = (at >= 0) & (at < self.resized[axis])
            pixel = np.floor((at + 0.5) * self.sides[axis] / self.resized[axis]).astype(np.int64)
            taken.append((inside, pixel.clip(0, self.sides[axis] - 1)))
        (rows_in, rows), (columns_in, columns) = taken
        found = classes[rows][:, columns]
        return np.where(rows_in[:, None] & columns_in[None], found, np.asarray(border, classes.dtype))


def placed(steps: Preprocess, height: int, width: int) -> Placement:
    """Where a picture of this size lies in its input.

    Raises:
        DataError: nothing resizes it, and it is of another size than the input.
    """
    new = steps.new_size(height, width)
    whole, corner = steps.canvas(*new)
    if steps.crop is None:
        return Placement((height, width), new, whole, corner)
    crop = steps.crop[0], steps.crop[1]
    cut = (whole[0] - crop[0]) // 2, (whole[1] - crop[1]) // 2
    return Placement((height, width), new, crop, (corner[0] - cut[0], corner[1] - cut[1]))

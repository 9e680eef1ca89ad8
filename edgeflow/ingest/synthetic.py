"""Inputs for a model that came without any: the same at every run, and no stand-in for real ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.samples import Array
from edgeflow.core.settings import SYNTHETIC
from edgeflow.core.tensors import TensorSpec

SEED = 20240215
ELEMENTS_MAX = 1 << 27
PAPER, SPREAD = 0.5, 0.25
"""What most trainings take from a picture of 0 to 1, and divide it by, or nearly so."""

LINE_MAX = 64
"""Recognisers of text take one line: 32 or 48 rows. Source: PaddleOCR's configurations, rec_image_shape."""


def synthetic(source: str, inputs: Sequence[TensorSpec], pictures: Collection[str] = ()) -> Mapping[str, Any]:
    """Samples for each input: drawn pages, uint8[H, W, 3], for `pictures`, which are pre-processed; smooth noise of
    unit size for other floats, and pages of that size in turn with it for what looks like a picture, since a detector
    of text finds nothing in noise; 0 and 1 for whole numbers. `scale_factor` and `im_shape`, which PaddleDetection's
    models take beside a picture, are what they are for one that was not resized.

    Raises:
        DataError: a dimension is open.
    """
    match = SYNTHETIC.fullmatch(source)
    count = int(match[1]) if match else 0
    image = next((spec for spec in inputs if len(spec.shape) == 4), None)
    random = np.random.default_rng(SEED)
    made: dict[str, Any] = {}
    for spec in inputs:
        if not count or any(dim < 0 for dim in spec.shape[1:]):
            raise DataError(
                f"data ({source}): {spec} has open dimensions, and synthetic inputs need each",
                try_=f"a number for each -1 of shape under [inputs.{spec.name}], or real data",
            )
        shape = (count, *spec.shape[1:])
        if np.prod(shape) > ELEMENTS_MAX:
            raise DataError(f"data ({source}): {spec} would take {np.prod(shape)} elements", try_="fewer samples")
        if spec.name in pictures:
            sides = [dim for dim in spec.shape[1:] if dim not in (1, 3)][:2] or [64, 64]
            made[spec.name] = [_page(random, sides[0], sides[-1]) for _ in range(count)]
            continue
        if spec.name == "im_shape" and image is not None:
            values: Array = np.broadcast_to(np.asarray(image.shape[2:], np.float64), shape)
        elif spec.name == "scale_factor":
            values = np.ones(shape)
        elif spec.dtype.startswith("float"):
            values = _smooth(random, shape)
            if len(shape) == 4 and shape[1] == 3 and min(shape[2:]) >= 32:
                for k in range(0, count, 2):
                    values[k] = (_page(random, *shape[2:]).transpose(2, 0, 1) / 255 - PAPER) / SPREAD
        else:
            values = random.integers(0, 2, shape)
        made[spec.name] = np.ascontiguousarray(values).astype(spec.dtype)
    return made


def _page(random: np.random.Generator, height: int, width: int) -> Array:
    """A light page with words of dark strokes, so that what looks for edges, things or text finds some."""
    left, right = (float(edge) for edge in random.uniform(170, 250, 2))
    shade: Array = np.linspace(left, right, width)[None, :, None] + random.normal(0, 4, (height, width, 3))
    line = height <= LINE_MAX and width >= 2 * height
    unit = height // 3 if line else max(4, min(height, width) // 16)
    for top in range(unit, height - unit, 3 * unit):
        at = int(random.integers(unit, 3 * unit))
        while at < width - unit:
            for _ in range(int(random.integers(2, 9))):
                ink = random.uniform(0, 90, 3)
                shade[top : top + 2 * unit, at : at + max(1, unit // 4)] = ink
                bar = top + int(random.integers(0, 2 * unit))
                shade[bar : bar + max(1, unit // 4), at : at + unit] = ink
                at += unit + max(2, unit // 3)
            at += 2 * unit
    page: Array = np.clip(shade, 0, 255).astype(np.uint8)
    return page


def _smooth(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise; pictures have patches of colour too, as real ones have, or a net sees nothing but texture."""
    values: Array = random.standard_normal(shape)
    if len(shape) == 4 and min(shape[2:]) >= 16:
        coarse = random.standard_normal((*shape[:2], 8, 8))
        rows, columns = (np.arange(side) * 8 // side for side in shape[2:])
        values = 0.3 * values + coarse[:, :, rows][:, :, :, columns]
    return values

"""Small pictures of samples, with what the model says of them laid over; Pillow is not needed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edgeflow.core.box_drift import Boxes
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.ragged import is_ragged
from edgeflow.core.samples import Array
from edgeflow.deploy.drawing import laid_over
from edgeflow.files.png import pack_png
from edgeflow.report.record_parts import DrawnBox
from edgeflow.verify.answers_in_words import class_map, named

SIDE_MAX = 128
GAP = 4
"""Pixels between what the reference says and what the candidate says."""
SHARES_MAX = 1.5
"""Points with no coordinate beyond it are shares of the picture. Source: demos/detection.cpp, normalised_max."""
BOXES_MAX = 20
"""Of each side, that are drawn."""
REFERENCE, CANDIDATE = (29, 120, 200), (244, 140, 6)


def picture_of(inputs: Mapping[str, Array], index: int) -> Array | None:
    """The first input that looks like a picture, stretched to its own range, uint8[h, w, 3]; None where none does."""
    for array in inputs.values():
        planes = _planes(array, index)
        if planes is not None:
            step = max(1, -(-max(planes.shape[:2]) // SIDE_MAX))
            small = planes[::step, ::step]
            low, high = float(small.min()), float(small.max())
            pixels = np.round((small - low) / (high - low or 1.0) * 255).astype(np.uint8)
            return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return None


def as_uri(pixels: Array) -> str:
    """A picture as a `data:` address."""
    return "data:image/png;base64," + base64.b64encode(pack_png(pixels)).decode()


def with_answers(
    pixels: Array, wanted: Array, got: Array, kind: OutputKind, extent: tuple[float, float] = (1.0, 1.0)
) -> Array:
    """The picture twice, what the reference says laid over the left one and what the candidate says over the right;
    once where nothing can be laid over. Landmarks are drawn on one.

    Args:
        extent: width and height of the whole picture, in the unit of landmarks.
    """
    if kind.kind == "landmarks":
        return _dotted(_dotted(pixels, wanted, (REFERENCE, extent), 2), got, (CANDIDATE, extent), 1)
    sides = []
    for row in (wanted, got):
        mask = class_map(row, kind)
        if mask is None and kind.kind == "map" and row.squeeze().ndim == 2:
            mask = (row.squeeze() > kind.threshold).astype(np.int64)
        if mask is None or not mask.size:
            return pixels
        sides.append(laid_over(pixels, mask))
    return np.concatenate([sides[0], np.full((len(pixels), GAP, 3), 255, np.uint8), sides[1]], 1)


def drawn_boxes(
    sides: Sequence[Boxes], names: Sequence[str], extent: tuple[float, float], least: float
) -> list[DrawnBox]:
    """Boxes of reference and candidate from a score on, as shares of the picture.

    Args:
        extent: width and height of the picture in the boxes' unit.
    """
    drawn = []
    words: tuple[Literal["reference", "candidate"], ...] = ("reference", "candidate")
    for side, found in zip(words, sides, strict=True):
        order = [k for k in np.argsort(-found.scores, kind="stable") if found.scores[k] >= least][:BOXES_MAX]
        for k in order:
            x1, y1, x2, y2 = (float(v) for v in (found.corners[k] / (*extent, *extent)).clip(0, 1))
            if np.isfinite((x1, y1, x2, y2)).all():
                label = named(names, int(found.classes[k]))
                drawn.append(DrawnBox(side, label, float(found.scores[k]), x1, y1, x2, y2))
    return drawn


def extent_of(inputs: Mapping[str, Array], index: int, kind: OutputKind) -> tuple[float, float]:
    """Width and height of a sample's picture in the unit of its boxes: 1 where they are shares, the picture's own where
    the model is told the scale, else the input's.
    """
    if kind.normalised:
        return 1.0, 1.0
    height, width = next(
        (planes.shape[:2] for array in inputs.values() if (planes := _planes(array, index)) is not None), (1, 1)
    )
    told = inputs.get("scale_factor")
    if told is None or told.ndim != 2 or told.shape[1] != 2 or not (told[index] > 0).all():
        return float(width), float(height)
    return float(width / told[index][1]), float(height / told[index][0])


def _planes(array: Array, index: int) -> Array | None:
    """One sample as [H, W, C], where the input may be a picture."""
    if array.ndim != 4 or array.dtype.kind not in "fu" or not array.size:
        return None
    sample = np.nan_to_num(array[index]) if is_ragged(array) else np.asarray(array[index])
    if array.shape[1] in (1, 3):
        return sample.transpose(1, 2, 0)
    return sample if array.shape[3] in (1, 3) else None


def _dotted(pixels: Array, row: Array, ink: tuple[tuple[int, int, int], tuple[float, float]], reach: int) -> Array:
    """Points as small squares; `ink`: their colour, and the extent of what they are points in."""
    colour, extent = ink
    points = row.reshape(len(row), -1)[:, :2] if row.ndim == 2 else row.reshape(-1)[: row.size // 2 * 2].reshape(-1, 2)
    points = points.astype(np.float64)
    done = pixels.copy()
    if points.shape[1] != 2 or not points.size or not np.isfinite(points).all():
        return done
    height, width = pixels.shape[:2]
    shares = points if points.max() <= SHARES_MAX else points / extent
    for x, y in (shares.clip(-1, 2) * (width, height)).astype(np.int64):
        done[max(y - reach, 0) : max(y + reach + 1, 0), max(x - reach, 0) : max(x + reach + 1, 0)] = colour
    return done

"""Lines that a pipeline reads on a page, as they are kept and compared; how they are read is core/text_page.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeflow.core.metric import Array
from edgeflow.core.placement import placed
from edgeflow.core.text_crop import cut_out
from edgeflow.core.text_map import text_boxes
from edgeflow.core.text_page import PageModels, PageRules, page_map, read_lines

Corners = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read: its box [4, 2] in pixels of the picture, and how sure both models are."""

    box: Corners
    box_score: float
    text: str = ""
    score: float = 0.0
    turned: bool = False


def found_boxes(picture: Array, rules: PageRules, models: PageModels) -> list[Line]:
    """Where text stands on a picture uint8[H, W, 3], in reading order; nothing read yet.

    Raises:
        DataError: the detector gives no map.
    """
    assert rules.detector is not None
    at = placed(rules.detector, *picture.shape[:2])
    found = text_boxes(page_map(picture, rules, models), rules.boxes, at)
    return [Line(corners(quad), float(score)) for quad, score in zip(found.quads, found.scores, strict=True)]


def texts_in(picture: Array, boxes: Sequence[Line], rules: PageRules, models: PageModels) -> list[Line]:
    """The same lines with what stands in them.

    Raises:
        DataError: a model gives what its rules cannot read.
    """
    cuts = [cut_out(picture, np.asarray(line.box, np.float64)) for line in boxes]
    read = read_lines(cuts, rules, models)
    return [
        replace(line, text=found.text, score=float(found.score), turned=found.turned)
        for line, found in zip(boxes, read, strict=True)
    ]


def corners(quad: Array) -> Corners:
    """A box as plain numbers."""
    return tuple((float(x), float(y)) for x, y in quad.tolist())

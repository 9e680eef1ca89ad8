"""A page of text read by three models: lines found, cut out, turned, read; the twin of demos/page.cpp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.metric import Array
from edgeflow.core.placement import placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.text_crop import cut_out, turned
from edgeflow.core.text_lines import BATCH_MAX, LineRules, line_batches, line_steps
from edgeflow.core.text_map import BoxRules, text_boxes
from edgeflow.core.text_reading import Reading, read_text

Model = Callable[[Array], Array]
"""A model's first output, of its one input with a batch axis."""


@dataclass(frozen=True, slots=True)
class TurnRules:
    """When a line is turned by 180 degrees: its score for class `turned` is above `thresh`.

    Source: 0.9 and 6 are PaddleOCR 2.7's cls_thresh and cls_batch_num, and class 1 its label_list.
    """

    thresh: float = 0.9
    turned: int = 1
    batch: int = 6

    def validate(self, where: str) -> None:
        """Hold the values to what they can be.

        Raises:
            RecipeError: one is out of its bounds, which are named.
        """
        if not 0 <= self.thresh <= 1:
            raise RecipeError(f"{where}: thresh is {self.thresh}, and should be from 0 to 1", try_="thresh = 0.9")
        if self.turned not in (0, 1):
            raise RecipeError(f"{where}: turned is {self.turned}, and should be the class 0 or 1", try_="turned = 1")
        if not 1 <= self.batch <= BATCH_MAX:
            raise RecipeError(f"{where}: batch is {self.batch}, and should be from 1 to {BATCH_MAX}")


@dataclass(frozen=True, slots=True)
class PageRules:
    """All that connects the models of a pipeline.

    `detector`, `classifier` and `recogniser` are their pre-processing. Without a detector a picture is one line;
    without a classifier (`turn`) none is turned; without a recogniser the boxes are all there is.
    """

    boxes: BoxRules = BoxRules()
    lines: LineRules = LineRules()
    dictionary: tuple[str, ...] = ()
    blank: int = 0
    turn: TurnRules | None = None
    detector: Preprocess | None = None
    classifier: Preprocess | None = None
    recogniser: Preprocess | None = None


@dataclass(frozen=True, slots=True)
class PageModels:
    """The models that rules need: map float[1, 1, H, W] of a page, scores [N, 2] and [N, steps, classes] of lines."""

    detect: Model | None = None
    classify: Model | None = None
    recognise: Model | None = None


@dataclass(frozen=True, slots=True)
class LineRead:
    """The text of a line, its score, and whether the line was turned by 180 degrees."""

    text: str
    score: float
    turned: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line on a page: its corners float64[4, 2] in pixels of the picture, and what was read."""

    quad: Array
    box_score: float
    text: str
    score: float
    turned: bool


def read_page(picture: Array, rules: PageRules, models: PageModels) -> list[Line]:
    """The lines of a picture uint8[H, W, 3] in reading order.

    Raises:
        DataError: a model is missing, or gives what its rules cannot read.
    """
    if rules.detector is None:
        height, width = picture.shape[:2]
        quads, scores, cuts = [np.asarray([[0.0, 0], [width, 0], [width, height], [0, height]])], [1.0], [picture]
    else:
        found = text_boxes(page_map(picture, rules, models), rules.boxes, placed(rules.detector, *picture.shape[:2]))
        quads, scores = list(found.quads), found.scores.tolist()
        cuts = [cut_out(picture, quad) for quad in quads]
    lines = read_lines(cuts, rules, models)
    return [
        Line(quad, score, line.text, line.score, line.turned)
        for quad, score, line in zip(quads, scores, lines, strict=True)
    ]


def page_map(picture: Array, rules: PageRules, models: PageModels) -> Array:
    """The detector's probability map float[H, W] of a picture.

    Raises:
        DataError: the detector gives no map.
    """
    if rules.detector is None or models.detect is None:
        raise DataError("pipeline: has no detector, and boxes are asked for", try_="give it a detector")
    map_ = models.detect(rules.detector.apply(picture)[None])
    if map_.ndim < 2 or map_.size != map_.shape[-2] * map_.shape[-1]:
        raise DataError(
            f"the detector's output is {list(map_.shape)}, and should be one probability map [1, 1, H, W]",
            try_="a detector such as DB's, whose output is a map",
        )
    return np.asarray(map_.reshape(map_.shape[-2:]))


def read_lines(cuts: Sequence[Array], rules: PageRules, models: PageModels) -> list[LineRead]:
    """What lines that are cut out already, uint8[h, w, 3] each, say.

    Raises:
        DataError: a model is missing, or gives what its rules cannot read.
    """
    cuts = list(cuts)
    over = upside_down(cuts, rules, models)
    cuts = [turned(cut) if was else cut for cut, was in zip(cuts, over, strict=True)]
    readings = [Reading("", 0.0)] * len(cuts)
    if rules.recogniser is not None and models.recognise is not None:
        for batch in line_batches([(cut.shape[0], cut.shape[1]) for cut in cuts], rules.lines):
            steps = line_steps(rules.recogniser, batch.width)
            scores = models.recognise(np.stack([steps.apply(cuts[k]) for k in batch.lines]))
            if scores.ndim != 3 or len(scores) != len(batch.lines):
                raise DataError(
                    f"the recogniser's output is {list(scores.shape)}, and should be "
                    f"[{len(batch.lines)}, steps, classes]"
                )
            for k, one in zip(batch.lines, scores, strict=True):
                readings[k] = read_text(one, rules.dictionary, blank=rules.blank)
    return [LineRead(reading.text, reading.score, was) for reading, was in zip(readings, over, strict=True)]


def upside_down(cuts: Sequence[Array], rules: PageRules, models: PageModels) -> list[bool]:
    """Which lines the classifier would turn; none without one.

    Raises:
        DataError: its output is no pair of scores a line.
    """
    found = [False] * len(cuts)
    if rules.turn is None or rules.classifier is None or models.classify is None:
        return found
    order = sorted(range(len(cuts)), key=lambda k: cuts[k].shape[1] / cuts[k].shape[0])
    for begin in range(0, len(order), rules.turn.batch):
        lines = order[begin : begin + rules.turn.batch]
        scores = models.classify(np.stack([rules.classifier.apply(cuts[k]) for k in lines]))
        if scores.shape != (len(lines), 2):
            raise DataError(f"the classifier's output is {list(scores.shape)}, and should be [{len(lines)}, 2]")
        for k, row in zip(lines, scores, strict=True):
            found[k] = bool(row[rules.turn.turned] > np.float32(rules.turn.thresh))
    return found

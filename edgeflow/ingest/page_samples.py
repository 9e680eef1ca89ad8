"""What one model of a text pipeline takes of labelled pages: whole pages, lines cut out, or lines both ways up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.metric import Array
from edgeflow.core.placement import placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.text_crop import cut_out, turned
from edgeflow.ingest.lists import texts
from edgeflow.ingest.page_lists import Page, TextLine, spread
from edgeflow.ingest.pictures import Way, load_picture, read_picture
from edgeflow.ingest.pictures import turned as upright

Labelled = tuple[Page, TextLine]


@dataclass(frozen=True, slots=True)
class Most:
    """At most so many pages for a detector, and lines for the others, evenly from all. `one_size`: only pages of the
    commonest input size; else smaller inputs get a border of 0 at the right and at the bottom.
    """

    pages: int
    lines: int
    one_size: bool


LEARNT, JUDGED = Most(32, 128, one_size=False), Most(8, 48, one_size=True)
"""For calibration and training, where a page of 736 x 736 takes four seconds of a core, and for the evaluation of one
model alone, which keeps and looks at all its outputs: a map of 960 x 960 takes 4 MB, the scores of a line with 18,000
letters 3 MB. The pipeline is judged on all pages.
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Pictures, uint8[H, W, 3] or files, or inputs made of them, float32[N, C, H, W]; and a label for each."""

    pictures: list[Any] | Array
    labels: Array


def of_pages(pages: Sequence[Page], steps: Preprocess, way: Way, most: Most, where: str) -> Taken:
    """What the model with this task takes of pages.

    Raises:
        DataError: the task takes no pages, no line can be cut out, or a text has letters that the dictionary lacks.
    """
    if way.pages_for == "ocr_detect":
        return _whole(pages, steps, way, most)
    if way.pages_for not in ("ocr_recognise", "classify"):
        raise DataError(
            f"{where}: holds pages with boxes, which text models take",
            try_='task = "ocr_detect", "ocr_recognise" or "classify" under [model]',
        )
    every = [(page, line) for page in pages for line in page.counted]
    if not every:
        raise DataError(f"{where}: no page has a line of text", try_="label files with boxes and their texts")
    lines = spread(_readable(every, way, where) if way.pages_for == "ocr_recognise" else every, most.lines)
    cut = _cut(lines, way)
    if way.pages_for == "classify":
        both = [picture for line in cut for picture in (line, turned(line))]
        return Taken(both, np.tile(np.asarray([0, 1], np.int64), len(cut)))
    return Taken(list(cut), texts([line.text for _, line in lines], way.dictionary, where, blank_last=way.blank_last))


def _readable(lines: Sequence[Labelled], way: Way, where: str) -> list[Labelled]:
    """Lines whose every letter the dictionary has. What it lacks nobody can read: the whole pipeline counts that.

    Raises:
        DataError: it lacks letters of most lines, and so is another dictionary.
    """
    known = set(way.dictionary)
    kept = [item for item in lines if known.issuperset(item[1].text)]
    if 2 * len(kept) < len(lines):
        missing = Counter(letter for _, line in lines for letter in line.text if letter not in known)
        shown = ", ".join(repr(letter) for letter, _ in missing.most_common(5))
        raise DataError(
            f"{where}: {len(lines) - len(kept)} of {len(lines)} lines hold letters that the dictionary of "
            f"{len(way.dictionary)} lines lacks, such as {shown}",
            try_="the dictionary that the model was trained with; space = true under [model] where it has a space",
        )
    return kept


def _cut(lines: Sequence[Labelled], way: Way) -> list[Array]:
    """Lines out of their pages, each page read once."""
    found, last, pixels = [], None, np.empty(0)
    for page, line in lines:
        if page is not last:
            last, pixels = page, load_picture(page.file, upright=way.upright)
        height, width = pixels.shape[:2]
        low, high = line.box.min(0), line.box.max(0)
        if low[0] >= width or low[1] >= height or high[0] <= 0 or high[1] <= 0:
            raise DataError(f"{page.file}: the box of {line.text[:20]!r} lies outside the picture, {width} x {height}")
        found.append(cut_out(pixels, line.box))
    return found


def _whole(pages: Sequence[Page], steps: Preprocess, way: Way, most: Most) -> Taken:
    """Pages with boxes in pixels of the input: [pages, boxes, 9]."""
    sizes = [_size(page, way) for page in pages]
    shapes = [placed(steps, *size).size for size in sizes]
    common = Counter(shapes).most_common(1)[0][0]
    taken = [(p, s) for p, s, shape in zip(pages, sizes, shapes, strict=True) if shape == common or not most.one_size]
    chosen = spread(taken, most.pages)
    quads = [_quads(page, steps, size) for page, size in chosen]
    labels = np.full((len(chosen), max([1, *map(len, quads)]), 9), -1, np.float64)
    for row, found in zip(labels, quads, strict=True):
        row[: len(found)] = found
    if most.one_size or len(set(shapes)) == 1:
        return Taken([page.file for page, _ in chosen], labels)
    return Taken(_bordered([load_picture(page.file, upright=way.upright) for page, _ in chosen], steps), labels)


def _bordered(pictures: Sequence[Array], steps: Preprocess) -> Array:
    """Inputs of several sizes as one array, each at the top left of it."""
    made = [steps.apply(picture) for picture in pictures]
    whole = np.zeros((len(made), *(max(sides) for sides in zip(*(one.shape for one in made), strict=True))), np.float32)
    for place, one in zip(whole, made, strict=True):
        place[tuple(map(slice, one.shape))] = one
    return whole


def _size(page: Page, way: Way) -> tuple[int, int]:
    pixels, orientation = read_picture(page.file)
    height, width = (upright(pixels, orientation) if way.upright else pixels).shape[:2]
    return height, width


def _quads(page: Page, steps: Preprocess, size: tuple[int, int]) -> Array:
    at = placed(steps, *size)
    return np.asarray([[float(line.aside), *at.points(line.box).ravel()] for line in page.lines], np.float64).reshape(
        -1, 9
    )

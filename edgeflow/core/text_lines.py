"""Lines of text side by side in a recogniser's input: which go together, and how wide it is for them; the twin of
demos/text_lines.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeflow.core.errors import RecipeError
from edgeflow.core.preprocess import SIDE_MAX, Preprocess

BATCH_MAX = 256
BUCKETS_MAX = 16


@dataclass(frozen=True, slots=True)
class LineRules:
    """How lines become inputs of a recogniser.

    `height`: of every line; `width`: the least width of an input, to which shorter lines are padded; `width_max`: the
    most, into which longer ones are squeezed; `step`: a width in between is rounded up to a multiple of it; `batch`:
    how many lines an input holds at most; `buckets`: the widths that there are, ascending, where the device wants them
    fixed: a line goes into the smallest that holds it, or into the largest, squeezed.
    Source: 48, 320 and 6 are PaddleOCR 2.7's rec_image_shape and rec_batch_num for PP-OCRv4.
    """

    height: int = 48
    width: int = 320
    width_max: int = 3072
    step: int = 1
    batch: int = 6
    buckets: tuple[int, ...] = ()

    def validate(self, where: str) -> None:
        """Hold the values to what they can be.

        Raises:
            RecipeError: one is out of its bounds, or buckets are not in order.
        """
        for name, value, most in (
            ("height", self.height, SIDE_MAX),
            ("width", self.width, SIDE_MAX),
            ("width_max", self.width_max, SIDE_MAX),
            ("step", self.step, SIDE_MAX),
            ("batch", self.batch, BATCH_MAX),
            *(("buckets", width, SIDE_MAX) for width in self.buckets),
        ):
            if not 1 <= value <= most:
                raise RecipeError(f"{where}: {name} holds {value}, and should be from 1 to {most}")
        if self.width > self.width_max:
            raise RecipeError(f"{where}: width is {self.width}, and should be at most width_max, {self.width_max}")
        if len(self.buckets) > BUCKETS_MAX or list(self.buckets) != sorted(set(self.buckets)):
            raise RecipeError(
                f"{where}: buckets is {list(self.buckets)}, and should be at most {BUCKETS_MAX} widths, ascending",
                try_="buckets = [160, 320, 640]",
            )


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Lines that one input holds, by their places, and its width."""

    lines: tuple[int, ...]
    width: int


def line_batches(sizes: Sequence[tuple[int, int]], rules: LineRules) -> list[LineBatch]:
    """Lines of these heights and widths, those of like proportions together, as PaddleOCR's TextRecognizer has them.

    An input is as wide as its widest line. Each line is in one batch, once.
    """
    ratios = [width / height for height, width in sizes]
    order = sorted(range(len(sizes)), key=lambda k: ratios[k])
    if not rules.buckets:
        found = []
        for begin in range(0, len(order), rules.batch):
            lines = tuple(order[begin : begin + rules.batch])
            widest = max(rules.width, int(rules.height * max(ratios[k] for k in lines)))
            found.append(LineBatch(lines, min(-(-widest // rules.step) * rules.step, rules.width_max)))
        return found
    held: dict[int, list[int]] = {width: [] for width in rules.buckets}
    for k in order:
        own = math.ceil(rules.height * ratios[k])
        held[next((width for width in rules.buckets if width >= own), rules.buckets[-1])].append(k)
    return [
        LineBatch(tuple(lines[begin : begin + rules.batch]), width)
        for width, lines in held.items()
        for begin in range(0, len(lines), rules.batch)
    ]


def line_steps(steps: Preprocess, width: int) -> Preprocess:
    """A recogniser's pre-processing for an input of this width."""
    return replace(steps, size=(steps.size[0], width))

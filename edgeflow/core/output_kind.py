"""What an output means: the nine kinds by which drift, limits and pictures are chosen. Light: no NumPy behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["scores", "ctc", "map", "boxes", "landmarks", "embedding", "ids", "sequence", "tensor"]

KINDS: dict[Kind, str] = {
    "scores": "one score a class; judged by the best class",
    "ctc": "scores of a text recogniser, step by step; judged by the text",
    "map": "a value a pixel, such as a text map, a heat map or a mask; judged by what lies above a threshold",
    "boxes": "detections; matched by class and overlap",
    "landmarks": "points; judged by their distance, as a share of the whole shape's extent",
    "embedding": "one vector a sample; judged by its direction and by the nearest other sample",
    "ids": "whole numbers, such as classes or tokens; judged by equality",
    "sequence": "scores or tags of each token; judged token by token",
    "tensor": "numbers of no certain meaning; judged by SQNR and difference alone",
}

BOX_COLUMNS = ("class", "score", "x1", "y1", "x2", "y2")
"""Layout of a box. Source: Paddle's multiclass_nms3 and matrix_nms, whose Out is [M, 6] in this order."""

COLUMN_NAMES = (*BOX_COLUMNS, "x", "y", "w", "h", "")
"""What a column of boxes may be called: corners, or centre and size; "" is of no interest."""


@dataclass(frozen=True, slots=True)
class OutputKind:
    """The kind of one output, why it is taken for that, and what its kind needs to be read.

    `axis`: of the classes (scores, sequence, ctc) or of the points (landmarks). `columns`: what the last axis of boxes
    holds. `counts`: the output that says how many boxes each sample has. `belongs_to`: this output only completes that
    one, as counts and indices do. `threshold`: from where on a map's value, or a box's score, counts. `blank`: the
    CTC blank, -1 for the last class. `normalised`: corners are shares of the picture, not pixels.
    """

    kind: Kind = "tensor"
    why: str = "the recipe says so"
    axis: int | None = None
    columns: tuple[str, ...] = ()
    counts: int | None = None
    belongs_to: int | None = None
    threshold: float = 0.5
    blank: int = 0
    normalised: bool = False


UNKNOWN = OutputKind("tensor", "nothing says what it is: [outputs.N] kind, [model] task or [metric] would")

TEXT_MAP = 0.3
"""Where PaddleOCR cuts a text map. Source: PaddleOCR, DBPostProcess, thresh."""


def of_task(task: str | None, seen: OutputKind) -> OutputKind:
    """What the first output is, where [model] task says so and the program does not say otherwise."""
    why = f"[model] task is {task}"
    if seen.kind == "ids":
        return seen
    if task in ("classify", "classify_text"):
        return OutputKind("scores", why, axis=seen.axis if seen.axis is not None else -1)
    if task == "ocr_recognise":
        return OutputKind("ctc", why, axis=-1)
    if task == "ocr_detect":
        return OutputKind("map", why, threshold=TEXT_MAP)
    return seen

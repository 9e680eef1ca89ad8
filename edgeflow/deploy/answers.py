"""What a model says of a picture, in words: the inputs that its contract makes of it, and what its outputs mean.

The rules are those of the device programs (demos/guesses.cpp, detection.cpp, text.cpp), so that both answer alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.boxes import read_boxes
from edgeflow.core.errors import DataError
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.placement import placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.samples import Array
from edgeflow.core.text_reading import read_text
from edgeflow.project.contract import Contract, load_contract, read_named
from edgeflow.project.label_file import lines_of
from edgeflow.project.places import BuildFolder

NORMALISED_MAX = 1.5
"""Boxes with no coordinate beyond it are shares of the input. Source: demos/detection.cpp normalised_max."""
OVERLAP, BACKGROUND, CANDIDATES_MAX = 0.45, 0, 1000
"""Of raw boxes: what of two of one class is one, the class that is none, how many are looked at. Source: the same."""


@dataclass(frozen=True, slots=True)
class Box:
    """An object: x1, y1, x2, y2 in pixels of the picture."""

    label: str
    score: float
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of one picture: the best classes, boxes, or a text; `lines` say it, `mask` is a map of
    classes.
    """

    lines: tuple[str, ...]
    table: Mapping[str, Any]
    boxes: tuple[Box, ...] = ()
    mask: Array | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """How pictures become inputs of a .nb, and its outputs an answer; `threshold`: of boxes and masks."""

    contract: Contract
    names: tuple[str, ...]
    top: int = 5
    threshold: float = 0.5

    def feed(self, pixels: Array) -> dict[str, Array]:
        """Inputs, each with a batch of one, of a picture uint8[H, W, 3] RGB.

        Raises:
            DataError: an input cannot be made from a picture, or the picture does not suit.
        """
        steps = self.steps
        found: dict[str, Array] = {}
        for spec in self.contract.inputs:
            if spec.preprocess is not None:
                found[spec.name] = spec.preprocess.apply(pixels)[None]
            elif spec.name in ("scale_factor", "im_shape"):
                sides = next(iter(found.values())).shape[2:] if found else steps.shape[1:]
                pair = placed(steps, *pixels.shape[:2]).ratio if spec.name == "scale_factor" else sides
                found[spec.name] = np.array([pair], np.float32)
            else:
                raise DataError(
                    f"input {spec.name!r} cannot be made from a picture; known are one with pre-processing, "
                    "scale_factor and im_shape",
                    try_=f"--input {spec.name}=FILE.npy",
                )
        return found

    @property
    def steps(self) -> Preprocess:
        """Pre-processing of the input that is a picture.

        Raises:
            DataError: there is none.
        """
        for spec in self.contract.inputs:
            if spec.preprocess is not None:
                return spec.preprocess
        raise DataError(
            "no input of this model is declared to be a picture",
            try_="[inputs.NAME.preprocess] in the recipe and a new build, or --input NAME=FILE.npy",
        )

    def answer(self, outputs: Sequence[Array], pixels: Array | None = None) -> Answer:
        """What the outputs for one picture, or for a text, mean; shapes alone where nothing is known of them."""
        task, first = self.contract.task, outputs[0]
        if task == "detect" and pixels is not None:
            return self._boxes(outputs, pixels)
        if task == "ocr_recognise" and first.ndim >= 2:
            return self._text(first)
        if task in ("classify", "classify_text") or (
            task is None and first.ndim == 2 and len(first) == 1 and first.shape[1] > 1
        ):
            return self._classes(first.reshape(-1))
        mask = _mask(first, self.threshold)
        said = "; ".join(f"{array.dtype}{list(array.shape)}" for array in outputs)
        if mask is None:
            return Answer((said,), {"outputs": said})
        share = {self._name(int(k)): float((mask == k).mean()) for k in np.unique(mask)}
        best = sorted(share.items(), key=lambda item: -item[1])[: self.top]
        return Answer(tuple(f"{part:7.1%}  {name}" for name, part in best), {"areas": dict(best)}, mask=mask)

    def _name(self, k: int) -> str:
        return self.names[k] if 0 <= k < len(self.names) else str(k)

    def _classes(self, scores: Array) -> Answer:
        shares = _probabilities(scores.astype(np.float64))
        order = np.argsort(-shares, kind="stable")[: self.top]
        rows = [{"class": int(k), "label": self._name(int(k)), "score": float(shares[k])} for k in order]
        return Answer(tuple(f"{row['score']:8.4f}  {row['label']}" for row in rows), {"classes": rows})

    def _text(self, scores: Array) -> Answer:
        steps = scores.reshape(-1, scores.shape[-1])
        letters = self.names or tuple(f"[{k}]" for k in range(1, steps.shape[1]))  # by their place, the blank apart
        said = self.contract.first_kind("ctc")
        found = read_text(steps, letters, blank=said[1].blank if said is not None and said[0] == 0 else 0)
        return Answer((f"{found.score:8.4f}  {found.text}",), {"text": found.text, "score": found.score})

    def _boxes(self, outputs: Sequence[Array], pixels: Array) -> Answer:
        said = self.contract.first_kind("boxes")
        rows = declared(outputs, said, self.threshold)
        rows = decode(outputs, self.threshold) if rows is None else rows
        told = any(spec.name == "scale_factor" for spec in self.contract.inputs)
        shares = True if said is not None and said[1].normalised else None
        corners = to_picture(rows, self.steps, pixels, told=told, shares=shares)
        boxes = tuple(
            Box(self._name(int(row[0])), float(row[1]), (float(at[0]), float(at[1]), float(at[2]), float(at[3])))
            for row, at in zip(rows, corners, strict=True)
        )
        lines = [f"{b.score:8.4f}  {' '.join(f'{x:7.1f}' for x in b.corners)}  {b.label}" for b in boxes]
        table = [{"label": b.label, "score": b.score, "box": list(b.corners)} for b in boxes]
        return Answer(tuple(lines) or ("nothing found",), {"boxes": table}, boxes)


def reader_of(model: Path, top: int = 5, threshold: float = 0.5) -> Reader:
    """The reader for a .nb, by the contract and labels beside it.

    Raises:
        DataError: there is no contract, or it cannot be read.
    """
    contract = load_contract(BuildFolder.of(model).contract)
    names = () if contract.labels is None else lines_of(read_named(model.parent, contract.labels))
    return Reader(contract, tuple(names), top, threshold)


def declared(outputs: Sequence[Array], said: tuple[int, OutputKind] | None, threshold: float) -> Array | None:
    """The same rows as `decode` gives, of the output that the contract says to be boxes, by its columns; None where it
    says nothing, or the output has another form, as that of an NMS which found nothing.
    """
    found = None if said is None or said[0] >= len(outputs) else read_boxes(outputs, *said, 1)
    if found is None:
        return None
    rows = np.concatenate([found.kind[:, None], found.score[:, None], found.corners], 1)
    rows = rows[rows[:, 1] >= threshold]
    return np.asarray(rows[np.argsort(-rows[:, 1], kind="stable")])


def decode(outputs: Sequence[Array], threshold: float) -> Array:
    """Rows of class, score, x1, y1, x2, y2 with at least the threshold, best first, as the model gives them.

    Raises:
        DataError: outputs of another form.
    """
    for array in outputs:
        if array.ndim >= 2 and array.shape[-1] == 6:
            rows = array.reshape(-1, 6)
            rows = rows[(rows[:, 0] >= 0) & (rows[:, 1] >= threshold)]
            return np.asarray(rows[np.argsort(-rows[:, 1], kind="stable")])
    if outputs and outputs[0].size == 1 and outputs[0].reshape(-1)[0] == -1:
        return np.zeros((0, 6), np.float32)  # multiclass_nms found nothing
    for boxes in outputs:
        for scores in outputs:
            if boxes.ndim == scores.ndim == 3 and boxes.shape[2] == 4 and scores.shape[2] == boxes.shape[1]:
                return _suppressed(boxes[0], scores[0], threshold)
    raise DataError(
        f"outputs are {', '.join(str(list(array.shape)) for array in outputs)}, and should be boxes [N, 6] = class, "
        "score, x1, y1, x2, y2, or boxes [1, N, 4] with scores [1, C, N]"
    )


def _suppressed(corners: Array, scores: Array, threshold: float) -> Array:
    """Raw boxes of all classes, of those that overlap the best."""
    rows = [
        (float(c), float(scores[c, i]), *map(float, corners[i]))
        for c, i in np.argwhere(scores >= threshold)
        if c != BACKGROUND
    ]
    rows.sort(key=lambda row: -row[1])
    kept: list[tuple[float, ...]] = []
    for row in rows[:CANDIDATES_MAX]:
        if all(other[0] != row[0] or _overlap(other[2:], row[2:]) <= OVERLAP for other in kept):
            kept.append(row)
    return np.array(kept, np.float32).reshape(-1, 6)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def to_picture(rows: Array, steps: Preprocess, pixels: Array, *, told: bool, shares: bool | None = None) -> Array:
    """Corners of boxes, [N, 4], in pixels of the picture and clipped to it.

    Args:
        told: the model was told the scale, and has divided by it.
        shares: they are shares of the input; None: where no coordinate is beyond NORMALISED_MAX.
    """
    corners = rows[:, 2:].astype(np.float64)
    at = placed(steps, *pixels.shape[:2])
    sides = steps.shape[1:] if steps.layout == "NCHW" else steps.shape[:2]
    input_sides = [
        side if side > 0 else new for side, new in zip(sides, steps.new_size(*pixels.shape[:2]), strict=True)
    ]
    if shares is None:
        shares = not told and not (corners > NORMALISED_MAX).any()
    told &= not shares
    if shares:
        corners *= [input_sides[1], input_sides[0]] * 2
    for first, axis in ((0, 1), (1, 0)):
        offset, ratio = at.offset[axis], at.ratio[axis]
        for column in (first, first + 2):
            moved = corners[:, column] - offset / ratio if told else (corners[:, column] - offset) / ratio
            corners[:, column] = np.clip(np.nan_to_num(moved), 0, pixels.shape[axis])
    return corners


def _probabilities(scores: Array) -> Array:
    """Scores that are no probabilities yet become some."""
    if (scores >= 0).all() and (scores <= 1.001).all() and abs(scores.sum() - 1) < 0.01:
        return scores
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


def _mask(first: Array, threshold: float) -> Array | None:
    """int[H, W] of classes, of a map [1, C, H, W] or [1, H, W]; one channel is there where it reaches the threshold."""
    if first.ndim == 4 and first.shape[1] > 1 and min(first.shape[2:]) > 1:
        return np.asarray(first[0].argmax(0))
    if first.ndim >= 3 and first.size == first.shape[-1] * first.shape[-2] and min(first.shape[-2:]) > 1:
        plane = first.reshape(first.shape[-2:])
        return plane if plane.dtype.kind in "iu" else (plane >= threshold).astype(np.int64)
    return None

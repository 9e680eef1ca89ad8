"""What a model says of a picture, by the rules of the device programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.placement import placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.deploy.answers import Answer, Box, Reader, decode
from edgeflow.deploy.drawing import COLOURS, drawn
from edgeflow.project.contract import Contract, InputContract, ModelFile

PIXELS = np.zeros((40, 80, 3), np.uint8)


def reader(task: str | None, steps: Preprocess, names: tuple[str, ...] = (), *more: str) -> Reader:
    inputs = (
        InputContract("image", "float32", (1, *steps.shape), steps),
        *(InputContract(name, "float32", (1, 2)) for name in more),
    )
    return Reader(Contract("m", "t", task, ModelFile("m.nb", "0" * 64), inputs, ("y",)), names)  # type: ignore[arg-type]


LETTERBOX = Preprocess(resize="letterbox", size=(32, 32))  # 40 x 80 becomes 16 x 32, 8 rows down


def test_boxes_come_back_to_the_picture() -> None:
    of = reader("detect", LETTERBOX, ("cat", "dog"))
    at = placed(LETTERBOX, 40, 80)
    assert (at.offset, at.ratio, at.size) == ((8, 0), (0.4, 0.4), (32, 32))
    rows = np.array(
        [[0, 0.6, 4, 10, 12, 18], [1, 0.9, 0, 8, 32, 24], [1, 0.2, 0, 0, 1, 1], [-1, 0, 0, 0, 0, 0]], np.float32
    )
    want = (Box("dog", 0.9, (0, 0, 80, 40)), Box("cat", 0.6, (10, 5, 30, 25)))
    shares = np.concatenate([rows[:, :2], rows[:, 2:] / 32], 1)
    for given in (rows, shares):
        found = of.answer([given], PIXELS)
        assert [box.label for box in found.boxes] == ["dog", "cat"]
        for box, other in zip(found.boxes, want, strict=True):
            assert box.corners == pytest.approx(other.corners, abs=1e-4)
    told = reader("detect", LETTERBOX, (), "im_shape", "scale_factor")
    feed = told.feed(PIXELS)
    assert feed["scale_factor"].tolist() == [[pytest.approx(0.4)] * 2] and feed["im_shape"].tolist() == [[32, 32]]
    scaled = np.concatenate([rows[:, :2], rows[:, 2:] / 0.4], 1)  # such a model has divided by the scale
    assert told.answer([scaled], PIXELS).boxes[1].corners == pytest.approx((10, 5, 30, 25), abs=1e-4)


def test_what_the_contract_says_of_an_output_is_heeded() -> None:
    def told(task: str, kind: OutputKind, names: tuple[str, ...]) -> Reader:
        of = reader(task, LETTERBOX, names)
        return replace(of, contract=replace(of.contract, kinds=(kind,)))

    columns = ("x", "y", "w", "h", "score", "class")
    rows = np.array([[8, 14, 8, 8, 0.6, 1], [1, 1, 1, 1, 0.1, 0]], np.float32)
    for shares in (False, True):
        of = told("detect", OutputKind("boxes", columns=columns, normalised=shares), ("cat", "dog"))
        unit = np.array([*[32 if shares else 1] * 4, 1, 1], np.float32)
        (box,) = of.answer([rows / unit], PIXELS).boxes
        assert (box.label, box.corners) == ("dog", pytest.approx((10, 5, 30, 25), abs=1e-4))
    scores = np.eye(3, dtype=np.float32)[[[0, 2, 1]]]
    for blank, text in ((0, "ba"), (-1, "ab")):
        assert told("ocr_recognise", OutputKind("ctc", blank=blank), ("a", "b")).answer([scores]).table["text"] == text


def test_raw_boxes_are_suppressed_and_odd_outputs_refused() -> None:
    corners = np.array([[[0, 0, 10, 10], [1, 0, 10, 10], [20, 20, 30, 30]]], np.float32)
    scores = np.array([[[0.9, 0.9, 0.9], [0.8, 0.7, 0.6]]], np.float32)
    assert decode([corners, scores], 0.5)[:, :2].tolist() == [[1, pytest.approx(0.8)], [1, pytest.approx(0.6)]]
    assert decode([np.array([[-1]], np.float32)], 0.5).shape == (0, 6)
    with pytest.raises(DataError, match=r"outputs are \[1, 7\]"):
        decode([np.zeros((1, 7))], 0.5)


def test_texts_classes_and_maps() -> None:
    plain = Preprocess(resize="stretch", size=(4, 4))
    steps = np.eye(4, dtype=np.float32)[[0, 1, 1, 0, 1, 3, 2]][None]
    assert reader("ocr_recognise", plain, ("a", "b", " ")).answer([steps], PIXELS).table["text"] == "aa b"
    assert reader("ocr_recognise", plain).answer([steps], PIXELS).table["text"] == "[1][1][3][2]"
    with pytest.raises(DataError, match="has 1 lines, and should have 3"):
        reader("ocr_recognise", plain, ("a",)).answer([steps], PIXELS)
    found = reader("classify", plain, ("cat", "猫")).answer([np.array([[0.0, np.log(3)]])], PIXELS)
    assert found.lines[0] == "  0.7500  猫"
    classes = np.zeros((1, 3, 4, 4), np.float32)
    classes[0, 2, :2] = 1
    halves = reader(None, plain).answer([classes], PIXELS)
    assert halves.table["areas"] == {"0": 0.5, "2": 0.5}
    shown = drawn(PIXELS, halves)
    assert not shown[20:].any() and (shown[:20] == (np.array(COLOURS[1]) * 0.45).astype(np.uint8)).all()


def test_boxes_are_drawn_with_labels_that_no_font_has() -> None:
    shown = drawn(PIXELS, Answer(("x",), {}, (Box("猫", 0.5, (10, 5, 60, 35)),)))
    assert (shown[5, 10:60] == COLOURS[0]).all() and shown.shape == PIXELS.shape

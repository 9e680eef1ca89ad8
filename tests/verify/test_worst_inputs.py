"""The worst inputs by what outputs are: their order, their words, their names, and what is drawn on them."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from edgeflow.core.output_kind import OutputKind
from edgeflow.files.png import unpack_png
from edgeflow.project.reference import Reference, packed_names
from edgeflow.report.record_parts import WorstInput
from edgeflow.verify.worst_inputs import worst

RANDOM = np.random.default_rng(5)
PICTURES = RANDOM.uniform(-1, 1, (6, 3, 40, 80)).astype(np.float32)
FILES = tuple(f"{k}.png" for k in range(6))
NAMES = ("background", "road", "car")


def found(
    wanted: list[np.ndarray], got: list[np.ndarray], kind: OutputKind, names: tuple[str, ...] = NAMES, **rest: object
) -> tuple[WorstInput, ...]:
    given = Reference({"image": PICTURES}, tuple(wanted), None, FILES, **rest)  # type: ignore[arg-type]
    return worst(given, got, [kind, *(OutputKind("ids", belongs_to=0) for _ in wanted[1:])], names)


def pixels(item: WorstInput) -> np.ndarray:
    assert item.picture is not None
    return unpack_png(base64.b64decode(item.picture.partition(",")[2]), "p")


def test_scores_by_name_and_changed_answers_first() -> None:
    wanted = np.tile(np.array([[0.1, 0.7, 0.2]], np.float32), (6, 1))
    got = wanted.copy()
    got[2] = [0.1, 0.95, 0.2]  # a larger difference, but the same answer
    got[4] = [0.1, 0.6, 0.65]
    first, second = found([wanted], [got], OutputKind("scores", axis=-1))
    assert (first.file, first.reference, first.candidate) == ("4.png", "road (0.7)", "car (0.65)")
    assert second.name == "2.png" and pixels(first).shape == (40, 80, 3) and not first.boxes


def test_boxes_missed_are_the_worst_and_both_sides_are_drawn() -> None:
    rows = np.array([[1, 0.9, 20, 10, 60, 30], [2, 0.8, 0, 0, 40, 40]], np.float32)
    wanted = [np.tile(rows, (6, 1)), np.full(6, 2, np.int32)]
    boxes, counts = wanted[0].copy(), wanted[1].copy()
    boxes[2, 2:] += 1  # sample 1 is a little off; sample 5 misses its second box
    counts[5] = 1
    kind = OutputKind("boxes", columns=("class", "score", "x1", "y1", "x2", "y2"), counts=1)
    first, second = found(wanted, [boxes[:-1], counts], kind)
    assert (first.file, first.reference, first.candidate) == ("5.png", "road 0.90, car 0.80", "road 0.90")
    assert first.error == pytest.approx(0.5, abs=0.05) and second.file == "1.png"
    assert [(box.side, box.label) for box in first.boxes] == [
        ("reference", "road"),
        ("reference", "car"),
        ("candidate", "road"),
    ]
    box = first.boxes[0]
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((0.25, 0.25, 0.75, 0.75))
    shares = wanted[0] / np.array([1, 1, 80, 40, 80, 40], np.float32)
    same = found([shares, wanted[1]], [shares, wanted[1]], OutputKind("boxes", counts=1, normalised=True))
    assert [item.sample for item in same] == [0, 1, 2] and same[0].boxes[0].x2 == pytest.approx(0.75)


@pytest.mark.parametrize("form", ["scores", "ids"])
def test_masks_are_laid_over_side_by_side(form: str) -> None:
    classes = np.zeros((6, 20, 40), np.int64)
    classes[:, :10] = 1
    other = classes.copy()
    other[3, :10, :20] = 2
    wanted, got = classes, other
    if form == "scores":
        wanted, got = (np.eye(3)[side].transpose(0, 3, 1, 2).astype(np.float32) for side in (classes, other))
    kind = OutputKind("scores", axis=1) if form == "scores" else OutputKind("ids")
    (item,) = found([wanted], [got], kind)
    assert (item.file, item.reference) == ("3.png", "background 50.0%, road 50.0%")
    assert item.candidate == "background 50.0%, road 25.0%, car 25.0%"
    shown = pixels(item)
    left, right = shown[:, :80].astype(int), shown[:, 84:].astype(int)
    differs = (left != right).any(2)
    assert shown.shape == (40, 164, 3) and differs[:20, :40].mean() > 0.9 and not differs[20:].any()


def test_a_map_above_its_threshold_landmarks_and_text() -> None:
    heat = np.zeros((6, 1, 20, 40), np.float32)
    hot = heat.copy()
    hot[1, 0, :10] = 1
    (item,) = found([heat], [hot], OutputKind("map", threshold=0.3))
    assert (item.reference, item.candidate) == ("0.0% above 0.3", "50.0% above 0.3")
    assert pixels(item).shape == (40, 164, 3)
    points = np.tile(np.array([[10.0, 10], [70, 30]], np.float32), (6, 1, 1))
    moved = points.copy()
    moved[4, 0] = [40, 20]
    (dots,) = found([points], [moved], OutputKind("landmarks"))
    assert dots.file == "4.png" and pixels(dots)[20, 40].tolist() == [244, 140, 6]
    steps = np.zeros((6, 4, 4), np.float32)
    steps[:, np.arange(4), [1, 0, 2, 3]] = 1
    read = steps.copy()
    read[2, 3] = [0.0, 0, 1, 0]
    (text,) = found([steps], [read], OutputKind("ctc", axis=-1), tuple("abc"))
    assert (text.file, text.reference, text.candidate) == ("2.png", "'abc'", "'ab'")
    last = np.roll(steps, -1, 2)  # the blank is the last class
    assert found([last], [last], OutputKind("ctc", axis=-1, blank=-1), tuple("abc"))[0].reference == "'abc'"


def test_names_come_with_the_reference_or_not_at_all(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from edgeflow.project.reference import load_reference

    arrays = {"input/x": np.zeros((2, 1), np.float32), "output/0": np.zeros((2, 1), np.float32)}
    for packed, wanted in (
        (packed_names(["a.png", "é\ud800.png"]), ("a.png", "é?.png")),
        (packed_names(["a.png"]), ()),
        (np.frombuffer(b"[[[[", np.uint8), ()),
        (np.zeros(3, np.float32), ()),
    ):
        np.savez(tmp_path / "r.npz", names=packed, **arrays)
        assert load_reference(tmp_path / "r.npz").names == wanted

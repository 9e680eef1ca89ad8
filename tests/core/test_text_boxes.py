"""Text boxes: overlaps held to OpenCV, hmean to a count by hand, boxes of a map to what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.core.chance import doubts
from edgeflow.core.errors import DataError
from edgeflow.core.metrics import class_scores, left_out, metric_named
from edgeflow.core.quads import areas, crosses_itself, intersections

cv2 = pytest.importorskip("cv2")
HMEAN = metric_named("hmean")
assert HMEAN is not None


def rectangle(x: float, y: float, width: float, height: float, turn: float = 0.0) -> np.ndarray:
    corners = np.asarray([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]
    way = np.asarray([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return corners @ way + [x, y]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overlaps_are_opencvs(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = (
        np.stack([rectangle(*random.uniform(20, 60, 4), random.uniform(0, 3)) for _ in range(20)]) for _ in range(2)
    )
    a, b = a + random.normal(0, 2, a.shape), b + random.normal(0, 2, b.shape)
    b[:4] = a[:4]  # the same, turned round, begun elsewhere
    b[2], b[3] = b[2, ::-1], np.roll(b[3], 1, 0)
    for one, two, shared in zip(a, b, intersections(a, b), strict=True):
        if cv2.isContourConvex(one.astype(np.float32)) and cv2.isContourConvex(two.astype(np.float32)):
            wanted, _ = cv2.intersectConvexConvex(one.astype(np.float32), two.astype(np.float32))
            assert shared == pytest.approx(wanted, rel=1e-3, abs=0.05)
    assert intersections(a, a) == pytest.approx(areas(a))
    along = np.stack([rectangle(40, 40, 30, 20, turn) for turn in random.uniform(0, 3, 9)])
    half = intersections(along, along + (along[:, 1:2] - along[:, :1]) / 2)  # OpenCV is wrong where edges lie in line
    assert half == pytest.approx(np.full(9, 300.0))


def test_quadrilaterals_that_are_not_convex() -> None:
    arrow = np.asarray([[[0.0, 0], [4, 0], [1, 1], [0, 4]]])
    square = np.asarray([[[0.0, 0], [4, 0], [4, 4], [0, 4]]])
    bow = np.asarray([[[0.0, 0], [4, 4], [4, 0], [0, 4]]])
    assert areas(arrow)[0] == 4 and intersections(arrow, square)[0] == pytest.approx(4)
    assert intersections(arrow, square + 1.0001)[0] == pytest.approx(0, abs=1e-3)
    assert crosses_itself(bow)[0] and not crosses_itself(arrow)[0] and areas(bow)[0] == 0
    assert intersections(square, square + np.asarray([4, 0]))[0] == 0, "side by side"


def set_of(pictures: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Four lines of text a picture: three of them found, the last far off; one label is set aside."""
    random = np.random.default_rng(0)
    labels, outputs = np.full((pictures, 6, 9), -1.0), np.full((pictures, 8, 9), -1.0)
    for wanted, found in zip(labels, outputs, strict=True):
        for line in range(4):
            quad = rectangle(
                random.uniform(60, 250), 50 + 60 * line, random.uniform(40, 100), 20, random.uniform(-0.2, 0.2)
            )
            wanted[line] = [line == 3, *quad.ravel()]
            found[line] = [0.9, *(quad + random.normal(0, 0.5, quad.shape) + (300 if line == 2 else 0)).ravel()]
    return outputs, labels


def test_hmean() -> None:
    outputs, labels = set_of()
    assert HMEAN([outputs], labels) == pytest.approx(2 * 2 / (3 + 3))
    assert [row.value for row in class_scores("hmean", [outputs], labels)] == pytest.approx([2 / 3, 2 / 3])
    assert "12 text boxes are set aside" in left_out("hmean", [outputs], labels)
    both = np.concatenate([outputs[:, :2], outputs[:, :2]], 1)  # twice the same box: the second one is wrong
    assert HMEAN([both], labels) == pytest.approx(2 * 2 / (3 + 4))
    assert HMEAN([outputs[..., 1:]], labels) == HMEAN([outputs], labels), "corners alone"
    kind = np.where(outputs[..., :1] >= 0, 0, -1)
    assert HMEAN([np.concatenate([kind, outputs], 2)], labels) == HMEAN([outputs], labels)
    assert HMEAN([outputs[:, :0]], labels) == 0 and HMEAN([outputs * np.nan], labels) == 0
    upright = np.asarray([[[0, 0.9, 10, 10, 50, 30]]])
    assert HMEAN([upright], np.asarray([[[0, 10, 10, 50, 10, 50, 30, 10, 30]]])) == 1
    assert doubts("hmean", [outputs], labels) == []
    assert "no better than chance" in doubts("hmean", [outputs], labels[::-1])[0]
    assert "no label holds a text box" in doubts("hmean", [outputs], np.where(labels[..., :1] == 0, -1, labels))[0]
    crossed = labels.copy()
    crossed[3, 0, 3:7] = labels[3, 0, [5, 6, 3, 4]]
    with pytest.raises(DataError, match="picture 3 crosses itself"):
        HMEAN([outputs], crossed)
    with pytest.raises(DataError, match="probability map"):
        HMEAN([outputs[..., :7]], labels)

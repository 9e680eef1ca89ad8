"""The pages that examples/ocr learns from: what is drawn where a label says, and what a DB detector is taught there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def data() -> ModuleType:
    pytest.importorskip("PIL")
    others = sys.modules.pop("data", None)  # other examples have one of the same name
    sys.path.insert(0, str(ROOT / "examples/ocr"))
    try:
        import data
    finally:
        sys.path.pop(0)
        sys.modules.pop("data", None)
        if others is not None:
            sys.modules["data"] = others
    if not data.render.FONT.is_file():
        pytest.skip("fonts-wqy-microhei is not installed")
    return data


def test_boxes_follow_the_perspective(data: ModuleType, tmp_path: Path) -> None:
    """Ink lies inside the boxes and not around them, also where the page is seen from the side."""
    style = data.render.Style(((256, 192),), (16, 30), lambda random: "中国0", 0.08)
    labels = data.render.write(tmp_path / "pages", 2, 3, style)
    for row in labels.read_text(encoding="utf-8").splitlines():
        name, _, said = row.partition("\t")
        pixels = data.pixels_of(tmp_path / name).astype(float)
        boxes = json.loads(said)
        assert boxes and all(box["transcription"] == "中国0" for box in boxes)
        inked = np.zeros(pixels.shape[:2], bool)
        for box in boxes:
            text, _, near = data.maps(np.array([box["points"]]), *pixels.shape[:2]).astype(bool)
            assert pixels[text].std(0).max() > 20
            inked |= near
        assert pixels[~inked].std(0).max() < 30


def test_a_box_is_learnt_as_db_does(data: ModuleType) -> None:
    """Area 40 x 20, length 120: text shrinks by 5.6 pixels a side; the threshold is 0.7 on the border, 0.3 far off."""
    quad = np.array([[20, 20], [60, 20], [60, 40], [20, 40]], np.float64)
    distance = 800 * (1 - 0.4**2) / 120
    assert np.allclose(data.offset(quad, -distance), quad + distance * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]))
    turned = (quad - 40) @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + 40
    assert np.allclose(data.offset(turned, 3.0).mean(0), turned.mean(0))
    text, threshold, near = data.maps(quad[None], 64, 96)
    assert text[30, 40] == 1 and text[22, 40] == 0 and near[17, 40] == 1 and near[10, 40] == 0
    assert threshold[20, 40] > 0.65 and threshold[30, 5] == pytest.approx(0.3) and threshold[17, 40] < 0.6
    assert text.sum() == pytest.approx((40 - 2 * distance) * (20 - 2 * distance), rel=0.2)

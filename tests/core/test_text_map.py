"""Boxes of maps, cuts and texts, held to what OpenCV and Clipper give in PaddleOCR's order of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.placement import Placement, placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.text_crop import cut_out, turned
from edgeflow.core.text_lines import LineRules, line_batches
from edgeflow.core.text_map import BoxRules, map_boxes, smallest_box, text_boxes
from edgeflow.core.text_page import PageModels, PageRules, TurnRules, read_page
from edgeflow.core.text_reading import letters_of, read_text
from tests.core.text_maps import map_of

cv2: Any = pytest.importorskip("cv2")
pyclipper: Any = pytest.importorskip("pyclipper")


def mini_box(contour: np.ndarray) -> tuple[np.ndarray, float]:
    found = cv2.minAreaRect(contour)
    points = sorted(cv2.boxPoints(found).tolist())
    left, right = (sorted(pair, key=lambda p: p[1]) for pair in (points[:2], points[2:]))
    return np.float32([left[0], right[0], right[1], left[1]]), min(found[1])


def mean_in(map_: np.ndarray, outline: np.ndarray) -> float:
    height, width = map_.shape
    low = np.clip(np.floor(outline.min(0)).astype(int), 0, [width - 1, height - 1])
    high = np.clip(np.ceil(outline.max(0)).astype(int), 0, [width - 1, height - 1])
    mask = np.zeros(high[::-1] - low[::-1] + 1, np.uint8)
    cv2.fillPoly(mask, [(outline - low).astype(np.int32)], 1)
    return float(cv2.mean(map_[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


def reference(map_: np.ndarray, picture: tuple[int, int], rules: BoxRules) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores as PaddleOCR's steps give them with the libraries that it uses; in no order."""
    on = (map_ > np.float32(rules.thresh)).astype(np.uint8)
    if rules.dilate:
        on = cv2.dilate(on, np.ones((2, 2), np.uint8))
    quads, scores = [], []
    for contour in cv2.findContours(on, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0][: rules.max_candidates]:
        box, side = mini_box(contour)
        score = mean_in(map_, box if rules.score_mode == "fast" else contour[:, 0])
        if side < rules.min_size or score < rules.box_thresh:
            continue
        across, down = (float(np.linalg.norm(box[0] - box[k])) for k in (1, 3))
        growth = pyclipper.PyclipperOffset()
        growth.AddPath(box, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
        box, side = mini_box(np.int32(growth.Execute(across * down * rules.unclip_ratio / 2 / (across + down))[0]))
        if side < rules.min_size + 2:
            continue
        box = np.clip(np.round(box / np.float32(map_.shape[::-1]) * np.float32(picture[::-1])), 0, picture[::-1])
        box = np.minimum(box, np.subtract(picture, 1)[::-1])
        if min(int(np.linalg.norm(box[0] - box[k])) for k in (1, 3)) > 3:
            quads.append(box)
            scores.append(score)
    return np.float64(quads).reshape(-1, 4, 2), np.float64(scores)


@pytest.mark.parametrize(
    ("rules", "maps"),
    [
        (BoxRules(), 200),
        (BoxRules(score_mode="slow", unclip_ratio=2.0), 60),
        (BoxRules(dilate=True, box_thresh=0.4), 60),
    ],
)
def test_boxes_are_those_of_opencv_and_clipper(rules: BoxRules, maps: int) -> None:
    """Nine of ten to the pixel, all within two pixels of the map but where a score or side lies at its threshold.

    OpenCV's minAreaRect computes in float32: a side of 16 may be 15.999998, which Clipper's whole numbers make a pixel.
    """
    boxes, same, near, scores = 0, 0, 0, []
    for seed in range(maps):
        map_ = map_of(seed)
        picture = tuple(int(side * (1, 2, 1.37)[seed // 10 % 3]) for side in map_.shape)
        ratio = picture[0] / map_.shape[0], picture[1] / map_.shape[1]
        at = Placement(picture, map_.shape, map_.shape, (0, 0))
        found = text_boxes(map_, rules, at)
        wanted, theirs = reference(map_, picture, rules)
        boxes += max(len(found.quads), len(wanted))
        for quad, score in zip(found.quads, found.scores, strict=True):
            apart = [min(np.abs(quad - np.roll(box, k, 0)).max() for k in range(4)) for box in wanted]
            if apart and min(apart) <= 2 * max(ratio) + 1:
                near += 1
                same += min(apart) == 0
                scores.append(abs(score - theirs[int(np.argmin(apart))]))
    assert boxes > 1.5 * maps
    assert near >= boxes - 2
    assert same >= 0.93 * boxes
    assert np.median(scores) < 1e-7
    assert np.quantile(scores, 0.97) < 0.02


def test_what_boxes_are() -> None:
    map_ = np.zeros((64, 128), np.float32)
    map_[20:31, 10:61] = 0.9  # rows 20 to 30: ten pixels from the first to the last
    [box] = map_boxes(map_)
    by = 50 * 10 * 1.5 / 120
    assert box.tolist() == [[10 - round(by), 20 - round(by)], [60 + round(by), 14], [66, 36], [4, 36]]
    assert len(map_boxes(np.zeros((4, 4), np.float32))) == 0 == len(map_boxes(np.full((9, 9), np.nan, np.float32)))
    map_[25, 30] = np.nan
    assert len(map_boxes(map_)) == 0
    map_[20:31, 10:61] = 0.59
    assert len(text_boxes(map_).quads) == 0
    two = np.zeros((64, 128), np.float32)
    two[20:31, 70:110] = two[24:35, 10:50] = 0.9  # the right one begins four pixels higher: one line
    two[45:56, 30:90] = 0.9
    assert text_boxes(two).quads[:, 0].tolist() == [[4, 18], [64, 14], [24, 39]]
    assert len(text_boxes(two, BoxRules(max_candidates=2)).quads) == 2
    turn = np.asarray([[0, 0], [30, 10], [26, 22], [-4, 12], [13, 11]])
    np.testing.assert_allclose(smallest_box(turn), turn[:4], atol=1)
    with pytest.raises(RecipeError, match="box_thresh is 2"):
        BoxRules(box_thresh=2).validate("boxes")


def test_boxes_come_back_from_border_and_crop() -> None:
    map_ = np.zeros((16, 32), np.float32)
    map_[5:10, 8:25] = 1
    steps = Preprocess(resize="letterbox", size=(64, 128))
    whole = text_boxes(map_, BoxRules(), placed(steps, 64, 64)).quads[0]  # 32 columns of border, four to a pixel
    assert whole.tolist() == [[0, 12], [63, 12], [63, 44], [0, 44]]  # the border holds no text


@pytest.mark.parametrize("kind", ["straight", "turned", "tall", "outside", "skewed"])
def test_cuts_are_opencvs(kind: str) -> None:
    random = np.random.default_rng(3)
    picture = cv2.GaussianBlur(random.integers(0, 256, (90, 120, 3), dtype=np.uint8), (3, 3), 0)
    quad = {
        "straight": [[10, 20], [90, 20], [90, 44], [10, 44]],
        "turned": [[20, 10], [90, 40], [82, 60], [12, 30]],
        "tall": [[30, 5], [50, 5], [50, 80], [30, 80]],
        "outside": [[0, 0], [119, 0], [119, 89], [0, 89]],
        "skewed": [[10, 20], [100, 12], [90, 50], [20, 40]],
    }[kind]
    corners = np.float32(quad)
    width = int(max(np.linalg.norm(corners[0] - corners[1]), np.linalg.norm(corners[2] - corners[3])))
    height = int(max(np.linalg.norm(corners[0] - corners[3]), np.linalg.norm(corners[1] - corners[2])))
    way = cv2.getPerspectiveTransform(corners, np.float32([[0, 0], [width, 0], [width, height], [0, height]]))
    cut = cv2.warpPerspective(picture, way, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    wanted = np.rot90(cut) if height / width >= 1.5 else cut
    found = cut_out(picture, np.asarray(quad))
    assert found.shape == wanted.shape
    apart = np.abs(found.astype(int) - wanted)
    assert apart.max() <= 4 and (apart > 0).mean() < 0.02
    assert (turned(found)[0, 0] == found[-1, -1]).all()
    with pytest.raises(DataError, match="should lie in the picture"):
        cut_out(picture, np.asarray(quad) * 1000)


def test_texts_of_scores() -> None:
    def steps(*classes: int) -> np.ndarray:
        scores = np.full((len(classes), 5), 0.1, np.float32)
        scores[range(len(classes)), classes] = 0.5 + 0.1 * np.arange(len(classes)) % 0.4
        return scores

    letters = ["a", "b", "é", " "]
    assert read_text(steps(0, 1, 1, 0, 1, 4, 2, 2, 3), letters).text == "aa bé"
    assert read_text(steps(0, 1, 1, 0, 1), letters, merge=False).text == "aaa"
    assert read_text(steps(4, 0, 0, 4, 0, 3), letters, blank=-1).text == "aa "
    assert read_text(steps(0, 0), letters) == read_text(steps(), letters)
    assert read_text(steps(0, 0), letters).score == 0
    assert read_text(steps(1, 1, 2), letters).score == pytest.approx((0.5 + 0.7) / 2)
    scores = steps(1, 0, 2)
    scores[0, 3] = np.nan
    assert read_text(scores, letters).text == "b"
    for lines, text in ((letters[:3], "has 3 lines, and should have 4"), ([*letters, "x"], "has 5 lines")):  # no guess
        with pytest.raises(DataError, match=text):
            letters_of(5, lines)
    with pytest.raises(DataError, match="has 3 lines, and should have 4"):
        letters_of(5, ["a", " ", "b"])


def test_lines_go_together_as_paddleocr_has_them() -> None:
    sizes = [(20, 400), (32, 64), (10, 90), (48, 320), (48, 321)]
    batches = line_batches(sizes, LineRules(batch=2))
    assert [(batch.lines, batch.width) for batch in batches] == [((1, 3), 320), ((4, 2), 432), ((0,), 960)]
    assert [batch.width for batch in line_batches(sizes, LineRules(batch=2, step=32, width_max=900))] == [320, 448, 900]
    fixed = line_batches(sizes, LineRules(batch=6, buckets=(160, 320, 640)))
    assert [(batch.lines, batch.width) for batch in fixed] == [((1,), 160), ((3,), 320), ((4, 2, 0), 640)]
    with pytest.raises(RecipeError, match="ascending"):
        LineRules(buckets=(320, 160)).validate("lines")


def test_a_page_is_read() -> None:
    """Lines whose mean tells the letter; the classifier turns those that are bright on the left."""
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[20:40, 20:120] = 100
    picture[60:80, 20:120] = 200
    picture[60:80, 20:70] = 255

    def detect(x: np.ndarray) -> np.ndarray:
        return np.asarray(x[:, :1] > 0.1, np.float32)

    def classify(x: np.ndarray) -> np.ndarray:
        left = np.asarray(x[:, 0, 8, 8] > x[:, 0, 8, 60], np.float32)
        return np.stack([1 - left, left], 1)

    def recognise(x: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(x), 3, 3), np.float32)
        scores[np.arange(len(x)), 1, np.where(x[:, 0, 10, 10] > 0.7, 2, 1)] = 0.75
        return scores

    steps = Preprocess(resize="text_line", size=(16, 80), scale=1 / 255, pad_in="input")
    rules = PageRules(
        BoxRules(unclip_ratio=0.0),
        LineRules(16, 80, batch=1),
        ("a", "b"),
        turn=TurnRules(),
        detector=Preprocess(resize="limit_long", size=(960, 960), scale=1 / 255),
        classifier=steps,
        recogniser=steps,
    )
    lines = read_page(picture, rules, PageModels(detect, classify, recognise))
    assert [(line.text, line.turned) for line in lines] == [("a", False), ("b", True)]
    assert lines[0].quad.tolist() == [[20, 20], [119, 20], [119, 39], [20, 39]]
    assert lines[0].score == lines[1].score == 0.75
    assert read_page(np.zeros_like(picture), rules, PageModels(detect, classify, recognise)) == []

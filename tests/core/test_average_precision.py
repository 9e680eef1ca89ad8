"""Average precision, held to pycocotools and to a plain count of PASCAL VOC's, over drawn sets."""

from __future__ import annotations

import contextlib
import io
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgeflow.core.chance import doubts
from edgeflow.core.detection import mean_average_precision
from edgeflow.core.errors import DataError
from edgeflow.core.metrics import class_scores, weighed_named
from edgeflow.core.statistics import decide_bootstrap

Array = Any


def drawn(
    seed: int, pictures: int = 9, classes: int = 3, *, ties: bool = False, aside: bool = False
) -> tuple[Array, Array]:
    """Outputs float32[N, 40, 6] and labels: boxes near labels, of them too, of other classes, and anywhere."""
    random = np.random.default_rng(seed)
    labels = np.full((pictures, 6, 6 if aside else 5), -1.0)
    outputs = np.full((pictures, 40, 6), -1.0)
    for wanted, found in zip(labels, outputs, strict=True):
        many = random.integers(0, 7)
        sides, low = random.uniform(5, 90, (many, 2)), random.uniform(0, 200, (many, 2))
        wanted[:many, :5] = np.column_stack([random.integers(0, classes, many), low, low + sides])
        if aside:
            wanted[:many, 5] = random.random(many) < 0.3
        near = wanted[:many][np.repeat(np.arange(many), random.integers(0, 4, many))]
        moved = near[:, 1:5] + random.normal(0, 4, (len(near), 4))
        moved = np.sort(moved.reshape(-1, 2, 2), axis=1).reshape(-1, 4)  # x1 <= x2: others pycocotools does not count
        kind = np.where(random.random(len(near)) < 0.9, near[:, 0], random.integers(0, classes + 1, len(near)))
        found[: len(near)] = np.column_stack([kind, random.random(len(near)), moved])
        stray, at = random.integers(0, 15), random.uniform(0, 200, (15, 2))
        rows = np.column_stack([random.integers(0, classes, 15), random.random(15), at, at + 30])[:stray]
        found[len(near) : len(near) + stray] = rows
    if ties:
        outputs[..., 1] = np.round(outputs[..., 1], 1)
    return outputs.astype(np.float32), labels.astype(np.float32)


def by_pycocotools(outputs: Array, labels: Array, chosen: Array) -> list[float]:
    """AP, AP50 and AP75; only what they need is evaluated."""

    def box(kind: float, corners: Array) -> dict[str, Any]:
        x1, y1, x2, y2 = (float(v) for v in corners)
        sides = [x2 - x1, y2 - y1]
        return {"category_id": int(kind), "bbox": [x1, y1, *sides], "area": sides[0] * sides[1]}

    truth, found = [], []
    for image, index in enumerate(chosen, start=1):
        for row in labels[index][labels[index][:, 0] >= 0]:
            crowd = int(len(row) > 5 and row[5] > 0)
            truth.append({"id": len(truth) + 1, "image_id": image, "iscrowd": crowd, **box(row[0], row[1:5])})
        rows = outputs[index][outputs[index][:, 0] >= 0]
        found += [{"image_id": image, "score": float(row[1]), **box(row[0], row[2:])} for row in rows]
    if not found or all(row["iscrowd"] for row in truth):
        return [0.0, 0.0, 0.0]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        kinds = sorted({row["category_id"] for row in truth})
        coco.dataset = {
            "images": [{"id": k + 1} for k in range(len(chosen))],
            "annotations": truth,
            "info": {},
            "categories": [{"id": kind} for kind in kinds],
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "bbox")
        judge.params.areaRng, judge.params.areaRngLbl, judge.params.maxDets = [[0, 1e10]], ["all"], [100]
        judge.evaluate()
        judge.accumulate()
    curves = [judge.eval["precision"][which] for which in (slice(None), 0, 5)]
    return [float(np.mean(curve[curve > -1])) for curve in curves]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 12]), st.booleans(), st.booleans())
def test_it_is_pycocotools_also_of_draws_that_repeat_pictures(seed: int, classes: int, ties: bool, aside: bool) -> None:
    outputs, labels = drawn(seed, classes=classes, ties=ties, aside=aside)
    everything = np.arange(len(labels))
    for name, wanted in zip(("map", "map:50", "map:75"), by_pycocotools(outputs, labels, everything), strict=True):
        metric = weighed_named(name)
        assert metric is not None and metric([outputs], labels) == pytest.approx(wanted), name
    if not ties:  # the order of equal scores from a picture that is there twice is nobody's rule
        chosen = np.sort(np.random.default_rng(seed).integers(0, len(labels), len(labels)))
        found = mean_average_precision([outputs], labels, chosen)
        assert found == pytest.approx(by_pycocotools(outputs, labels, chosen)[0])


def by_voc(outputs: Array, labels: Array, points: int) -> float:
    """The development kit's loop, without its pixel more at the far edges."""
    values = []
    for kind in np.unique(labels[..., 0][labels[..., 0] >= 0]):
        rows = [
            (row[1], k, row[2:].astype(float)) for k, boxes in enumerate(outputs) for row in boxes if row[0] == kind
        ]
        rows.sort(key=lambda row: -row[0])
        truth = [boxes[boxes[:, 0] == kind] for boxes in labels]
        taken = [np.zeros(len(boxes), bool) for boxes in truth]
        wanted = sum(int((boxes[:, 5] <= 0).sum()) if labels.shape[2] == 6 else len(boxes) for boxes in truth)
        if wanted == 0:
            continue
        right, wrong, recall, precision = 0, 0, [], []
        for _, k, box in rows:
            best, place = 0.0, -1
            for j, other in enumerate(truth[k].astype(float)):
                w = min(box[2], other[3]) - max(box[0], other[1])
                h = min(box[3], other[4]) - max(box[1], other[2])
                if w > 0 and h > 0:
                    sizes = (box[2] - box[0]) * (box[3] - box[1]) + (other[3] - other[1]) * (other[4] - other[2])
                    if w * h / (sizes - w * h) > best:
                        best, place = w * h / (sizes - w * h), j
            if best >= 0.5 and labels.shape[2] == 6 and truth[k][place][5] > 0:
                continue
            hit = best >= 0.5 and not taken[k][place]
            if hit:
                taken[k][place] = True
            right, wrong = right + hit, wrong + (not hit)
            recall.append(right / wanted)
            precision.append(right / (right + wrong))
        at = np.asarray(recall)
        if points:
            levels = [[p for r, p in zip(at, precision, strict=True) if r >= k / 10 - 1e-12] for k in range(11)]
            values.append(sum(max(level, default=0.0) for level in levels) / 11)
        else:
            steps = np.diff(np.concatenate([[0.0], at]))
            values.append(sum(step * max(precision[k:]) for k, step in enumerate(steps)))
    return float(np.mean(values)) if values else 0.0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_pascal_voc_with_11_points_and_with_all(seed: int, aside: bool) -> None:
    outputs, labels = drawn(seed, aside=aside)
    for name, points in (("map:voc07", 11), ("map:voc12", 0)):
        metric = weighed_named(name)
        assert metric is not None
        assert metric([outputs], labels) == pytest.approx(by_voc(outputs, labels, points)), name
        (chosen,) = np.random.default_rng(seed).integers(0, 9, (1, 9))
        chosen = np.sort(chosen)
        wanted = by_voc(outputs[chosen], labels[chosen], points)
        assert metric([outputs], labels, chosen) == pytest.approx(wanted), name


def test_150_pictures_take_well_under_a_second_and_their_bootstrap_a_few() -> None:
    outputs, labels = drawn(1, 150, 20)
    metric = weighed_named("map")
    assert metric is not None
    begin = time.process_time()
    metric([outputs], labels)
    assert time.process_time() - begin < 1
    before, after = (
        metric.prepare([outputs], labels),
        metric.prepare([outputs + np.asarray([0, 0, 3, 3, 3, 3])], labels),
    )
    found = decide_bootstrap(lambda chosen: (before(chosen), after(chosen)), 150, 0.01, resamples=200)
    assert time.process_time() - begin < 5 and found.verdict == "FAIL"


def test_boxes_come_with_their_counts_in_any_place() -> None:
    outputs, labels = drawn(5, 7)
    there = outputs[..., 0] >= 0
    listed, counts = outputs[there], there.sum(1).astype(np.int32)
    index = np.arange(len(listed), dtype=np.int32)[:, None]
    wanted = mean_average_precision([outputs], labels)
    assert wanted > 0.1
    for form in (
        [listed, counts],
        [listed, index, counts],
        [listed, counts, index],
        [listed, counts[:, None]],
        [counts, listed],
    ):
        assert mean_average_precision(form, labels) == wanted
    one = np.full((1, 6), -1.0)  # of a run that finds nothing, which counts no box
    split = int(counts[:3].sum())
    assert (
        mean_average_precision([np.concatenate([one, listed[:split], one, listed[split:]]), counts], labels) == wanted
    )
    for wrong in ([listed, counts + 1], [listed, index], [listed], [outputs[:3]], [outputs[..., :5]]):
        with pytest.raises(DataError, match="boxes"):
            mean_average_precision(wrong, labels)
    for none in ([np.zeros((0, 6)), np.zeros(7, int)], [np.full((1, 6), -1.0), np.zeros(7, int)], [outputs[:, :0]]):
        assert mean_average_precision(none, labels) == 0
    lost = outputs.copy()
    lost[..., 1] = np.nan
    assert mean_average_precision([lost], labels) == 0, "a score of NaN is no box"
    lost[..., 1:] = np.inf
    assert mean_average_precision([lost], labels) == 0
    for odd in ([np.inf, 0, 0, 9, 9], [0, np.nan, 0, 9, 9], [np.nan, 0, 0, 9, 9]):
        with pytest.raises(DataError, match="should be class"):
            mean_average_precision([outputs], np.asarray([[odd]] * 7))
    with pytest.raises(DataError, match="corners, not width"):
        mean_average_precision([outputs], np.asarray([[[0, 30, 30, 10, 10]]] * 7))


def test_one_picture_whose_indices_look_like_counts() -> None:
    box = np.asarray([[0, 0.9, 0, 0, 9, 9]], np.float32)
    outputs = [box, np.zeros((1, 1), np.int32), np.ones(1, np.int32)]
    assert mean_average_precision(outputs, np.asarray([[[0, 0, 0, 9, 9]]])) == pytest.approx(1)


def test_a_table_of_classes_and_doubts() -> None:
    outputs, labels = drawn(2, 30, 4)
    rows = class_scores("map", [outputs], labels)
    assert [row.name for row in rows] == ["0", "1", "2", "3"]
    assert sum(row.wanted for row in rows) == (labels[..., 0] >= 0).sum()
    values = [row.value for row in rows]
    assert np.mean([v for v in values if v is not None]) == pytest.approx(mean_average_precision([outputs], labels))
    assert doubts("map:voc12", [outputs], labels) == []
    assert "no better than chance" in doubts("map", [outputs], labels[::-1])[0]
    assert "no label holds a box" in doubts("map", [outputs], np.full_like(labels, -1))[0]
    padded = np.concatenate([outputs, np.full((30, 900, 6), -1.0)], 1)
    assert doubts("map", [padded], labels) == [], "rows that are no boxes say nothing of the scale"
    many = np.full((400, 6, 5), -1.0)  # boxes in few pictures, of which a plain part would hold none
    many[1:300:10] = labels
    rare = np.full((400, 40, 6), -1.0)
    rare[1:300:10] = outputs
    assert doubts("map", [rare], many) == []
    small = labels.copy()
    small[..., 1:] /= np.where(labels[..., :1] >= 0, 320, 1)
    assert "labels seem to be shares of the picture" in doubts("map", [outputs], small)[0]

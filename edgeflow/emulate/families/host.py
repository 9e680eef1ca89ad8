"""Ops whose result has as many rows as the data says: plain NumPy, run between ONNX segments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.families.deformable import deformable_conv
from edgeflow.emulate.graph import Array
from edgeflow.emulate.step import HostOp
from edgeflow.nb import Op

CANDIDATES_MAX = 1 << 14
"""Boxes of one class that are compared with each other; Paddle's own models keep 1000."""

BYTES_MAX = 1 << 30
"""Positions that one op may write."""

Inputs = Mapping[str, list[Array]]
Outputs = dict[str, list[Array]]


def _overlaps(box: Array, others: Array, *, normalized: bool) -> Array:
    """Intersection over union of one box [4] with many [N, 4]."""
    one = 0.0 if normalized else 1.0
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inner = np.maximum(high - low + one, 0)
    inner[np.any(low > high, axis=1)] = 0  # apart: decided before the one is added
    shared = inner[:, 0] * inner[:, 1]
    area = (box[2] - box[0] + one) * (box[3] - box[1] + one)
    areas = (others[:, 2] - others[:, 0] + one) * (others[:, 3] - others[:, 1] + one)
    union = area + areas - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0).astype(np.float32)


def _boxes(op: Op, inputs: Inputs) -> tuple[Array, Array]:
    """BBoxes [N, M, 4] and Scores [N, C, M] of an op.

    Raises:
        NbError: their shapes do not fit.
    """
    boxes, scores = inputs["BBoxes"][0], inputs["Scores"][0]
    fits = boxes.ndim == scores.ndim == 3 and boxes.shape[2] == 4
    if not fits or boxes.shape[:2] != (scores.shape[0], scores.shape[2]):
        raise NbError(
            f"{op.type}: boxes {list(boxes.shape)} and scores {list(scores.shape)} should have three dimensions: "
            "[pictures, boxes, 4] and [pictures, classes, boxes]"
        )
    return boxes, scores


def _hold_candidates(op: Op, count: int) -> None:
    if count > CANDIDATES_MAX:
        raise NbError(
            f"{op.type}: {count} boxes of one class are above the threshold, and at most {CANDIDATES_MAX} are compared",
            try_="nms_top_k in the model's post-processing",
        )


def _suppress(op: Op, boxes: Array, scores: Array) -> list[int]:
    """Indices that survive for one class, best first. Source: kernels/host/multiclass_nms_compute.cc NMSFast."""
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > float(op.attr("score_threshold", 0.0))]
    if (top := int(op.attr("nms_top_k", -1))) > -1:
        order = order[:top]
    _hold_candidates(op, len(order))
    threshold, eta = float(op.attr("nms_threshold", 0.3)), float(op.attr("nms_eta", 1.0))
    kept: list[int] = []
    for index in order.tolist():
        if kept and np.any(
            _overlaps(boxes[index], boxes[kept], normalized=bool(op.attr("normalized", True))) > threshold
        ):
            continue
        kept.append(index)
        if eta < 1 and threshold > 0.5:
            threshold *= eta
    return kept


def multiclass_nms(op: Op, inputs: Inputs) -> Outputs:
    """BBoxes [N, M, 4], Scores [N, C, M] -> Out [kept, 6] as (label, score, box).

    Source: Paddle-Lite lite/kernels/host/multiclass_nms_compute.cc, v2.13-rc: no detection gives one row of -1.
    """
    boxes, scores = _boxes(op, inputs)
    background, keep_top = int(op.attr("background_label", 0)), int(op.attr("keep_top_k", -1))
    rows: list[Array] = []
    index_rows: list[int] = []
    counts: list[int] = []
    for image in range(boxes.shape[0]):
        found: list[tuple[int, float, int]] = []
        for label in range(scores.shape[1]):
            if label != background:
                found += [
                    (label, float(scores[image, label, i]), i)
                    for i in _suppress(op, boxes[image], scores[image, label])
                ]
        if -1 < keep_top < len(found):
            best = sorted(range(len(found)), key=lambda i: -found[i][1])[:keep_top]
            found = [found[i] for i in sorted(best, key=lambda i: (found[i][0], -found[i][1]))]
        for label, score, index in found:
            rows.append(np.asarray([label, score, *boxes[image, index]], np.float32))
            index_rows.append(image * boxes.shape[1] + index)
        counts.append(len(found))
    out = np.stack(rows) if rows else np.full((1, 1), -1, np.float32)
    if not rows and op.outputs.get("Index"):
        out = np.zeros((0, 6), np.float32)
    indices = np.asarray(index_rows, np.int32).reshape(-1, 1)
    return {"Out": [out], "Index": [indices], "NmsRoisNum": [np.asarray(counts, np.int32)]}


def matrix_nms(op: Op, inputs: Inputs) -> Outputs:
    """Scores decay with overlap instead of boxes vanishing. Source: kernels/host/matrix_nms_compute.cc, v2.13-rc."""
    boxes, scores = _boxes(op, inputs)
    background, keep_top = int(op.attr("background_label", 0)), int(op.attr("keep_top_k", -1))
    normalized, gaussian = bool(op.attr("normalized", True)), bool(op.attr("use_gaussian", False))
    sigma, post = float(op.attr("gaussian_sigma", 2.0)), float(op.attr("post_threshold", 0.0))
    rows: list[Array] = []
    index_rows: list[int] = []
    counts: list[int] = []
    for image in range(boxes.shape[0]):
        found: list[tuple[float, int, int]] = []
        for label in range(scores.shape[1]):
            if label == background:
                continue
            own = scores[image, label]
            order = [
                i for i in np.argsort(-own, kind="stable").tolist() if own[i] > float(op.attr("score_threshold", 0))
            ]
            if (top := int(op.attr("nms_top_k", -1))) > -1:
                order = order[:top]
            _hold_candidates(op, len(order))
            picked = boxes[image][order]
            worst = np.zeros(len(order), np.float32)
            for i in range(len(order)):
                decay = np.float32(1)
                if i:
                    iou = _overlaps(picked[i], picked[:i], normalized=normalized)
                    worst[i] = iou.max()
                    ratio = (
                        np.exp((worst[:i] ** 2 - iou**2) * sigma)
                        if gaussian
                        else (1 - iou) / np.maximum(1 - worst[:i], 1e-12)
                    )
                    decay = np.float32(min(1.0, float(ratio.min())))
                if (score := float(decay * own[order[i]])) > post:
                    found.append((score, label, order[i]))
        found.sort(key=lambda item: -item[0])
        found = found[:keep_top] if keep_top > -1 else found
        for score, label, index in found:
            rows.append(np.asarray([label, score, *boxes[image, index]], np.float32))
            index_rows.append(image * boxes.shape[1] + index)
        counts.append(len(found))
    out = np.stack(rows) if rows else np.zeros((0, 6), np.float32)
    return {
        "Out": [out],
        "Index": [np.asarray(index_rows, np.int32).reshape(-1, 1)],
        "RoisNum": [np.asarray(counts, np.int32)],
    }


def where_index(_: Op, inputs: Inputs) -> Outputs:
    """Positions of the true elements, int64[count, rank]."""
    found = inputs["Condition"][0]
    if np.count_nonzero(found) * max(found.ndim, 1) * 8 > BYTES_MAX:
        raise NbError(f"where_index: the positions would take more than {BYTES_MAX >> 20} MiB")
    return {"Out": [np.argwhere(inputs["Condition"][0]).astype(np.int64)]}


def masked_select(_: Op, inputs: Inputs) -> Outputs:
    """Elements where the mask is true, in order."""
    return {"Y": [inputs["X"][0][inputs["Mask"][0].astype(bool)]]}


HOST_OPS: dict[str, HostOp] = {
    "deformable_conv": deformable_conv,
    "multiclass_nms": multiclass_nms,
    "multiclass_nms2": multiclass_nms,
    "multiclass_nms3": multiclass_nms,
    "matrix_nms": matrix_nms,
    "where_index": where_index,
    "masked_select": masked_select,
}

"""Mean average precision of a detector, counted by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import BackendMissing, DataError

Array = npt.NDArray[Any]


def mean_average_precision(outputs: Sequence[Array], labels: Array, chosen: Array | None = None) -> float:
    """COCO's AP over IoU 0.50 to 0.95.

    Args:
        outputs: boxes float32[N, D, 6] of class, score, x1, y1, x2, y2, class -1 where there is none; or float32[M,
            6] of all
            pictures with, as the last output, int[N] how many each picture has (PaddleDetection's multiclass_nms3).
        labels: float32[N, G, 5] of class, x1, y1, x2, y2, class -1 where there is none.
        chosen: indices of the pictures that count, repeats allowed; None takes all.

    Raises:
        DataError: outputs or labels of another form.
        BackendMissing: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as err:
        raise BackendMissing(
            f"pycocotools is not installed ({err}), which the metric map needs", try_="pip install 'edgeflow[metrics]'"
        ) from err
    boxes = _boxes(outputs, len(labels))
    if labels.ndim != 3 or labels.shape[2] != 5:
        raise DataError(
            f"metric map: labels have shape {list(labels.shape)}, and should have [pictures, boxes, 5]: "
            "class, x1, y1, x2, y2"
        )
    pictures = range(len(labels)) if chosen is None else [int(k) for k in chosen]
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, index in enumerate(pictures, start=1):
        for label in labels[index]:
            if label[0] >= 0:
                truth.append({"id": len(truth) + 1, "image_id": image, "iscrowd": 0, **_box(label[0], label[1:])})
        found += [
            {"image_id": image, "score": float(box[1]), **_box(box[0], box[2:])} for box in boxes[index] if box[0] >= 0
        ]
    if not truth or not found:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": k + 1} for k in range(len(pictures))],
            "annotations": truth,
            "info": {},
            "categories": [{"id": c} for c in sorted({t["category_id"] for t in truth})],
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


def _box(kind: float, corners: Array) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(v) for v in corners)
    return {"category_id": int(kind), "bbox": [x1, y1, x2 - x1, y2 - y1], "area": max(x2 - x1, 0) * max(y2 - y1, 0)}


def _boxes(outputs: Sequence[Array], pictures: int) -> list[Array]:
    first = outputs[0]
    if first.ndim == 3 and first.shape[0] == pictures and first.shape[2] == 6:
        return list(first)
    counts = outputs[-1].reshape(-1)
    if (
        first.ndim == 2
        and first.shape[1] == 6
        and len(outputs) > 1
        and len(counts) == pictures
        and counts.sum() == len(first)
    ):
        return list(np.split(first, np.cumsum(counts)[:-1].astype(int)))
    raise DataError(
        f"metric map: the first output has shape {list(first.shape)}, and should have [pictures, boxes, 6], or "
        "[boxes, 6] with the number of each picture's boxes as the last output"
    )

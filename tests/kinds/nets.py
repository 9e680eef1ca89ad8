"""Two small networks for each kind of output, made without training: fixed random features, and a last layer that
ridge regression fits to data drawn here. A project's recipe names the functions of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

KINDS = ("scores", "ids", "embedding", "landmarks", "tensor", "map", "ctc", "sequence", "boxes")
METRICS = {
    "scores": "top1",
    "ids": "accuracy",
    "embedding": "recall@1",
    "landmarks": "nme:0-3",
    "tensor": "nets.py:fit",
    "map": "miou:threshold=0.5",
    "ctc": "sequence_accuracy",
    "sequence": "token_accuracy",
    "boxes": "map:50",
}
SHAPES = {
    "map": (1, 16, 16),
    "ctc": (1, 8, 40),
    "sequence": (12, 8),
    "boxes": (1, 32, 32),
}
LEARNED = 1500
SAMPLES = {"landmarks": 1000, "map": 1000}
"""Samples that are judged; 600 of other kinds. Metrics that no samples are counted for need 1000 to hold half a point."""

CLASSES, SYMBOLS, TAGS, STEPS, TOKENS = 6, 5, 5, 10, 12
GRID, STRIDE = 8, 4
Drawn = tuple[np.ndarray, np.ndarray]


def shape_of(kind: str) -> tuple[int, ...]:
    """Of one input, without the samples."""
    return SHAPES.get(kind, (1, 16, 16))


def _coded(x: np.ndarray) -> np.ndarray:
    """Values on a grid of 1/64, so that every NumPy draws the same."""
    return (np.round(x * 64) / 64).clip(-4, 4).astype(np.float32)


def _classes(rng: np.random.Generator, count: int) -> Drawn:
    """A smooth pattern of one of six classes, in noise."""
    patterns = np.kron(np.random.default_rng(11).normal(0, 1, (CLASSES, 4, 4)), np.ones((4, 4)))
    label = rng.integers(0, CLASSES, count)
    return _coded(patterns[label] + rng.normal(0, 1.8, (count, 16, 16)))[:, None], label


def _blobs(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A blob in each quarter: pictures, centres [N, 4, 2] of x, y, and heights [N, 4]."""
    y, x = np.mgrid[0:16, 0:16] + 0.5
    base = np.array([[4, 4], [12, 4], [4, 12], [12, 12]], np.float64)
    centre, height = base + rng.uniform(-2, 2, (count, 4, 2)), rng.uniform(0.6, 1.6, (count, 4))
    away = (x - centre[..., 0, None, None]) ** 2 + (y - centre[..., 1, None, None]) ** 2
    picture = (height[..., None, None] * np.exp(-away / 5)).sum(1)
    return _coded(picture + rng.normal(0, 0.03, picture.shape))[:, None], centre, height


def _line(rng: np.random.Generator, count: int) -> Drawn:
    """Cells of symbols and blanks side by side, and the class of each cell, 0 for a blank."""
    symbols = np.random.default_rng(12).normal(0, 1, (SYMBOLS + 1, 8, 4))
    symbols[0] = 0
    cell = np.where(rng.random((count, STEPS)) < 0.4, 0, rng.integers(1, SYMBOLS + 1, (count, STEPS)))
    picture = symbols[cell].transpose(0, 2, 1, 3).reshape(count, 8, STEPS * 4)
    return _coded(picture + rng.normal(0, 0.3, picture.shape))[:, None], cell


def _tokens(rng: np.random.Generator, count: int) -> Drawn:
    """Vectors of tokens around the one of their tag."""
    means = np.random.default_rng(13).normal(0, 1.2, (TAGS, 8))
    tag = rng.integers(0, TAGS, (count, TOKENS))
    return _coded(means[tag] + rng.normal(0, 0.4, (count, TOKENS, 8))), tag


def _squares(rng: np.random.Generator, count: int) -> Drawn:
    """One or two shapes, filled or hollow, and their boxes [N, 2, 5]: class, x1, y1, x2, y2, class -1 for none."""
    picture, label = rng.normal(0, 0.05, (count, 32, 32)), np.full((count, 2, 5), -1.0)
    for n in range(count):
        places = rng.permutation(4)[: 1 + int(rng.random() < 0.5)]
        for k, place in enumerate(places):
            kind, (width, height) = int(rng.integers(2)), rng.integers(8, 12, 2)
            x, y = (
                (16 * (place % 2) + int(rng.integers(1, 15 - width + 1))),
                16 * (place // 2) + int(rng.integers(1, 5)),
            )
            picture[n, y : y + height, x : x + width] += 1.5
            if kind:
                picture[n, y + 2 : y + height - 2, x + 2 : x + width - 2] -= 2.5
            label[n, k] = kind, x, y, x + width, y + height
    return _coded(picture)[:, None], label


def drawn(kind: str, seed: int, count: int) -> tuple[np.ndarray, Any]:
    """Inputs float32[count, ...] and labels as the kind's metric takes them."""
    rng = np.random.default_rng(seed)
    if kind in ("scores", "ids", "embedding"):
        return _classes(rng, count)
    if kind in ("landmarks", "tensor", "map"):
        x, centre, height = _blobs(rng, count)
        if kind == "map":
            return x, (x[:, 0] > 0.5).astype(np.int64)
        return x, centre if kind == "landmarks" else height
    return {"ctc": _line, "sequence": _tokens, "boxes": _squares}[kind](rng, count)


def labelled(kind: str, label: np.ndarray) -> np.ndarray:
    """What was drawn as the metric takes it: of cells their text, padded with -1."""
    if kind != "ctc":
        return label
    texts = np.full((len(label), STEPS), -1, np.int64)
    for row, cells in zip(texts, label, strict=True):
        kept = cells[np.concatenate([[True], cells[1:] != cells[:-1]])]
        row[: (kept > 0).sum()] = kept[kept > 0]
    return texts


def evaluation(kind: str) -> dict[str, np.ndarray]:
    x, label = drawn(kind, 2, SAMPLES.get(kind, 600))
    return {"x": x, "label": labelled(kind, label)}


def calibration(kind: str) -> dict[str, np.ndarray]:
    return {"x": drawn(kind, 1, 64)[0]}


def fit(outputs: list[np.ndarray], labels: np.ndarray) -> float:
    """Share of the labels' variance that an output explains."""
    error = np.mean((outputs[0] - labels) ** 2)
    return float(1 - error / labels.var())


def solved(features: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [features, outputs] and biases of a linear layer, by ridge regression."""
    ones = np.concatenate([features, np.ones((len(features), 1))], 1).astype(np.float64)
    weights = np.linalg.solve(ones.T @ ones + 1.0 * np.eye(ones.shape[1]), ones.T @ wanted)
    return weights[:-1].astype(np.float32), weights[-1].astype(np.float32)


def network(kind: str, which: str) -> Any:
    """The network: `a` with ReLU, `b` with hard-swish and other widths, of pictures also with fewer layers."""
    import paddle
    from paddle import nn

    paddle.seed(7 if which == "a" else 8)
    features = nn.Sequential(*_features(kind, which))
    features.eval()
    x, label = drawn(kind, 1, LEARNED)
    with paddle.no_grad():
        seen = features(paddle.to_tensor(x)).numpy()
    flat, wanted = _targets(kind, seen, label)
    weights, bias = solved(flat, wanted)
    if seen.ndim == 4:
        last: Any = nn.Conv2D(seen.shape[1], wanted.shape[1], 1)
        last.weight.set_value(weights.T[:, :, None, None])
    else:
        last = nn.Linear(seen.shape[-1], wanted.shape[1])
        last.weight.set_value(weights)
    last.bias.set_value(bias)

    class Net(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.last = features, last
            self.answer = ANSWERS.get(kind, _plain)

        def forward(self, x: Any) -> Any:
            return self.answer(self.last(self.features(x)))

    return Net()


def _features(kind: str, which: str) -> list[Any]:
    """Layers of fixed random weights."""
    from paddle import nn

    act, conv, first = (nn.ReLU if which == "a" else nn.Hardswish), nn.Conv2D, which == "a"
    if kind == "sequence":
        return [nn.Linear(8, 32), act(), nn.Linear(32, 32 if first else 48), act()]
    if kind == "ctc":
        width = 24 if first else 32
        return [conv(1, width, (8, 4), (8, 4)), act(), conv(width, 24, 1), act()]
    if kind == "map":
        width = 12 if first else 16
        return [conv(1, width, 3, 1, 1), act(), conv(width, 12, 3, 1, 1), act()]
    if kind == "boxes":
        width = 96 if first else 128
        return [conv(1, 16, 5, 2, 2), act(), conv(16, 48, 5, 2, 2), act(), conv(48, width, 5, 1, 2), act()]
    if first:
        return [conv(1, 12, 3, 2, 1), act(), conv(12, 24, 3, 2, 1), act(), nn.Flatten()]
    return [conv(1, 16, 5, 2, 2), act(), nn.MaxPool2D(2), nn.Flatten()]


def _scores(y: Any) -> Any:
    from paddle.nn import functional

    return functional.softmax(4 * y, -1)


def _ids(y: Any) -> Any:
    import paddle

    return paddle.argmax(y, 1)


def _embedding(y: Any) -> Any:
    from paddle.nn import functional

    return functional.normalize(y, axis=1)


def _landmarks(y: Any) -> Any:
    return y.reshape([-1, 4, 2])


def _map(y: Any) -> Any:
    from paddle.nn import functional

    return functional.sigmoid(y)


def _ctc(y: Any) -> Any:
    from paddle.nn import functional

    return functional.softmax(6 * y.squeeze(2).transpose([0, 2, 1]), -1)


def _boxes(y: Any) -> Any:
    import paddle
    from paddle.nn import functional

    at = (np.arange(GRID) + 0.5) * STRIDE
    rows, columns = np.meshgrid(at, at, indexing="ij")
    points = paddle.to_tensor(np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float32))
    cells = y.flatten(2)
    sides = cells[:, 2:].transpose([0, 2, 1])
    corners = paddle.concat([points - 8 * sides[:, :, :2], points + 8 * sides[:, :, 2:]], -1)
    return suppressed(corners, functional.sigmoid(8 * cells[:, :2] - 2.4))


def _plain(y: Any) -> Any:
    return y


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "scores": _scores,
    "ids": _ids,
    "embedding": _embedding,
    "landmarks": _landmarks,
    "map": _map,
    "ctc": _ctc,
    "boxes": _boxes,
}
"""From the last layer's result to the output. Functions of the module: a static program sees no closures."""


def _targets(kind: str, seen: np.ndarray, label: np.ndarray) -> Drawn:
    """Features as rows and what the last layer should make of each."""
    flat = seen.transpose(0, 2, 3, 1) if seen.ndim == 4 else seen
    flat = flat.reshape(-1, flat.shape[-1])
    if kind in ("scores", "ids"):
        return flat, np.eye(CLASSES)[label]
    if kind == "embedding":
        return flat, np.sign(np.random.default_rng(14).normal(size=(CLASSES, 16)))[label]
    if kind in ("landmarks", "tensor"):
        return flat, label.reshape(len(label), -1)
    if kind == "map":
        return flat, 8.0 * label.reshape(-1, 1) - 4
    if kind == "ctc":
        return flat, np.eye(SYMBOLS + 1)[label.ravel()]
    if kind == "sequence":
        return flat, np.eye(TAGS)[label.ravel()]
    return _cells(flat, label)


def _cells(flat: np.ndarray, label: np.ndarray) -> Drawn:
    """A score a class, and the four sides of the box around each cell: only cells near a centre learn sides."""
    wanted = np.zeros((len(label), GRID, GRID, 6))
    at = (np.arange(GRID) + 0.5) * STRIDE
    for n, rows in enumerate(label):
        for kind, x1, y1, x2, y2 in rows[rows[:, 0] >= 0]:
            column, row = int((x1 + x2) / 2 / STRIDE), int((y1 + y2) / 2 / STRIDE)
            wanted[n, row, column, int(kind)] = 1
            for r in range(max(row - 1, 0), min(row + 2, GRID)):
                for c in range(max(column - 1, 0), min(column + 2, GRID)):
                    wanted[n, r, c, 2:] = (at[c] - x1) / 8, (at[r] - y1) / 8, (x2 - at[c]) / 8, (y2 - at[r]) / 8
    return flat, wanted.reshape(-1, 6)


def suppressed(boxes: Any, scores: Any) -> Any:
    """multiclass_nms3 in a static program, boxes and how many each picture has."""
    import paddle
    from paddle.base.layer_helper import LayerHelper

    nms = {
        "score_threshold": 0.3,
        "nms_top_k": 40,
        "keep_top_k": 10,
        "nms_threshold": 0.4,
        "normalized": False,
        "nms_eta": 1.0,
        "background_label": -1,
    }
    if paddle.in_dynamic_mode():
        order = (
            "score_threshold",
            "nms_top_k",
            "keep_top_k",
            "nms_threshold",
            "normalized",
            "nms_eta",
            "background_label",
        )
        out, _, count = paddle._C_ops.multiclass_nms3(boxes, scores, None, *(nms[key] for key in order))
        return out, count
    helper = LayerHelper("multiclass_nms3")
    out = helper.create_variable_for_type_inference(boxes.dtype)
    index, count = (helper.create_variable_for_type_inference("int32") for _ in range(2))
    helper.append_op(
        type="multiclass_nms3",
        inputs={"BBoxes": boxes, "Scores": scores},
        attrs=nms,
        outputs={"Out": out, "Index": index, "NmsRoisNum": count},
    )
    return out, count

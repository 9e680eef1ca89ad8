"""A small anchor-free detector, built the way PicoDet is: depthwise backbone, small neck, a head that gives each side
of a box as a distribution, decoding and NMS inside.

Source: X. Li et al., Generalized Focal Loss, NeurIPS 2020; G. Yu et al., PP-PicoDet, arXiv:2111.00902.
"""

from pathlib import Path

import numpy as np
import paddle
from data import CLASSES, SIDE
from paddle import nn
from paddle.base.layer_helper import LayerHelper
from paddle.nn import functional

WEIGHTS = Path(__file__).with_name("detection.pdparams")
STRIDES = (8, 16)
BINS = 8
"""A side of a box is 0 to BINS - 1 strides away from its point, as the mean of a distribution."""

NMS = {
    "score_threshold": 0.05,
    "nms_top_k": 100,
    "keep_top_k": 20,
    "nms_threshold": 0.5,
    "normalized": False,
    "nms_eta": 1.0,
    "background_label": -1,
}


def conv(inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2D(inner, outer, kernel, stride, kernel // 2, groups=groups, bias_attr=False),
        nn.BatchNorm2D(outer),
        nn.ReLU(),
    )


def separable(inner: int, outer: int, stride: int = 1) -> nn.Sequential:
    """A depthwise convolution of 3x3, then one of 1x1."""
    return nn.Sequential(conv(inner, inner, 3, stride, groups=inner), conv(inner, outer, 1))


def points() -> tuple[np.ndarray, np.ndarray]:
    """Every point that may find a shape, float32[P, 2] in pixels, and its stride, float32[P, 1]."""
    found, strides = [], []
    for stride in STRIDES:
        at = (np.arange(SIDE // stride) + 0.5) * stride
        y, x = np.meshgrid(at, at, indexing="ij")
        found.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(found).astype(np.float32), np.concatenate(strides).astype(np.float32)


def suppress(boxes: paddle.Tensor, scores: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    """The best box of those that overlap: [M, 6] of class, score, x1, y1, x2, y2, and how many each picture has."""
    if paddle.in_dynamic_mode():
        out, _, count = paddle._C_ops.multiclass_nms3(boxes, scores, None, *(NMS[key] for key in EAGER_ORDER))
        return out, count
    helper = LayerHelper("multiclass_nms3")
    out = helper.create_variable_for_type_inference(boxes.dtype)
    index = helper.create_variable_for_type_inference("int32")
    count = helper.create_variable_for_type_inference("int32")
    helper.append_op(
        type="multiclass_nms3",
        inputs={"BBoxes": boxes, "Scores": scores},
        attrs=NMS,
        outputs={"Out": out, "Index": index, "NmsRoisNum": count},
    )
    return out, count


EAGER_ORDER = (
    "score_threshold",
    "nms_top_k",
    "keep_top_k",
    "nms_threshold",
    "normalized",
    "nms_eta",
    "background_label",
)


class Head(nn.Layer):
    """For one stride: a score for each class, and a distribution for each side of a box."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = separable(width, width)
        # A score starts at 0.01, so that the many points without a shape do not drown the few with one.
        few = paddle.ParamAttr(initializer=nn.initializer.Constant(-4.6))
        self.scores = nn.Conv2D(width, len(CLASSES), 1, bias_attr=few)
        self.sides = nn.Conv2D(width, 4 * BINS, 1)

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """x [N, width, H, W] -> logits [N, classes, H * W] and [N, H * W, 4, BINS]."""
        x = self.body(x)
        sides = self.sides(x).reshape([0, 4, BINS, -1]).transpose([0, 3, 1, 2])
        return self.scores(x).flatten(2), sides


class Detector(nn.Layer):
    """Three stages of a backbone, two of which a neck joins both ways, and a head for each of the two strides."""

    def __init__(self, width: int = 40) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 3, 2), separable(16, 32, stride=2))
        self.fine = nn.Sequential(separable(32, 48, stride=2), separable(48, 48))
        self.coarse = nn.Sequential(separable(48, 64, stride=2), separable(64, 64))
        self.fine_in, self.coarse_in = conv(48, width, 1), conv(64, width, 1)
        self.up, self.down = separable(width, width), separable(width, width, stride=2)
        self.heads = nn.LayerList([Head(width) for _ in STRIDES])
        at, stride = points()
        self.register_buffer("at", paddle.to_tensor(at), persistable=False)
        self.register_buffer("stride", paddle.to_tensor(stride), persistable=False)
        self.register_buffer("steps", paddle.arange(BINS, dtype="float32"), persistable=False)

    def raw(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """x float32[N, 3, 96, 96] -> logits of scores [N, classes, P] and of sides [N, P, 4, BINS]."""
        fine = self.fine(self.stem(x))
        coarse = self.coarse_in(self.coarse(fine))
        fine = self.up(self.fine_in(fine) + functional.interpolate(coarse, scale_factor=2, mode="nearest"))
        coarse = coarse + self.down(fine)
        found = [self.heads[0](fine), self.heads[1](coarse)]
        return paddle.concat([scores for scores, _ in found], 2), paddle.concat([sides for _, sides in found], 1)

    def boxes(self, sides: paddle.Tensor) -> paddle.Tensor:
        """Logits of sides [N, P, 4, BINS] -> x1, y1, x2, y2 in pixels of the input, [N, P, 4]."""
        away = paddle.matmul(functional.softmax(sides, -1), self.steps) * self.stride
        return paddle.concat([self.at - away[:, :, :2], self.at + away[:, :, 2:]], -1)

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """x float32[N, 3, 96, 96] -> boxes [M, 6] and how many of them each picture has, int32[N]."""
        scores, sides = self.raw(x)
        return suppress(self.boxes(sides), functional.sigmoid(scores))


def build() -> nn.Layer:
    """The trained network; edgeflow calls this. Train it first: python train.py"""
    model = Detector()
    model.set_state_dict(paddle.load(str(WEIGHTS)))
    return model

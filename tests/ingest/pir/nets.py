"""Whole nets that PaddlePaddle 3 exported, and their weights: made from each parameter's name, so that none are kept."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F  # noqa: N812
from paddle import nn


def weight(name: str, dims: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Of fan-in scale where it is a matrix, near one where it is a scale, mean or variance, small where a bias."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if len(dims) < 2:
        low, high = (-0.1, 0.1) if ".b_" in name else (0.5, 1.5)
        return random.uniform(low, high, dims).astype(dtype)
    fan_in = dims[0] if len(dims) == 2 else math.prod(dims[1:])
    return (random.standard_normal(dims) * (1.5 / fan_in) ** 0.5).astype(dtype)


class Recogniser(nn.Layer):
    """Convolutions with squeeze and excitation, a recurrent layer where asked for, attention, a class a column."""

    def __init__(self, recurrent: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2D(3, 16, 3, 2, 1), nn.BatchNorm2D(16), nn.Hardswish())
        self.narrow, self.wide = nn.Conv2D(16, 4, 1), nn.Conv2D(4, 16, 1)
        self.body = nn.Sequential(nn.Conv2D(16, 64, 3, (2, 1), 1), nn.BatchNorm2D(64), nn.ReLU(), nn.MaxPool2D((8, 1)))
        self.lstm = nn.LSTM(64, 32, direction="bidirectional") if recurrent else None
        self.norm, self.qkv, self.out, self.head = (
            nn.LayerNorm(64), nn.Linear(64, 192), nn.Linear(64, 64), nn.Linear(64, 37)
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        x = x * F.hardsigmoid(self.wide(F.relu(self.narrow(F.adaptive_avg_pool2d(x, 1)))))
        x = paddle.transpose(paddle.squeeze(self.body(x), 2), [0, 2, 1])
        if self.lstm is not None:
            x, _ = self.lstm(x)
        batch, columns = x.shape[0], x.shape[1]
        q, k, v = self.qkv(self.norm(x)).reshape([batch, columns, 3, 4, 16]).transpose([2, 0, 3, 1, 4]).unbind(0)
        y = paddle.matmul(F.softmax(paddle.matmul(q * 0.25, k, transpose_y=True)), v)
        x = x + self.out(F.gelu(y.transpose([0, 2, 1, 3]).reshape([batch, columns, 64])))
        return F.softmax(self.head(x), 2)


class Detector(nn.Layer):
    """Two levels joined, a map of text and features beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2D(3, 16, 3, 2, 1), nn.BatchNorm2D(16), nn.ReLU6())
        self.b = nn.Sequential(nn.Conv2D(16, 32, 3, 2, 1), nn.BatchNorm2D(32), nn.Swish())
        self.la, self.lb = nn.Conv2D(16, 24, 1, bias_attr=False), nn.Conv2D(32, 24, 1, bias_attr=False)
        self.up = nn.Sequential(nn.Conv2DTranspose(48, 12, 2, 2), nn.BatchNorm2D(12), nn.LeakyReLU(0.1))

    def forward(self, x: Any) -> Any:
        a = self.a(x)
        b = self.lb(self.b(a))
        size = paddle.shape(a)[2:]
        joined = [self.la(a) + F.interpolate(b, scale_factor=2), F.interpolate(b, size=size, mode="bilinear")]
        y = self.up(paddle.concat(joined, 1))
        return paddle.clip(F.sigmoid(y.mean(1, keepdim=True)) * 2 - 0.5, 0.0, 1.0), paddle.split(y, 3, 1)[1].flatten(1)


class Encoder(nn.Layer):
    """A text encoder with a mask of padding."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(100, 32), nn.Embedding(16, 32)
        self.body = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, activation="gelu"), 2)
        self.pool, self.head = nn.Linear(32, 32), nn.Linear(32, 5)

    def forward(self, ids: Any) -> Any:
        mask = (ids == 0).astype("float32").unsqueeze([1, 2]) * -1e4
        x = self.words(ids) + self.places(paddle.arange(16, dtype="int64").unsqueeze(0))
        return self.head(F.tanh(self.pool(self.body(x, mask)[:, 0])))


class Vit(nn.Layer):
    """A vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2D(3, 32, 8, 8), nn.Linear(32, 10)
        self.first = self.create_parameter([1, 1, 32])
        self.places = self.create_parameter([1, 17, 32])
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, activation="gelu", normalize_before=True)
        self.body = nn.TransformerEncoder(layer, 2)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose([0, 2, 1])
        x = paddle.concat([self.first.expand([x.shape[0], -1, -1]), x], 1) + self.places
        return self.head(self.body(x)[:, 0])


class Tagger(nn.Layer):
    """Recurrent, over words."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.body, self.head = nn.Embedding(50, 16), nn.GRU(16, 12, num_layers=2), nn.Linear(12, 7)

    def forward(self, ids: Any) -> Any:
        x, last = self.body(self.words(ids))
        return paddle.argmax(self.head(x), -1), last


class Upsampler(nn.Layer):
    """A transposed convolution of each channel alone, and a tensor written into another."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Conv2DTranspose(8, 8, 4, 2, 1, groups=8)

    def forward(self, x: Any) -> Any:
        y = self.up(x) + 0.0
        y[:, 1:3] = F.relu(y[:, 4:6])
        return y


class Boxes(nn.Layer):
    """Boxes shared out among levels, clipped, and the best of each class: of 8 numbers each."""

    def forward(self, x: Any) -> Any:
        corner = paddle.abs(x[:, :2]) * 40
        boxes = paddle.concat([corner, corner + 8 + paddle.abs(x[:, 2:4]) * 90], 1)
        count = paddle.full([1], 12, "int32")
        levels, restore, held = paddle.vision.ops.distribute_fpn_proposals(boxes, 2, 4, 3, 56, rois_num=count)
        scores = F.softmax(x[:, 4:8], 1).transpose([1, 0]).unsqueeze(0)
        kept, index, counts = paddle._C_ops.multiclass_nms3(
            boxes.unsqueeze(0), scores, None, 0.05, 20, 9, 0.5, True, 1.0, 0
        )
        return [*levels, *held, restore, kept, index, counts]


Inputs = tuple[list[int], list[int], str]


def picture(size: int) -> Inputs:
    return [-1, 3, size, size], [2, 3, size, size], "float32"


INPUTS: dict[str, Inputs] = {
    "lenet": ([1, 1, 28, 28], [1, 1, 28, 28], "float32"),
    "alexnet": picture(224),
    "googlenet": picture(224),
    "recogniser": ([-1, 3, 32, 96], [2, 3, 32, 96], "float32"),
    "recogniser_open": ([-1, 3, 32, -1], [2, 3, 32, 64], "float32"),
    "detector": ([-1, 3, -1, -1], [1, 3, 64, 96], "float32"),
    "encoder": ([-1, 16], [2, 16], "int64"),
    "vit": picture(32),
    "tagger": ([-1, 9], [2, 9], "int64"),
    "upsampler": ([-1, 8, 6, 6], [2, 8, 6, 6], "float32"),
    "boxes": ([12, 8], [12, 8], "float32"),
}
"""Declared dims, dims that are fed, and type of a net's one input; of other nets pictures of 64 x 64."""


def nets() -> dict[str, nn.Layer]:
    from paddle.vision import models

    return {
        "lenet": models.LeNet(),
        "alexnet": models.alexnet(),
        "resnet18": models.resnet18(),
        "resnext50": models.resnext50_32x4d(),
        "mobilenet_v1": models.mobilenet_v1(scale=0.25),
        "mobilenet_v2": models.mobilenet_v2(scale=0.5),
        "mobilenet_v3_small": models.mobilenet_v3_small(scale=0.5),
        "shufflenet": models.shufflenet_v2_x0_25(),
        "shufflenet_swish": models.shufflenet_v2_swish(),
        "squeezenet": models.squeezenet1_1(),
        "densenet": models.densenet121(),
        "googlenet": models.googlenet(),
        "recogniser": Recogniser(True),
        "recogniser_open": Recogniser(False),
        "detector": Detector(),
        "encoder": Encoder(),
        "vit": Vit(),
        "tagger": Tagger(),
        "upsampler": Upsampler(),
        "boxes": Boxes(),
    }


def inputs(name: str) -> Inputs:
    return INPUTS.get(name, picture(64))


def fed(name: str) -> np.ndarray[Any, Any]:
    """What a net is fed."""
    _, dims, dtype = inputs(name)
    random = np.random.default_rng(3)
    return random.integers(0, 50, dims) if dtype == "int64" else random.standard_normal(dims).astype(dtype)

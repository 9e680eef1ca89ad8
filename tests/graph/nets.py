"""Whole networks, small enough to export in seconds, with every pattern that the rewrites look for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from paddle import nn

Net = tuple[Callable[[], Any], tuple[int, ...]]


class Ended(nn.Layer):
    """Two convolutions, then one way from their pictures to a fully connected layer."""

    def __init__(self, end: str, features: int, groups: int = 1) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2D(3, 8, 3, padding=1), nn.Conv2D(8, 16, 3, padding=1, groups=groups)
        self.f, self.end = nn.Linear(features, 10), end

    def forward(self, x: Any) -> Any:
        x = nn.functional.relu(self.b(nn.functional.relu(self.a(x))))
        if self.end == "mean":
            x = paddle.mean(x, [2, 3])
        elif self.end == "mean that keeps its axes":
            x = paddle.flatten(paddle.mean(x, [2, 3], keepdim=True), 1)
        elif self.end == "mean over channels":
            x = paddle.flatten(paddle.mean(x, 1), 1)
        elif self.end == "flatten":
            x = paddle.flatten(x, 1)
        elif self.end == "reshape":
            x = paddle.reshape(x, [-1, 1024])
        else:
            x = paddle.reshape(x, [x.shape[0], -1])
        return self.f(x)


class Block(nn.Layer):
    """A residual block whose convolutions have biases, as ports from other frameworks do."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Conv2D(cin, cout, 3, stride, 1)
        self.na = nn.BatchNorm2D(cout)
        self.b = nn.Conv2D(cout, cout, 3, 1, 1)
        self.nb = nn.BatchNorm2D(cout)
        self.short = nn.Conv2D(cin, cout, 1, stride) if stride > 1 or cin != cout else None

    def forward(self, x: Any) -> Any:
        y = self.nb(self.b(nn.functional.relu(self.na(self.a(x)))))
        return nn.functional.relu(y + (x if self.short is None else self.short(x)))


class Crnn(nn.Layer):
    """A text recogniser: convolutions, then an LSTM over the columns."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2D(1, 8, 3, 1, 1),
            nn.BatchNorm2D(8),
            nn.ReLU(),
            nn.MaxPool2D(2, 2),
            nn.Conv2D(8, 16, 3, 1, 1),
            nn.BatchNorm2D(16),
            nn.Hardswish(),
            nn.MaxPool2D((4, 1), (4, 1)),
        )
        self.rnn = nn.LSTM(32, 16, direction="bidirectional")
        self.head = nn.Linear(32, 20)

    def forward(self, x: Any) -> Any:
        y = self.body(x)  # [1, 16, 2, 16]
        y = paddle.transpose(paddle.reshape(y, [1, 32, -1]), [0, 2, 1])
        return nn.functional.softmax(self.head(self.rnn(y)[0]), axis=2)


class Db(nn.Layer):
    """A text detector: pyramid, transposed convolutions, sigmoid map."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2D(3, 8, 3, 2, 1, bias_attr=False), nn.BatchNorm2D(8), nn.Hardswish())
        self.down2 = nn.Sequential(nn.Conv2D(8, 16, 3, 2, 1, bias_attr=False), nn.BatchNorm2D(16), nn.Hardswish())
        self.side = nn.Conv2D(8, 16, 1)
        self.head = nn.Sequential(
            nn.Conv2D(16, 8, 3, 1, 1),
            nn.BatchNorm2D(8),
            nn.ReLU(),
            nn.Conv2DTranspose(8, 8, 2, 2),
            nn.BatchNorm2D(8),
            nn.ReLU(),
            nn.Conv2DTranspose(8, 1, 2, 2),
            nn.Sigmoid(),
        )

    def forward(self, x: Any) -> Any:
        a = self.down1(x)
        b = self.down2(a)
        up = nn.functional.interpolate(b, scale_factor=2.0, mode="nearest")
        return self.head(nn.functional.max_pool2d(self.side(a) + up, 2, 2))


class Primitive(nn.Layer):
    """hard_swish, hard_sigmoid and swish written out, a squeeze-and-excitation block, dropout, an input scale."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2D(3, 8, 3, 2, 1)
        self.se1, self.se2 = nn.Conv2D(8, 4, 1), nn.Conv2D(4, 8, 1)
        self.drop, self.fc = nn.Dropout(0.3), nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        y = self.stem(x * (1 / 255.0))
        y = y * nn.functional.relu6(y + 3.0) / 6.0
        gate = self.se2(nn.functional.relu(self.se1(nn.functional.adaptive_avg_pool2d(y, 1))))
        y = y * (nn.functional.relu6(gate + 3.0) * (1 / 6.0))
        y = y * nn.functional.sigmoid(y)
        return self.fc(self.drop(paddle.flatten(nn.functional.adaptive_avg_pool2d(y, 1), 1)))


def settled(build: Callable[[], Any]) -> Callable[[], Any]:
    """Batch norms with statistics that are not the identity's."""

    def make() -> Any:
        layer, random = build(), np.random.default_rng(3)
        for name, tensor in layer.named_buffers():
            if name.endswith(("_mean", "_variance")):
                low = -0.2 if name.endswith("_mean") else 0.6
                tensor.set_value(random.uniform(low, low + 0.8, tensor.shape).astype("float32"))
        return layer

    return make


def nets() -> dict[str, Net]:
    """Name -> (factory, shape of the input)."""
    from paddle.vision import models

    image = (1, 3, 64, 64)
    return {
        name: (settled(build), shape)
        for name, (build, shape) in {
            "lenet": (lambda: models.LeNet(), (1, 1, 28, 28)),
            "mobilenet_v1": (lambda: models.mobilenet_v1(scale=0.25, num_classes=10), image),
            "mobilenet_v2": (lambda: models.mobilenet_v2(scale=0.35, num_classes=10), image),
            "mobilenet_v3": (lambda: models.mobilenet_v3_small(scale=0.5, num_classes=10), image),
            "shufflenet_v2": (lambda: models.shufflenet_v2_x0_25(num_classes=10), image),
            "resnet_bias": (
                lambda: nn.Sequential(
                    nn.Conv2D(3, 8, 3, 2, 1),
                    nn.BatchNorm2D(8),
                    nn.ReLU(),
                    Block(8, 8, 1),
                    Block(8, 16, 2),
                    Block(16, 32, 2),
                    nn.AdaptiveAvgPool2D(1),
                    nn.Flatten(),
                    nn.Linear(32, 10),
                ),
                image,
            ),
            "encoder": (
                lambda: nn.Sequential(nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0), nn.Linear(16, 4)),
                (1, 8, 16),
            ),
            "crnn": (Crnn, (1, 1, 16, 32)),
            "db": (Db, image),
            "primitive": (Primitive, image),
        }.items()
    }

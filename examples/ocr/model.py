"""A DB detector, and two recognisers with CTC: a CRNN with an LSTM, and one that mixes by attention as SVTR does.

Source: M. Liao et al., arXiv:1911.08947 (DB); B. Shi et al., arXiv:1507.05717 (CRNN); Y. Du et al., arXiv:2205.00159
(SVTR). The sizes are this example's own.
"""

from __future__ import annotations

from pathlib import Path

import paddle
from paddle import nn
from paddle.nn import functional

HOME = Path(__file__).parent
STEEP = 50.0
"""How steep the approximate step of DB is."""


def conv(inner: int, outer: int, kernel: int = 3, stride: int | tuple[int, int] = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2D(inner, outer, kernel, stride, kernel // 2, groups=groups, bias_attr=False),
        nn.BatchNorm2D(outer),
        nn.ReLU(),
    )


def separable(inner: int, outer: int, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    """A depthwise convolution of 3x3, then one of 1x1."""
    return nn.Sequential(conv(inner, inner, 3, stride, groups=inner), conv(inner, outer, 1))


class Map(nn.Layer):
    """A quarter of the page's size to all of it, by two transposed convolutions; logits."""

    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.body = conv(inner, width)
        self.twice = nn.Conv2DTranspose(width, width, 2, 2)
        self.norm = nn.BatchNorm2D(width)
        self.once_more = nn.Conv2DTranspose(width, 1, 2, 2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.once_more(functional.relu(self.norm(self.twice(self.body(x)))))


class Detector(nn.Layer):
    """Pages to a map of text; while it trains, to the threshold's map and the approximate step as well."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = conv(3, width, 3, 2)
        self.fine = nn.Sequential(separable(width, 2 * width, 2), separable(2 * width, 2 * width))
        self.middle = nn.Sequential(separable(2 * width, 3 * width, 2), separable(3 * width, 3 * width))
        self.coarse = nn.Sequential(separable(3 * width, 4 * width, 2), separable(4 * width, 4 * width))
        self.joined = nn.LayerList([conv(k * width, 2 * width, 1) for k in (2, 3, 4)])
        self.text, self.threshold = Map(2 * width, width), Map(2 * width, width)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor | tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """x float32[N, 3, H, W], sides multiples of 32 -> probabilities [N, 1, H, W]."""
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        two = self.joined[1](middle) + functional.interpolate(self.joined[2](coarse), scale_factor=2, mode="nearest")
        one = self.joined[0](fine) + functional.interpolate(two, scale_factor=2, mode="nearest")
        text = functional.sigmoid(self.text(one))
        if not self.training:
            return text
        threshold = functional.sigmoid(self.threshold(one))
        return text, threshold, functional.sigmoid(STEEP * (text - threshold))


class Backbone(nn.Layer):
    """Lines of 32 pixels to one row of features, a column for each four pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(3, width // 4, 3, 2),
            conv(width // 4, width // 2),
            conv(width // 2, width // 2, 3, 2),
            conv(width // 2, width, 3, (2, 1)),
            conv(width, width, 3, (2, 1)),
            conv(width, width, 3, (2, 1)),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x float32[N, 3, 32, W] -> [N, W / 4, width]."""
        return self.layers(x).squeeze(2).transpose([0, 2, 1])


class Crnn(nn.Layer):
    """A backbone, an LSTM both ways, and a score for each letter; class 0 is CTC's blank."""

    def __init__(self, classes: int, width: int = 96) -> None:
        super().__init__()
        self.backbone = Backbone(width)
        self.lstm = nn.LSTM(width, width // 2, direction="bidirect")
        self.scores = nn.Linear(width, classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x float32[N, 3, 32, W] -> logits while training, else probabilities, [N, W / 4, classes]."""
        scores = self.scores(self.lstm(self.backbone(x))[0])
        return scores if self.training else functional.softmax(scores, -1)


class Mixing(nn.Layer):
    """A column looks at its neighbours by a convolution, then at all by attention."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.near = nn.Conv1D(width, width, 5, padding=2, groups=width)
        self.norms = nn.LayerList([nn.LayerNorm(width) for _ in range(2)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.heads = heads

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = x + self.near(x.transpose([0, 2, 1])).transpose([0, 2, 1])
        part = x.shape[2] // self.heads
        mixed = self.qkv(self.norms[0](x)).reshape([0, 0, 3, self.heads, part]).transpose([2, 0, 3, 1, 4])
        weights = functional.softmax(paddle.matmul(mixed[0] * part**-0.5, mixed[1], transpose_y=True), -1)
        x = x + self.out(paddle.matmul(weights, mixed[2]).transpose([0, 2, 1, 3]).flatten(2))
        return x + self.narrow(functional.relu(self.wide(self.norms[1](x))))


class Svtr(nn.Layer):
    """The same backbone, two layers that mix, and a score for each letter."""

    def __init__(self, classes: int, width: int = 96, layers: int = 2) -> None:
        super().__init__()
        self.backbone = Backbone(width)
        self.layers = nn.Sequential(*(Mixing(width) for _ in range(layers)))
        self.norm, self.scores = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """As Crnn's."""
        scores = self.scores(self.norm(self.layers(self.backbone(x))))
        return scores if self.training else functional.softmax(scores, -1)


RECOGNISERS = {"crnn": Crnn, "svtr": Svtr}


def weights_of(name: str) -> Path:
    return HOME / f"{name}.pdparams"


def classes() -> int:
    """Letters of the dictionary, and the blank."""
    return 1 + len((HOME / "dictionary.txt").read_text(encoding="utf-8").splitlines())


def detector() -> nn.Layer:
    """The trained network; edgeflow calls this. Train it first: python train.py"""
    model = Detector()
    model.set_state_dict(paddle.load(str(weights_of("detector"))))
    return model


def _recogniser(name: str) -> nn.Layer:
    """Of the sizes that its weights have."""
    state = paddle.load(str(weights_of(name)))
    width, letters = state["scores.weight"].shape
    model = RECOGNISERS[name](letters, width)
    model.set_state_dict(state)
    return model


def crnn() -> nn.Layer:
    return _recogniser("crnn")


def svtr() -> nn.Layer:
    return _recogniser("svtr")

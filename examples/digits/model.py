"""A small convolutional network for 8x8 grey digits, built the way mobile networks are."""

from pathlib import Path

import paddle
from paddle import nn

WEIGHTS = Path(__file__).with_name("digits.pdparams")
CLASSES = 10


class Digits(nn.Layer):
    """Stem, one depthwise-separable residual block, a strided block, a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2D(1, 16, 3, padding=1), nn.BatchNorm2D(16), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2D(16, 16, 3, padding=1, groups=16), nn.BatchNorm2D(16), nn.ReLU6())
        self.pointwise = nn.Sequential(nn.Conv2D(16, 16, 1), nn.BatchNorm2D(16))
        self.down = nn.Sequential(nn.Conv2D(16, 32, 3, stride=2, padding=1), nn.BatchNorm2D(32), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2D(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2D(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 2 * 2, 64), nn.ReLU(), nn.Linear(64, CLASSES))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x float32[N, 1, 8, 8] in 0..1 -> scores float32[N, 10]."""
        x = self.stem(x)
        x = x + self.pointwise(self.depthwise(x))
        return self.head(self.wide(self.down(x)))


def build() -> nn.Layer:
    """The trained network; edgeflow calls this. Train it first: python train.py"""
    model = Digits()
    model.set_state_dict(paddle.load(str(WEIGHTS)))
    return model

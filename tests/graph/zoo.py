"""One-layer programs: every paddle.nn layer and the common functional and tensor ops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F  # noqa: N812
from paddle import nn
from paddle.vision import ops as vision

Shape = tuple[int, ...]

VECTOR = (6,)
ROWS = (2, 6)
SQUARE = (5, 5)
SEQUENCE = (2, 4, 12)
IMAGE = (2, 4, 8, 8)
VOLUME = (2, 4, 4, 6, 6)


@dataclass(frozen=True)
class Case:
    """A layer to be built and what to feed it: floats in [low, high), whole numbers alike, booleans even odds."""

    build: Callable[[], nn.Layer]
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    low: float = -2.0
    high: float = 2.0

    def layer(self) -> nn.Layer:
        """The layer in inference mode; the same weights every time, and none that a wrong program could ignore."""
        paddle.seed(7)
        layer, random = self.build(), np.random.default_rng(7)
        for name, tensor in layer.named_parameters():
            values = tensor.numpy()
            if values.ndim == 1 or (values == values.flat[0]).all():  # biases, scales, means, variances
                low = -0.5 if "bias" in name or name.endswith("_mean") else 0.5
                tensor.set_value(random.uniform(low, low + 1.0, values.shape).astype(values.dtype))
        layer.eval()
        return layer

    def specs(self) -> list[paddle.static.InputSpec]:
        """The inputs x0, x1, ... for paddle.jit.save."""
        return [
            paddle.static.InputSpec(list(shape), dtype, f"x{k}")
            for k, (shape, dtype) in enumerate(zip(self.shapes, self.dtypes, strict=True))
        ]

    def feed(self, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
        """Random inputs by name."""
        random = np.random.default_rng(seed)
        arrays = {}
        for k, (shape, dtype) in enumerate(zip(self.shapes, self.dtypes, strict=True)):
            if dtype == "bool":
                array = random.integers(0, 2, shape)
            elif "int" in dtype:
                array = random.integers(int(self.low), int(self.high), shape)
            else:
                array = random.uniform(self.low, self.high, shape)
            arrays[f"x{k}"] = array.astype(dtype)
        return arrays


class Fn(nn.Layer):
    """A function of one to three tensors as a layer; jit.save of Paddle 2.6.2 cannot take `*tensors`."""

    def __init__(self, function: Callable[..., Any], arity: int) -> None:
        super().__init__()
        self.function, self.arity = function, arity

    def forward(self, x: Any, y: Any = None, z: Any = None) -> Any:
        """What the function makes of the tensors."""
        return self.function(*(x, y, z)[: self.arity])


CASES: dict[str, Case] = {}


def layer(
    name: str,
    build: Callable[[], nn.Layer],
    *shapes: Shape,
    dtypes: str | tuple[str, ...] = "float32",
    low: float = -2.0,
    high: float = 2.0,
) -> None:
    """Enter a layer; one dtype stands for all inputs."""
    if name in CASES:
        raise ValueError(f"{name}: is there already")
    shapes = shapes or (IMAGE,)
    CASES[name] = Case(build, shapes, (dtypes,) * len(shapes) if isinstance(dtypes, str) else dtypes, low, high)


def op(name: str, function: Callable[..., Any], *shapes: Shape, **options: Any) -> None:
    """Enter a function of tensors."""
    layer(name, lambda: Fn(function, len(shapes or (IMAGE,))), *shapes, **options)


def each(prefix: str, names: str, *shapes: Shape, **options: Any) -> None:
    """Enter functions of Paddle that need no further arguments."""
    module = {"paddle": paddle, "F": F}[prefix]
    for name in names.split():
        op(f"{prefix}.{name}", getattr(module, name), *shapes, **options)


def const(*values: Any, dtype: str | None = None) -> paddle.Tensor:
    """A constant inside the program."""
    return paddle.to_tensor(list(values), dtype=dtype)


# --- activations ---------------------------------------------------------------------------------------------------

for _make in (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.LogSoftmax,
    nn.Mish,
    nn.PReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.Sigmoid,
    nn.Silu,
    nn.Softmax,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Swish,
    nn.Tanh,
    nn.Tanhshrink,
    nn.ThresholdedReLU,
    nn.GLU,
    nn.Softmax2D,
    nn.Identity,
):
    layer(f"nn.{_make.__name__}", _make, low=-8.0, high=8.0)
layer("nn.CELU alpha", lambda: nn.CELU(0.3))
layer("nn.ELU alpha", lambda: nn.ELU(0.3))
layer("nn.GELU tanh", lambda: nn.GELU(approximate=True))
layer("nn.Hardshrink threshold", lambda: nn.Hardshrink(1.0))
layer("nn.Hardtanh limits", lambda: nn.Hardtanh(-0.5, 1.5))
layer("nn.LeakyReLU slope", lambda: nn.LeakyReLU(0.3))
layer("nn.LogSoftmax axis", lambda: nn.LogSoftmax(1))
layer("nn.Maxout", lambda: nn.Maxout(2))
layer("nn.PReLU channel", lambda: nn.PReLU(4))
layer("nn.PReLU rows", lambda: nn.PReLU(6), ROWS)
layer("nn.Softmax axis", lambda: nn.Softmax(1))
layer("nn.Softmax rows", nn.Softmax, ROWS)
layer("nn.Softplus beta", lambda: nn.Softplus(2.0, 5.0), low=-8.0, high=8.0)
layer("nn.Softshrink threshold", lambda: nn.Softshrink(1.0))
layer("nn.ThresholdedReLU threshold", lambda: nn.ThresholdedReLU(0.4))
layer("nn.GLU axis", lambda: nn.GLU(1))
each(
    "F",
    "relu relu6 sigmoid tanh gelu silu swish mish hardswish hardsigmoid leaky_relu elu selu softmax log_softmax softplus "
    "softsign glu",
    ROWS,
)
op("F.softmax vector", F.softmax, VECTOR)
op("F.prelu", lambda x: F.prelu(x, paddle.full([1], 0.2)))
op("F.maxout axis", lambda x: F.maxout(x, 2, axis=-1))
op("F.hardsigmoid slope", lambda x: F.hardsigmoid(x, slope=0.2, offset=0.4))
op("F.softmax dtype", lambda x: F.softmax(x, dtype="float64"))
op("paddle.stanh", paddle.stanh)

# --- convolutions --------------------------------------------------------------------------------------------------

_CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "no bias": {"bias_attr": False},
    "stride padding": {"stride": 2, "padding": 1},
    "dilation": {"dilation": 2},
    "groups": {"groups": 2},
    "depthwise": {"groups": 4, "padding": 1},
    "SAME": {"padding": "SAME", "stride": 2},
    "VALID": {"padding": "VALID"},
}
for _name, _options in _CONVOLUTIONS.items():
    for _kind, _make, _shape in (("1D", nn.Conv1D, SEQUENCE), ("2D", nn.Conv2D, IMAGE), ("3D", nn.Conv3D, VOLUME)):
        layer(
            f"nn.Conv{_kind} {_name}".strip(),
            lambda m=_make, o=_options: m(4, 8, 2 if m is nn.Conv3D else 3, **o),
            _shape,
        )
    if "dilation" not in _options or _name == "dilation":
        for _kind, _make, _shape in (
            ("1D", nn.Conv1DTranspose, SEQUENCE),
            ("2D", nn.Conv2DTranspose, IMAGE),
            ("3D", nn.Conv3DTranspose, VOLUME),
        ):
            layer(f"nn.Conv{_kind}Transpose {_name}".strip(), lambda m=_make, o=_options: m(4, 8, 3, **o), _shape)
layer("nn.Conv1D circular", lambda: nn.Conv1D(4, 8, 3, padding=1, padding_mode="circular"), SEQUENCE)
layer("nn.Conv1D NLC", lambda: nn.Conv1D(12, 8, 3, data_format="NLC"), SEQUENCE)
layer("nn.Conv2D 1x1", lambda: nn.Conv2D(4, 8, 1))
layer("nn.Conv2D 1x1 stride", lambda: nn.Conv2D(4, 8, 1, stride=2))
layer("nn.Conv2D 5x1", lambda: nn.Conv2D(4, 8, (5, 1), padding=(2, 0)))
layer("nn.Conv2D 7x7", lambda: nn.Conv2D(4, 8, 7, stride=2, padding=3))
layer("nn.Conv2D asymmetric", lambda: nn.Conv2D(4, 8, 3, padding=[1, 0, 2, 1]))
layer("nn.Conv2D depthwise stride", lambda: nn.Conv2D(4, 4, 3, stride=2, padding=1, groups=4))
layer("nn.Conv2D depthwise 5x5", lambda: nn.Conv2D(4, 4, 5, padding=2, groups=4, bias_attr=False))
layer("nn.Conv2D NHWC", lambda: nn.Conv2D(8, 6, 3, data_format="NHWC"))
layer("nn.Conv2D reflect", lambda: nn.Conv2D(4, 8, 3, padding=1, padding_mode="reflect"))
layer("nn.Conv2D replicate", lambda: nn.Conv2D(4, 8, 3, padding=1, padding_mode="replicate"))
layer("nn.Conv2D circular", lambda: nn.Conv2D(4, 8, 3, padding=1, padding_mode="circular"))
layer("nn.Conv2DTranspose output padding", lambda: nn.Conv2DTranspose(4, 8, 3, stride=2, padding=1, output_padding=1))
layer("nn.Conv2DTranspose 4x4", lambda: nn.Conv2DTranspose(4, 8, 4, stride=2, padding=1))
layer("nn.Conv2DTranspose asymmetric", lambda: nn.Conv2DTranspose(4, 8, 3, stride=2, padding=[1, 0, 0, 1]))
op("F.conv2d weight as input", F.conv2d, IMAGE, (8, 4, 3, 3))
op("F.conv2d constant weight", lambda x: F.conv2d(x, paddle.full([4, 1, 3, 3], 0.1), padding=1, groups=4))
op(
    "F.conv2d_transpose output size",
    lambda x, w: F.conv2d_transpose(x, w, stride=2, output_size=[18, 18]),
    IMAGE,
    (4, 8, 3, 3),
)
layer("nn.utils.weight_norm", lambda: nn.utils.weight_norm(nn.Conv2D(4, 8, 3)))
layer("nn.utils.weight_norm Linear", lambda: nn.utils.weight_norm(nn.Linear(6, 3), dim=None), ROWS)
layer("nn.utils.spectral_norm", lambda: nn.utils.spectral_norm(nn.Conv2D(4, 8, 3)))

# --- pooling -------------------------------------------------------------------------------------------------------

for _kind, _avg, _max, _shape in (
    ("1D", nn.AvgPool1D, nn.MaxPool1D, SEQUENCE),
    ("2D", nn.AvgPool2D, nn.MaxPool2D, IMAGE),
    ("3D", nn.AvgPool3D, nn.MaxPool3D, VOLUME),
):
    for _name, _make in (("Avg", _avg), ("Max", _max)):
        layer(f"nn.{_name}Pool{_kind}", lambda m=_make: m(2), _shape)
        layer(f"nn.{_name}Pool{_kind} stride padding", lambda m=_make: m(3, stride=2, padding=1), _shape)
        layer(f"nn.{_name}Pool{_kind} ceil", lambda m=_make: m(3, stride=2, ceil_mode=True), _shape)
    layer(f"nn.AvgPool{_kind} inclusive", lambda m=_avg: m(3, stride=2, padding=1, exclusive=False), _shape)
    layer(f"nn.MaxPool{_kind} mask", lambda m=_max: m(2, return_mask=True), _shape)
for _kind, _avg, _max, _shape in (
    ("1D", nn.AdaptiveAvgPool1D, nn.AdaptiveMaxPool1D, SEQUENCE),
    ("2D", nn.AdaptiveAvgPool2D, nn.AdaptiveMaxPool2D, IMAGE),
    ("3D", nn.AdaptiveAvgPool3D, nn.AdaptiveMaxPool3D, VOLUME),
):
    for _name, _make in (("Avg", _avg), ("Max", _max)):
        layer(f"nn.Adaptive{_name}Pool{_kind}", lambda m=_make: m(2), _shape)
        layer(f"nn.Adaptive{_name}Pool{_kind} one", lambda m=_make: m(1), _shape)
        layer(f"nn.Adaptive{_name}Pool{_kind} uneven", lambda m=_make: m(3), _shape)
    layer(f"nn.AdaptiveMaxPool{_kind} mask", lambda m=_max: m(2, return_mask=True), _shape)
layer("nn.AvgPool2D SAME", lambda: nn.AvgPool2D(3, stride=2, padding="SAME"))
layer("nn.AvgPool2D divisor", lambda: nn.AvgPool2D(2, divisor_override=3))
layer("nn.AvgPool2D NHWC", lambda: nn.AvgPool2D(2, data_format="NHWC"))
layer("nn.MaxPool2D SAME", lambda: nn.MaxPool2D(3, stride=2, padding="SAME"))
layer("nn.MaxPool2D asymmetric", lambda: nn.MaxPool2D(3, stride=2, padding=[1, 0, 0, 1]))
layer("nn.MaxPool2D 3x2", lambda: nn.MaxPool2D((3, 2), stride=(2, 1)))
layer("nn.AdaptiveAvgPool2D keep height", lambda: nn.AdaptiveAvgPool2D((None, 1)))
op("nn.MaxUnPool1D", lambda x: nn.MaxUnPool1D(2)(*F.max_pool1d(x, 2, return_mask=True)), SEQUENCE)
op("nn.MaxUnPool2D", lambda x: nn.MaxUnPool2D(2)(*F.max_pool2d(x, 2, return_mask=True)))
op("nn.MaxUnPool3D", lambda x: nn.MaxUnPool3D(2)(*F.max_pool3d(x, 2, return_mask=True)), VOLUME)

# --- normalisation -------------------------------------------------------------------------------------------------

layer("nn.BatchNorm1D", lambda: nn.BatchNorm1D(4), SEQUENCE)
layer("nn.BatchNorm1D rows", lambda: nn.BatchNorm1D(6), ROWS)
layer("nn.BatchNorm2D", lambda: nn.BatchNorm2D(4))
layer("nn.BatchNorm2D no affine", lambda: nn.BatchNorm2D(4, weight_attr=False, bias_attr=False))
layer("nn.BatchNorm2D NHWC", lambda: nn.BatchNorm2D(8, data_format="NHWC"))
layer("nn.BatchNorm with act", lambda: nn.BatchNorm(4, act="relu"))
layer("nn.BatchNorm3D", lambda: nn.BatchNorm3D(4), VOLUME)
layer("nn.LayerNorm", lambda: nn.LayerNorm(12), SEQUENCE)
layer("nn.LayerNorm no affine", lambda: nn.LayerNorm(12, weight_attr=False, bias_attr=False), SEQUENCE)
layer("nn.LayerNorm no bias", lambda: nn.LayerNorm(12, bias_attr=False), SEQUENCE)
layer("nn.LayerNorm two axes", lambda: nn.LayerNorm((8, 8)))
layer("nn.GroupNorm", lambda: nn.GroupNorm(2, 4))
layer("nn.GroupNorm no affine", lambda: nn.GroupNorm(2, 4, weight_attr=False, bias_attr=False))
layer("nn.GroupNorm 1D", lambda: nn.GroupNorm(2, 4), SEQUENCE)
layer("nn.InstanceNorm1D", lambda: nn.InstanceNorm1D(4), SEQUENCE)
layer("nn.InstanceNorm2D", lambda: nn.InstanceNorm2D(4))
layer("nn.InstanceNorm2D no affine", lambda: nn.InstanceNorm2D(4, weight_attr=False, bias_attr=False))
layer("nn.InstanceNorm3D", lambda: nn.InstanceNorm3D(4), VOLUME)
layer("nn.LocalResponseNorm", lambda: nn.LocalResponseNorm(3))
layer("nn.LocalResponseNorm 1D", lambda: nn.LocalResponseNorm(3), SEQUENCE)
layer("nn.SpectralNorm", lambda: nn.SpectralNorm((4, 6), power_iters=2), (4, 6))
op("F.normalize", F.normalize)
op("F.normalize p1", lambda x: F.normalize(x, p=1, axis=-1), ROWS)
op("F.layer_norm", lambda x: F.layer_norm(x, 6), ROWS)
op("F.instance_norm", F.instance_norm)
op("F.local_response_norm", lambda x: F.local_response_norm(x, 3, alpha=0.01, k=2.0))

# --- padding, resampling and rearranging ---------------------------------------------------------------------------

for _mode in ("constant", "reflect", "replicate", "circular"):
    layer(f"nn.Pad1D {_mode}", lambda m=_mode: nn.Pad1D([1, 2], m), SEQUENCE)
    layer(f"nn.Pad2D {_mode}", lambda m=_mode: nn.Pad2D([1, 2, 0, 3], m))
    layer(f"nn.Pad3D {_mode}", lambda m=_mode: nn.Pad3D([1, 2, 0, 3, 1, 1], m), VOLUME)
layer("nn.Pad2D value", lambda: nn.Pad2D(1, value=0.5))
layer("nn.Pad2D NHWC", lambda: nn.Pad2D(1, data_format="NHWC"))
layer("nn.ZeroPad2D", lambda: nn.ZeroPad2D([1, 0, 2, 1]))
op("F.pad all axes", lambda x: F.pad(x, [0, 0, 1, 1, 2, 0, 0, 2], value=0.5))
op("F.pad rows", lambda x: F.pad(x, [0, 1, 2, 0]), ROWS)
op("F.zeropad2d", lambda x: F.zeropad2d(x, [1, 2, 3, 0]))

for _mode, _shape in (
    ("nearest", IMAGE),
    ("linear", SEQUENCE),
    ("bilinear", IMAGE),
    ("bicubic", IMAGE),
    ("trilinear", VOLUME),
    ("area", IMAGE),
):
    _size, _format = {3: ([20], "NCW"), 4: ([12, 10], "NCHW"), 5: ([8, 9, 7], "NCDHW")}[len(_shape)]
    _options = {"mode": _mode, "data_format": _format}
    op(f"F.interpolate {_mode} size", lambda x, s=_size, o=_options: F.interpolate(x, s, **o), _shape)
    op(
        f"F.interpolate {_mode} smaller",
        lambda x, s=_size, o=_options: F.interpolate(x, [d // 3 for d in s], **o),
        _shape,
    )
    if _mode != "area":
        layer(f"nn.Upsample {_mode}", lambda s=_size, o=_options: nn.Upsample(scale_factor=[2] * len(s), **o), _shape)
    if _mode not in ("nearest", "area"):
        op(
            f"F.interpolate {_mode} corners",
            lambda x, s=_size, o=_options: F.interpolate(x, s, align_corners=True, **o),
            _shape,
        )
    if "linear" in _mode:
        op(
            f"F.interpolate {_mode} align mode 1",
            lambda x, s=_size, o=_options: F.interpolate(x, s, align_mode=1, **o),
            _shape,
        )
op("F.interpolate fraction", lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"))
op("F.interpolate nearest 3D", lambda x: F.interpolate(x, [6, 8, 9], mode="nearest", data_format="NCDHW"), VOLUME)
op("F.interpolate NHWC", lambda x: F.interpolate(x, [12, 10], mode="bilinear", data_format="NHWC"))
op(
    "F.interpolate size of tensor",
    lambda x, y: F.interpolate(x, paddle.shape(y)[2:], mode="bilinear"),
    IMAGE,
    (2, 3, 11, 13),
)
layer("nn.UpsamplingNearest2D", lambda: nn.UpsamplingNearest2D(scale_factor=2))
layer("nn.UpsamplingNearest2D size", lambda: nn.UpsamplingNearest2D([12, 10]))
layer("nn.UpsamplingBilinear2D", lambda: nn.UpsamplingBilinear2D(scale_factor=2))
layer("nn.UpsamplingBilinear2D size", lambda: nn.UpsamplingBilinear2D([12, 10]))
layer("nn.PixelShuffle", lambda: nn.PixelShuffle(2))
layer("nn.PixelShuffle NHWC", lambda: nn.PixelShuffle(2, "NHWC"))
layer("nn.PixelUnshuffle", lambda: nn.PixelUnshuffle(2))
layer("nn.ChannelShuffle", lambda: nn.ChannelShuffle(2))
layer("nn.Unfold", lambda: nn.Unfold(3))
layer("nn.Unfold stride padding", lambda: nn.Unfold([3, 2], strides=2, paddings=1, dilations=1))
layer("nn.Fold", lambda: nn.Fold([4, 5], 2), (2, 8, 12))
layer("nn.Flatten", nn.Flatten)
layer("nn.Flatten middle", lambda: nn.Flatten(1, 2))
layer("nn.Unflatten", lambda: nn.Unflatten(1, [2, 2]))
op("F.grid_sample", F.grid_sample, IMAGE, (2, 5, 6, 2), low=-1.2, high=1.2)
op(
    "F.grid_sample nearest border",
    lambda x, g: F.grid_sample(x, g, mode="nearest", padding_mode="border", align_corners=False),
    IMAGE,
    (2, 5, 6, 2),
    low=-1.2,
    high=1.2,
)
op("F.grid_sample reflection", lambda x, g: F.grid_sample(x, g, padding_mode="reflection"), IMAGE, (2, 5, 6, 2))
op("F.affine_grid", lambda x: F.affine_grid(x, [2, 3, 5, 6]), (2, 2, 3))
op("F.affine_grid corners false", lambda x: F.affine_grid(x, [2, 3, 5, 6], align_corners=False), (2, 2, 3))
op("F.temporal_shift", lambda x: F.temporal_shift(x, 2, 0.25), (4, 8, 3, 3))

# --- linear, embedding, distances, dropout -------------------------------------------------------------------------

layer("nn.Linear", lambda: nn.Linear(6, 3), ROWS)
layer("nn.Linear no bias", lambda: nn.Linear(6, 3, bias_attr=False), ROWS)
layer("nn.Linear 3D", lambda: nn.Linear(12, 5), SEQUENCE)
layer("nn.Linear 4D", lambda: nn.Linear(8, 5))
layer("nn.Linear vector", lambda: nn.Linear(6, 3), VECTOR)
layer("nn.Bilinear", lambda: nn.Bilinear(6, 5, 3), ROWS, (2, 5))
layer("nn.Embedding", lambda: nn.Embedding(10, 6), (2, 7), dtypes="int64", low=0, high=10)
layer("nn.Embedding int32", lambda: nn.Embedding(10, 6), (2, 7), dtypes="int32", low=0, high=10)
layer("nn.Embedding padding", lambda: nn.Embedding(10, 6, padding_idx=3), (2, 7), dtypes="int64", low=0, high=10)
layer("nn.Embedding vector", lambda: nn.Embedding(10, 6), (7,), dtypes="int64", low=0, high=10)
layer("nn.CosineSimilarity", nn.CosineSimilarity, ROWS, ROWS)
layer("nn.CosineSimilarity axis", lambda: nn.CosineSimilarity(axis=-1), SEQUENCE, SEQUENCE)
layer("nn.PairwiseDistance", nn.PairwiseDistance, ROWS, ROWS)
layer("nn.PairwiseDistance p1", lambda: nn.PairwiseDistance(1.0, keepdim=True), ROWS, ROWS)
layer("nn.Dropout", nn.Dropout)
layer("nn.Dropout downscale", lambda: nn.Dropout(0.3, mode="downscale_in_infer"))
layer("nn.Dropout axis", lambda: nn.Dropout(0.3, axis=1))
layer("nn.Dropout2D", nn.Dropout2D)
layer("nn.Dropout3D", nn.Dropout3D, VOLUME)
layer("nn.AlphaDropout", nn.AlphaDropout)
op("F.dropout inference", lambda x: F.dropout(x, 0.4, training=False))
op("F.linear", lambda x, w: F.linear(x, w), ROWS, (6, 3))
op("F.bilinear", F.bilinear, ROWS, (2, 5), (3, 6, 5))
op(
    "F.embedding",
    lambda x: F.embedding(x, paddle.reshape(paddle.arange(12, dtype="float32"), [4, 3])),
    (5,),
    dtypes="int64",
    low=0,
    high=4,
)
op("F.one_hot", lambda x: F.one_hot(x, 5), (7,), dtypes="int64", low=0, high=5)
op("F.one_hot int32", lambda x: F.one_hot(x, 5), (2, 3), dtypes="int32", low=0, high=5)
op("F.label_smooth", F.label_smooth, ROWS)
op("F.sequence_mask", lambda x: F.sequence_mask(x, 6), (4,), dtypes="int64", low=0, high=6)
op(
    "F.softmax_with_cross_entropy",
    F.softmax_with_cross_entropy,
    ROWS,
    (2, 1),
    dtypes=("float32", "int64"),
    low=0,
    high=6,
)
each("F", "mse_loss l1_loss smooth_l1_loss square_error_cost", ROWS, ROWS)
op("F.cross_entropy", F.cross_entropy, ROWS, (2, 1), dtypes=("float32", "int64"), low=0, high=6)

# --- recurrence and attention --------------------------------------------------------------------------------------

for _make in (nn.SimpleRNN, nn.GRU, nn.LSTM):
    layer(f"nn.{_make.__name__}", lambda m=_make: m(12, 5), SEQUENCE)
    layer(f"nn.{_make.__name__} bidirectional", lambda m=_make: m(12, 5, direction="bidirect"), SEQUENCE)
    layer(f"nn.{_make.__name__} two layers", lambda m=_make: m(12, 5, num_layers=2), SEQUENCE)
    layer(f"nn.{_make.__name__} time major", lambda m=_make: m(12, 5, time_major=True), SEQUENCE)
layer("nn.SimpleRNN relu", lambda: nn.SimpleRNN(12, 5, activation="relu"), SEQUENCE)
layer("nn.LSTM lengths", lambda: _Lengths(nn.LSTM(12, 5)), SEQUENCE, (2,), dtypes=("float32", "int64"), low=1, high=4)
layer("nn.SimpleRNNCell", lambda: Fn(nn.SimpleRNNCell(6, 5), 2), ROWS, (2, 5))
layer("nn.GRUCell", lambda: Fn(nn.GRUCell(6, 5), 2), ROWS, (2, 5))
layer("nn.LSTMCell", lambda: _States(nn.LSTMCell(6, 5)), ROWS, (2, 5), (2, 5))
layer("nn.RNN of GRUCell", lambda: nn.RNN(nn.GRUCell(12, 5)), SEQUENCE)
layer("nn.BiRNN of LSTMCell", lambda: nn.BiRNN(nn.LSTMCell(12, 5), nn.LSTMCell(12, 5)), SEQUENCE)
layer("nn.MultiHeadAttention", lambda: nn.MultiHeadAttention(12, 3), SEQUENCE)
layer("nn.MultiHeadAttention cross", lambda: nn.MultiHeadAttention(12, 3), SEQUENCE, (2, 5, 12), (2, 5, 12))
layer("nn.MultiHeadAttention weights", lambda: nn.MultiHeadAttention(12, 3, need_weights=True), SEQUENCE)
layer("nn.TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(12, 3, 16), SEQUENCE)
layer(
    "nn.TransformerEncoderLayer norm first",
    lambda: nn.TransformerEncoderLayer(12, 3, 16, activation="gelu", normalize_before=True),
    SEQUENCE,
)
layer("nn.TransformerEncoder", lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 3, 16), 2), SEQUENCE)
layer("nn.TransformerDecoderLayer", lambda: nn.TransformerDecoderLayer(12, 3, 16), SEQUENCE, (2, 5, 12))
layer("nn.Transformer", lambda: nn.Transformer(12, 3, 1, 1, 16), SEQUENCE, (2, 5, 12))
op("F.scaled_dot_product_attention", F.scaled_dot_product_attention, *((2, 4, 3, 8),) * 3)


class _Lengths(nn.Layer):
    """A recurrent layer that is told how long each sequence is."""

    def __init__(self, rnn: nn.Layer) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Any, lengths: Any) -> Any:
        return self.rnn(x, sequence_length=lengths)


class _States(nn.Layer):
    """A cell whose two states are inputs of their own."""

    def __init__(self, cell: nn.Layer) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        return self.cell(x, (h, c))


# --- one tensor, element by element --------------------------------------------------------------------------------

each(
    "paddle",
    "exp expm1 square abs sign ceil floor round trunc frac sin cos tan atan sinh cosh asinh tanh erf neg sgn "
    "rad2deg deg2rad nan_to_num i0 i0e i1 i1e digamma lgamma",
)
op("paddle.logit", paddle.logit, low=0.1, high=0.9)
each("paddle", "asin acos atanh erfinv", low=-0.9, high=0.9)
each("paddle", "log log2 log10 log1p sqrt rsqrt reciprocal", low=0.1, high=4.0)
op("paddle.acosh", paddle.acosh, low=1.1, high=4.0)
op("paddle.clip", lambda x: paddle.clip(x, -0.5, 1.0))
op("paddle.clip min", lambda x: paddle.clip(x, min=0.0))
op("paddle.clip of tensors", lambda x: paddle.clip(x, paddle.full([1], -0.5), paddle.full([1], 0.5)))
op("paddle.clip int64", lambda x: paddle.clip(x, -3, 3), ROWS, dtypes="int64", low=-9, high=9)
op("paddle.scale", lambda x: paddle.scale(x, 2.0, 0.5))
op("paddle.scale bias first", lambda x: paddle.scale(x, 2.0, 0.5, bias_after_scale=False))
op("paddle.scale act", lambda x: paddle.scale(x, 2.0, act="relu"))
op("paddle.scale int64", lambda x: x * 3 + 1, ROWS, dtypes="int64", low=-9, high=9)
op("paddle.pow scalar", lambda x: paddle.pow(x, 2.5), low=0.1)
op("paddle.pow square", lambda x: x**2)
op("paddle.pow base scalar", lambda x: 2.0**x)
op("paddle.abs int32", paddle.abs, ROWS, dtypes="int32", low=-9, high=9)
op("paddle.floor float64", paddle.floor, ROWS, dtypes="float64")
op("paddle.isnan", lambda x: paddle.isnan(paddle.sqrt(x)), ROWS)
op("paddle.isinf", lambda x: paddle.isinf(paddle.log(F.relu(x))), ROWS)
op("paddle.isinf quotient", lambda x: paddle.isinf(1.0 / F.relu(x)), ROWS)
op("paddle.isfinite", lambda x: paddle.isfinite(paddle.log(x)), ROWS)
op("paddle.increment", lambda x: paddle.increment(x * 1.5), (1,))
op("paddle.assign", paddle.assign)
for _dtype in ("float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"):
    op(f"paddle.cast to {_dtype}", lambda x, d=_dtype: paddle.cast(x, d), ROWS, low=0, high=9)
    if _dtype not in ("float16", "int8"):
        op(f"paddle.cast from {_dtype}", lambda x: paddle.cast(x, "float32"), ROWS, dtypes=_dtype, low=0, high=9)
op("paddle.cast round trip", lambda x: paddle.cast(paddle.cast(x, "int32"), "float32"), ROWS, low=-9, high=9)

# --- two tensors, element by element -------------------------------------------------------------------------------

each(
    "paddle",
    "add subtract multiply divide maximum minimum fmax fmin equal not_equal greater_than greater_equal less_than "
    "less_equal atan2 logaddexp hypot heaviside",
    IMAGE,
    IMAGE,
)
each("paddle", "floor_divide mod remainder pow", ROWS, ROWS, low=0.5, high=4.0)
for _name in ["add", "subtract", "multiply", "divide", "maximum", "minimum"]:
    _function = getattr(paddle, _name)
    op(f"paddle.{_name} channel", _function, IMAGE, (4, 1, 1), low=0.5)
    op(f"paddle.{_name} row", _function, IMAGE, (8,), low=0.5)
    op(f"paddle.{_name} both sides", _function, (2, 1, 6), (4, 1), low=0.5)
    op(f"paddle.{_name} small first", _function, (6,), (2, 6), low=0.5)
    op(f"paddle.{_name} constant", lambda x, f=_function: f(x, const(0.5, 1.0, 1.5, 2.0, 2.5, 3.0)), ROWS)
for _dtype in ("int32", "int64"):
    for _name in (
        "add",
        "subtract",
        "multiply",
        "floor_divide",
        "mod",
        "maximum",
        "minimum",
        "equal",
        "less_than",
        "greater_than",
        "pow",
    ):
        op(f"paddle.{_name} {_dtype}", getattr(paddle, _name), ROWS, ROWS, dtypes=_dtype, low=1, high=9)
op("paddle.add float64", paddle.add, ROWS, ROWS, dtypes="float64")
op("paddle.divide int64", paddle.divide, ROWS, ROWS, dtypes="int64", low=1, high=9)
op("paddle.divide by number", lambda x: x / 3.0)
op("paddle.divide number by", lambda x: 3.0 / x, low=0.5)
op("paddle.subtract from number", lambda x: 1.0 - x)
op("paddle.maximum number", lambda x: paddle.maximum(x, paddle.full([], 0.3)))
op("paddle.equal number", lambda x: x == 1, ROWS, dtypes="int64", low=0, high=3)
op("paddle.greater_than number", lambda x: x > 0.5, ROWS)
op("paddle.equal_all", paddle.equal_all, ROWS, ROWS)
op("paddle.allclose", paddle.allclose, ROWS, ROWS)
op("paddle.isclose", paddle.isclose, ROWS, ROWS)
op("paddle.lerp", lambda x, y: paddle.lerp(x, y, 0.3), ROWS, ROWS)
op("paddle.lerp tensor", paddle.lerp, ROWS, ROWS, ROWS)
op("paddle.add_n", lambda x, y, z: paddle.add_n([x, y, z]), ROWS, ROWS, ROWS)
op(
    "paddle.multiplex",
    lambda x, y, i: paddle.multiplex([x, y], i),
    ROWS,
    ROWS,
    (2, 1),
    dtypes=("float32", "float32", "int32"),
    low=0,
    high=2,
)
op("paddle.outer", paddle.outer, (4,), (6,))
for _name in ["logical_and", "logical_or", "logical_xor"]:
    _function = getattr(paddle, _name)
    op(f"paddle.{_name}", _function, ROWS, ROWS, dtypes="bool")
    op(f"paddle.{_name} of comparisons", lambda x, y, f=_function: f(x > 0, y < 1), ROWS, ROWS)
op("paddle.logical_not", paddle.logical_not, ROWS, dtypes="bool")
op("paddle.logical_not of comparison", lambda x: paddle.logical_not(x > 0), ROWS)
op("paddle.logical_and float", paddle.logical_and, ROWS, ROWS)
for _name in ["bitwise_and", "bitwise_or", "bitwise_xor"]:
    op(f"paddle.{_name}", getattr(paddle, _name), ROWS, ROWS, dtypes="int32", low=0, high=9)
op("paddle.bitwise_and bool", lambda x, y: (x > 0) & (y > 0), ROWS, ROWS)
op("paddle.bitwise_not", paddle.bitwise_not, ROWS, dtypes="int32", low=0, high=9)

# --- products ------------------------------------------------------------------------------------------------------

op("paddle.matmul", paddle.matmul, (4, 6), (6, 5))
op("paddle.matmul transpose x", lambda x, y: paddle.matmul(x, y, transpose_x=True), (6, 4), (6, 5))
op("paddle.matmul transpose y", lambda x, y: paddle.matmul(x, y, transpose_y=True), (4, 6), (5, 6))
op("paddle.matmul transpose both", lambda x, y: paddle.matmul(x, y, True, True), (6, 4), (5, 6))
op("paddle.matmul vectors", paddle.matmul, (6,), (6,))
op("paddle.matmul vector matrix", paddle.matmul, (6,), (6, 5))
op("paddle.matmul matrix vector", paddle.matmul, (4, 6), (6,))
op("paddle.matmul batch", paddle.matmul, (2, 4, 6), (2, 6, 5))
op("paddle.matmul batch matrix", paddle.matmul, (2, 4, 6), (6, 5))
op("paddle.matmul batch vector", paddle.matmul, (2, 4, 6), (6,))
op("paddle.matmul 4D", paddle.matmul, (2, 3, 4, 6), (2, 3, 6, 5))
op("paddle.matmul 4D transpose y", lambda x, y: paddle.matmul(x, y, transpose_y=True), (2, 3, 4, 6), (2, 3, 5, 6))
op("paddle.matmul broadcast", paddle.matmul, (2, 1, 4, 6), (3, 6, 5))
op("paddle.matmul constant", lambda x: paddle.matmul(x, paddle.full([6, 3], 0.5)), ROWS)
op("paddle.bmm", paddle.bmm, (2, 4, 6), (2, 6, 5))
op("paddle.mm", paddle.mm, (4, 6), (6, 5))
op("paddle.dot", paddle.dot, VECTOR, VECTOR)
op("paddle.dot rows", paddle.dot, ROWS, ROWS)
op("paddle.mv", paddle.mv, (4, 6), (6,))
op("paddle.inner", paddle.inner, (4, 6), (5, 6))
op("paddle.kron", paddle.kron, (2, 3), (3, 2))
op("paddle.addmm", lambda x, y, z: paddle.addmm(x, y, z, beta=0.5, alpha=2.0), (4, 5), (4, 6), (6, 5))
op("paddle.einsum matmul", lambda x, y: paddle.einsum("ij,jk->ik", x, y), (4, 6), (6, 5))
op("paddle.einsum batch", lambda x, y: paddle.einsum("bhqd,bhkd->bhqk", x, y), (2, 3, 4, 6), (2, 3, 5, 6))
op("paddle.einsum sum", lambda x: paddle.einsum("ijk->ik", x), SEQUENCE)
op("paddle.tensordot", lambda x, y: paddle.tensordot(x, y, axes=2), (2, 4, 6), (4, 6, 5))
op("paddle.multi_dot", lambda x, y, z: paddle.linalg.multi_dot([x, y, z]), (4, 6), (6, 5), (5, 3))
op("paddle.linalg.matrix_power", lambda x: paddle.linalg.matrix_power(x, 3), SQUARE)
op("paddle.linalg.inv", paddle.linalg.inv, SQUARE)
op("paddle.linalg.det", paddle.linalg.det, SQUARE)
op("paddle.linalg.solve", paddle.linalg.solve, SQUARE, (5, 2))
op("paddle.linalg.cholesky", lambda x: paddle.linalg.cholesky(x @ x.t() + 3.0 * paddle.eye(5)), SQUARE)
op("paddle.cross", paddle.cross, (4, 3), (4, 3))
op("paddle.cross axis", lambda x, y: paddle.cross(x, y, axis=0), (3, 4), (3, 4))
op("paddle.trace", paddle.trace, SQUARE)
op("paddle.trace offset", lambda x: paddle.trace(x, offset=1), SQUARE)
op("paddle.dist", paddle.dist, ROWS, ROWS)
op("paddle.dist p1", lambda x, y: paddle.dist(x, y, 1), ROWS, ROWS)
op("paddle.cdist", paddle.cdist, (4, 6), (5, 6))

# --- shape ---------------------------------------------------------------------------------------------------------

op("paddle.t", paddle.t, (4, 6))
op("paddle.transpose", lambda x: paddle.transpose(x, [0, 2, 3, 1]))
op("paddle.transpose 2D", lambda x: paddle.transpose(x, [1, 0]), ROWS)
op("paddle.transpose 5D", lambda x: paddle.transpose(x, [0, 2, 1, 4, 3]), VOLUME)
op("paddle.transpose int64", lambda x: paddle.transpose(x, [1, 0]), ROWS, dtypes="int64")
op("Tensor.T", lambda x: x.T, (4, 6))
op("paddle.moveaxis", lambda x: paddle.moveaxis(x, 1, -1))
op("paddle.reshape", lambda x: paddle.reshape(x, [2, 16, 16]))
op("paddle.reshape -1 0", lambda x: paddle.reshape(x, [0, 4, -1]))
op("paddle.reshape shape of tensor", lambda x: paddle.reshape(x, [paddle.shape(x)[0], -1]))
op("paddle.reshape shape tensor", lambda x, y: paddle.reshape(x, paddle.shape(y)), (2, 12), (2, 3, 4))
op("paddle.reshape int64", lambda x: paddle.reshape(x, [3, 4]), ROWS, dtypes="int64")
op("paddle.squeeze", lambda x: paddle.squeeze(x, 1), (2, 1, 6))
op("paddle.squeeze all", paddle.squeeze, (2, 1, 6, 1))
op("paddle.unsqueeze", lambda x: paddle.unsqueeze(x, 1), ROWS)
op("paddle.unsqueeze axes", lambda x: paddle.unsqueeze(x, [0, -1]), ROWS)
op("paddle.flatten", paddle.flatten)
op("paddle.flatten axes", lambda x: paddle.flatten(x, 1, 2))
op("paddle.flip", lambda x: paddle.flip(x, [1]), ROWS)
op("paddle.flip axes", lambda x: paddle.flip(x, [-1, -2]))
op("paddle.roll", lambda x: paddle.roll(x, 2, 1), ROWS)
op("paddle.roll axes", lambda x: paddle.roll(x, [1, -2], [2, 3]))
op("paddle.roll flat", lambda x: paddle.roll(x, 1), ROWS)
op("paddle.rot90", lambda x: paddle.rot90(x, 1, [2, 3]))
op("paddle.tile", lambda x: paddle.tile(x, [2, 3]), ROWS)
op("paddle.tile more axes", lambda x: paddle.tile(x, [2, 1, 2]), ROWS)
op("paddle.expand", lambda x: paddle.expand(x, [2, 4, 6]), (2, 1, 6))
op("paddle.expand -1", lambda x: paddle.expand(x, [3, -1, 6]), (2, 1))
op("paddle.expand_as", lambda x, y: paddle.expand_as(x, y), (1, 6), ROWS)
op("paddle.broadcast_to", lambda x: paddle.broadcast_to(x, [2, 4, 6]), (6,))
op("paddle.broadcast_tensors", lambda x, y: paddle.broadcast_tensors([x, y]), (2, 1), (1, 6))
op("paddle.concat", lambda x, y: paddle.concat([x, y], 1), IMAGE, (2, 3, 8, 8))
op("paddle.concat last axis", lambda x, y: paddle.concat([x, y], -1), ROWS, (2, 3))
op("paddle.concat int64", lambda x, y: paddle.concat([x, y]), ROWS, ROWS, dtypes="int64")
op("paddle.concat constant", lambda x: paddle.concat([x, paddle.ones([1, 6])], 0), ROWS)
op("paddle.stack", lambda x, y: paddle.stack([x, y], 1), ROWS, ROWS)
op("paddle.stack int64", lambda x, y: paddle.stack([x, y]), ROWS, ROWS, dtypes="int64")
op("paddle.split", lambda x: paddle.split(x, 2, 1))
op("paddle.split sections", lambda x: paddle.split(x, [1, -1, 2], 1), ROWS)
op("paddle.chunk", lambda x: paddle.chunk(x, 3, -1), ROWS)
op("paddle.unbind", paddle.unbind, ROWS)
op("paddle.unbind axis", lambda x: paddle.unbind(x, 1), SEQUENCE)
op("paddle.unstack", lambda x: paddle.unstack(x, 0), ROWS)
op("paddle.repeat_interleave", lambda x: paddle.repeat_interleave(x, 2, 1), ROWS)
op("paddle.shape", paddle.shape)
op("paddle.numel", paddle.numel)
op("paddle.diagonal", paddle.diagonal, SQUARE)
op("paddle.diag", paddle.diag, VECTOR)
op("paddle.diag of matrix", paddle.diag, SQUARE)
op("paddle.diag_embed", paddle.diag_embed, ROWS)
op("paddle.diagflat", paddle.diagflat, VECTOR)
op("paddle.tril", paddle.tril, SQUARE)
op("paddle.triu", lambda x: paddle.triu(x, 1), SQUARE)
op("paddle.meshgrid", lambda x, y: paddle.meshgrid(x, y), (4,), (6,))
op("paddle.crop", lambda x: paddle.crop(x, [1, 3], [0, 2]), ROWS)

# --- indexing ------------------------------------------------------------------------------------------------------

_GETITEM: dict[str, Callable[[Any], Any]] = {
    "row": lambda x: x[0],
    "range": lambda x: x[:, 1:3],
    "last": lambda x: x[..., -1],
    "new axis": lambda x: x[:, None],
    "step": lambda x: x[:, :, ::2],
    "backwards": lambda x: x[:, ::-1],
    "inner": lambda x: x[:, 1:-1, 2],
    "list": lambda x: x[[1, 0]],
    "mixed": lambda x: x[0, ..., 1:],
    "mask": lambda x: x[x > 0],
    "all numbers": lambda x: x[0, 1, 2, 3],
    "range keeps axis": lambda x: x[:, 2:3],
    "tensor": lambda x: x[:, paddle.argmax(x.sum([0, 2, 3]))],
}
for _name, _function in _GETITEM.items():
    op(f"Tensor.__getitem__ {_name}", _function)
op("Tensor.__getitem__ int64", lambda x: x[:, 1:3], ROWS, dtypes="int64", low=-9, high=9)
_INDEX: dict[str, Any] = {"dtypes": ("float32", "int64"), "low": 0, "high": 2}
op("Tensor.__getitem__ index tensor", lambda x, i: x[i], ROWS, (3,), **_INDEX)
op("paddle.gather", paddle.gather, ROWS, (3,), **_INDEX)
op("paddle.gather axis", lambda x, i: paddle.gather(x, i, 1), ROWS, (3,), **_INDEX)
op("paddle.gather int32", paddle.gather, ROWS, (3,), dtypes=("float32", "int32"), low=0, high=2)
op("paddle.gather constant index", lambda x: paddle.gather(x, const(2, 0, 3), 1))
op("paddle.gather int64 data", paddle.gather, ROWS, (3,), dtypes="int64", low=0, high=2)
op("paddle.gather_nd", paddle.gather_nd, SEQUENCE, (3, 2), **_INDEX)
op("paddle.index_select", lambda x, i: paddle.index_select(x, i, 1), ROWS, (3,), **_INDEX)
op("paddle.index_sample", paddle.index_sample, ROWS, (2, 3), **_INDEX)
op("paddle.take_along_axis", lambda x, i: paddle.take_along_axis(x, i, 1), ROWS, (2, 3), **_INDEX)
op("paddle.put_along_axis", lambda x, i: paddle.put_along_axis(x, i, paddle.full([1], 9.0), 1), ROWS, (2, 1), **_INDEX)
op("paddle.take", paddle.take, ROWS, (3,), **_INDEX)
op("paddle.scatter", lambda x, y: paddle.scatter(x, const(1, 3), y), (5, 6), ROWS)
op("paddle.scatter add", lambda x, y: paddle.scatter(x, const(1, 1), y, overwrite=False), (5, 6), ROWS)
op("paddle.scatter_nd", lambda y: paddle.scatter_nd(const([1], [3]), y, [5, 6]), ROWS)
op("paddle.scatter_nd_add", lambda x, y: paddle.scatter_nd_add(x, const([1], [3]), y), (5, 6), ROWS)
op("paddle.index_add", lambda x, y: paddle.index_add(x, const(1, 3), 0, y), (5, 6), ROWS)
op("paddle.index_fill", lambda x: paddle.index_fill(x, const(1), 0, 0.5), ROWS)
op("paddle.index_put", lambda x: paddle.index_put(x, (const(0, 1),), paddle.full([1], 0.5)), ROWS)
op("paddle.slice", lambda x: paddle.slice(x, [1, 2], [1, -3], [3, 8]))
op("paddle.slice tensor start", lambda x, i: paddle.slice(x, [1], [i], [4]), ROWS, (1,), **_INDEX)
op("paddle.strided_slice", lambda x: paddle.strided_slice(x, [2, 3], [0, 7], [8, 1], [2, -2]))
op("paddle.where", lambda x, y: paddle.where(x > y, x, y), ROWS, ROWS)
op("paddle.where mask", paddle.where, ROWS, ROWS, ROWS, dtypes=("bool", "float32", "float32"))
op("paddle.where number", lambda x: paddle.where(x > 0, x, paddle.zeros_like(x) + 0.1), ROWS)
op("paddle.where indices", lambda x: paddle.where(x > 0), ROWS)
op("paddle.masked_fill", lambda x: paddle.masked_fill(x, x > 0.5, 9.0), ROWS)
op("paddle.masked_select", lambda x: paddle.masked_select(x, x > 0), ROWS)
op("paddle.nonzero", lambda x: paddle.nonzero(x > 0), ROWS)
op("Tensor.__setitem__", lambda x: _assigned(x), ROWS)
op("paddle.unique", paddle.unique, (12,), dtypes="int64", low=0, high=6)
op(
    "paddle.unique inverse",
    lambda x: paddle.unique(x, return_inverse=True, return_counts=True),
    (12,),
    dtypes="int64",
    low=0,
    high=6,
)
op("paddle.unique_consecutive", paddle.unique_consecutive, (12,), dtypes="int64", low=0, high=3)
op("paddle.searchsorted", lambda x: paddle.searchsorted(const(-1.0, 0.0, 1.0), x), ROWS)
op("paddle.bucketize", lambda x: paddle.bucketize(x, const(-1.0, 0.0, 1.0)), ROWS)
op("paddle.histogram", lambda x: paddle.histogram(x, 5, -2, 2), ROWS)
op("paddle.bincount", paddle.bincount, (12,), dtypes="int64", low=0, high=6)
op("paddle.shard_index", lambda x: paddle.shard_index(x, 20, 2, 0), (4, 1), dtypes="int64", low=0, high=20)


def _assigned(x: Any) -> Any:
    x = x + 0.0
    x[:, 1:3] = 0.5
    return x


# --- sorting and reducing ------------------------------------------------------------------------------------------

op("paddle.topk", lambda x: paddle.topk(x, 3), ROWS)
op("paddle.topk axis smallest", lambda x: paddle.topk(x, 2, axis=1, largest=False))
op("paddle.sort", paddle.sort, ROWS)
op("paddle.sort descending", lambda x: paddle.sort(x, axis=1, descending=True))
op("paddle.argsort", paddle.argsort, ROWS)
op("paddle.argsort descending", lambda x: paddle.argsort(x, 1, descending=True))
op("paddle.kthvalue", lambda x: paddle.kthvalue(x, 2, 1), ROWS)
op("paddle.mode", paddle.mode, ROWS, dtypes="int64", low=0, high=3)
for _name in ["argmax", "argmin"]:
    _function = getattr(paddle, _name)
    op(f"paddle.{_name}", _function, ROWS)
    op(f"paddle.{_name} axis", lambda x, f=_function: f(x, 1))
    op(f"paddle.{_name} keepdim int32", lambda x, f=_function: f(x, -1, keepdim=True, dtype="int32"), ROWS)
for _name in ["max", "min", "amax", "amin", "mean", "sum", "prod", "logsumexp", "std", "var", "median"]:
    _function = getattr(paddle, _name)
    op(f"paddle.{_name}", _function, ROWS)
    op(f"paddle.{_name} axis", lambda x, f=_function: f(x, 1))
    op(f"paddle.{_name} keepdim", lambda x, f=_function: f(x, axis=-1, keepdim=True), SEQUENCE)
    if _name not in ("median", "prod"):
        op(f"paddle.{_name} axes", lambda x, f=_function: f(x, [2, 3]))
        op(f"paddle.{_name} axes keepdim", lambda x, f=_function: f(x, [2, 3], keepdim=True))
op("paddle.std biased", lambda x: paddle.std(x, 1, unbiased=False), ROWS)
op("paddle.sum int64", paddle.sum, ROWS, dtypes="int64", low=-9, high=9)
op("paddle.sum int32 axis", lambda x: paddle.sum(x, 1), ROWS, dtypes="int32", low=-9, high=9)
op("paddle.sum bool", lambda x: paddle.sum(x > 0), ROWS)
op("paddle.sum dtype", lambda x: paddle.sum(x, 1, dtype="float64"), ROWS)
op("paddle.max int64", lambda x: paddle.max(x, 1), ROWS, dtypes="int64", low=-9, high=9)
op("Tensor.std", lambda x: x.std(axis=-1), ROWS)
op("paddle.nansum", lambda x: paddle.nansum(x, 1), ROWS)
op("paddle.nanmean", lambda x: paddle.nanmean(x, 1), ROWS)
op("paddle.quantile", lambda x: paddle.quantile(x, 0.3, 1), ROWS)
op("paddle.count_nonzero", lambda x: paddle.count_nonzero(F.relu(x), 1), ROWS)
op("paddle.all", lambda x: paddle.all(x > -1), ROWS)
op("paddle.all axis", lambda x: paddle.all(x > -1, 1), ROWS)
op("paddle.any", lambda x: paddle.any(x > 1), ROWS)
op("paddle.any axis keepdim", lambda x: paddle.any(x > 1, 1, keepdim=True), ROWS)
op("paddle.any bool", paddle.any, ROWS, dtypes="bool")
op("paddle.cumsum", lambda x: paddle.cumsum(x, 1), ROWS)
op("paddle.cumsum flat", paddle.cumsum, ROWS)
op("paddle.cumsum int64", lambda x: paddle.cumsum(x, 0), ROWS, dtypes="int64", low=-9, high=9)
op("paddle.cumprod", lambda x: paddle.cumprod(x, 1), ROWS)
op("paddle.cummax", lambda x: paddle.cummax(x, 1), ROWS)
op("paddle.cummin", lambda x: paddle.cummin(x, 1), ROWS)
op("paddle.logcumsumexp", lambda x: paddle.logcumsumexp(x, 1), ROWS)
op("paddle.diff", paddle.diff, ROWS)
op("paddle.norm", paddle.norm, ROWS)
op("paddle.norm axis", lambda x: paddle.norm(x, axis=1), ROWS)
op("paddle.norm fro", lambda x: paddle.norm(x, "fro", [2, 3]))
for _p in (1, 2, 3, float("inf"), float("-inf"), 0):
    op(f"paddle.norm {_p}", lambda x, p=_p: paddle.norm(x, p, 1), ROWS)
op("paddle.norm 2 keepdim", lambda x: paddle.norm(x, 2, -1, keepdim=True), SEQUENCE)

# --- constants -----------------------------------------------------------------------------------------------------

op("paddle.zeros_like", lambda x: x + paddle.zeros_like(x), ROWS)
op("paddle.ones_like", lambda x: x + paddle.ones_like(x), ROWS)
op("paddle.full_like", lambda x: x + paddle.full_like(x, 0.5), ROWS)
op("paddle.full_like alone", lambda x: paddle.full_like(x, 0.5), ROWS)
op("paddle.zeros", lambda x: x + paddle.zeros([2, 6]), ROWS)
op("paddle.full", lambda x: x + paddle.full([2, 6], 0.5), ROWS)
op("paddle.full 0-D", lambda x: x * paddle.full([], 0.5), ROWS)
op("paddle.full shape of tensor", lambda x: paddle.full([paddle.shape(x)[0], 3], 0.5), ROWS)
op("paddle.arange", lambda x: x + paddle.arange(6, dtype="float32"), ROWS)
op("paddle.arange of shape", lambda x: paddle.arange(paddle.shape(x)[1]), ROWS)
op("paddle.linspace", lambda x: x + paddle.linspace(0.0, 1.0, 6), ROWS)
op("paddle.eye", lambda x: x + paddle.eye(5), SQUARE)
op("paddle.to_tensor", lambda x: x + const(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), ROWS)
op("paddle.to_tensor int64", lambda x: x + const(1, 2, 3, 4, 5, 6), ROWS, dtypes="int64")
op("paddle.to_tensor bool", lambda x: paddle.where(const(True, False, True, True, False, False), x, -x), (6,))
op("constant subgraph", lambda x: x + paddle.sin(paddle.arange(6, dtype="float32") * 0.5), ROWS)
op("constant mask", lambda x: x + (1.0 - paddle.tril(paddle.ones([5, 5]))) * -1e4, SQUARE)
op(
    "constant positions",
    lambda x: paddle.concat(
        [paddle.sin(p := paddle.reshape(paddle.arange(6, dtype="float32"), [1, 6])), paddle.cos(p), x]
    ),
    ROWS,
)
op("constant output", lambda x: (x, paddle.arange(4)), ROWS)
op("input as output", lambda x: (x, paddle.exp(x)), ROWS)
op("output twice", lambda x: [y := paddle.exp(x), y], ROWS)

# --- paddle.vision.ops ---------------------------------------------------------------------------------------------


def _boxes() -> tuple[paddle.Tensor, paddle.Tensor]:
    return const([0.0, 0.0, 5.0, 5.0], [1.0, 2.0, 7.0, 6.0], [2.0, 1.0, 4.0, 7.0]), const(2, 1, dtype="int32")


op("vision.roi_align", lambda x: vision.roi_align(x, *_boxes(), 2))
op("vision.roi_align unaligned", lambda x: vision.roi_align(x, *_boxes(), (3, 2), 0.5, 2, aligned=False))
op("vision.roi_pool", lambda x: vision.roi_pool(x, *_boxes(), 2))
op("vision.nms", lambda x: vision.nms(paddle.concat([x, x + 2.0], 1), 0.5), (8, 2), low=0.0)
op("vision.nms scores", lambda x, s: vision.nms(paddle.concat([x, x + 2.0], 1), 0.5, s), (8, 2), (8,), low=0.0)
op(
    "vision.yolo_box",
    lambda x, s: vision.yolo_box(x, s, [10, 13, 16, 30], 3, 0.01, 32),
    (2, 16, 4, 4),
    (2, 2),
    dtypes=("float32", "int32"),
    low=1,
    high=4,
)
op(
    "vision.prior_box",
    lambda x, y: vision.prior_box(x, y, [4.0], [8.0], [1.0, 2.0], flip=True, clip=True),
    IMAGE,
    (2, 3, 32, 32),
)
op(
    "vision.box_coder",
    lambda x, y: vision.box_coder(x, [0.1, 0.1, 0.2, 0.2], y, "decode_center_size"),
    (6, 4),
    (3, 6, 4),
)
op("vision.deform_conv2d", lambda x, o, w: vision.deform_conv2d(x, o, w, padding=1), IMAGE, (2, 18, 8, 8), (6, 4, 3, 3))
layer("vision.DeformConv2D", lambda: vision.DeformConv2D(4, 6, 3, padding=1), IMAGE, (2, 18, 8, 8))
layer("vision.DeformConv2D mask", lambda: vision.DeformConv2D(4, 6, 3, padding=1), IMAGE, (2, 18, 8, 8), (2, 9, 8, 8))
op("vision.matrix_nms", lambda b, s: vision.matrix_nms(b, s, 0.01, 0.01, 8, 6), (1, 8, 4), (1, 3, 8), low=0.0, high=1.0)
op(
    "vision.generate_proposals",
    lambda s, d, x: vision.generate_proposals(
        s, d, const([32.0, 32.0]), x * 8.0, paddle.ones_like(x), 12, 5, 0.5, 0.1, return_rois_num=True
    ),
    (1, 3, 4, 4),
    (1, 12, 4, 4),
    (4, 4, 3, 4),
    low=0.0,
    high=1.0,
)

# --- control flow --------------------------------------------------------------------------------------------------

op("static.nn.cond", lambda x: paddle.static.nn.cond(x.sum() > 0, lambda: x + 1.0, lambda: x * 2.0), ROWS)
op(
    "static.nn.while_loop",
    lambda x: paddle.static.nn.while_loop(
        lambda i, y: i < 3, lambda i, y: [i + 1, y * 0.5], [paddle.zeros([1], "int64"), x]
    )[1],
    ROWS,
)

# --- what the ARM runtime aborts on or computes otherwise, in forms that are not above ---------------------------------

op("paddle.sum axes 0 2", lambda x: paddle.sum(x, [0, 2]))
op("paddle.mean axes 1 3", lambda x: paddle.mean(x, [1, 3]))
op("paddle.max axes 0 2 3 keepdim", lambda x: paddle.max(x, [0, 2, 3], keepdim=True))
op("paddle.min two axes of three", lambda x: paddle.min(x, [0, 2]), SEQUENCE)
op("paddle.mean of five dimensions", lambda x: paddle.mean(x, [2, -1]), VOLUME)
op("paddle.max of five dimensions", lambda x: paddle.max(x, [0, 3, 4], keepdim=True), VOLUME)
op("paddle.prod two axes", lambda x: paddle.prod(x, [1, 2]), SEQUENCE)
op("paddle.all two axes", lambda x: paddle.all(x > -1.5, [0, 2]))
op("paddle.argmax keepdim of everything", lambda x: paddle.argmax(x, keepdim=True), SEQUENCE)
op("paddle.matmul batch of ones", paddle.matmul, (2, 3, 4, 6), (1, 1, 6, 5))
op("paddle.matmul lower rank transposed", lambda x, y: paddle.matmul(x, y, transpose_y=True), (2, 3, 4, 6), (3, 5, 6))
op("paddle.scatter by tensor", paddle.scatter, (5, 6), (3,), (3, 6), dtypes=("float32", "int64", "float32"), low=0)
op(
    "paddle.scatter add by tensor",
    lambda x, i, y: paddle.scatter(x, i, y, overwrite=False),
    (5, 3, 2),
    (3,),
    (3, 3, 2),
    dtypes=("float32", "int64", "float32"),
    low=0,
)
op("F.grid_sample larger", lambda x, g: F.grid_sample(x, g, mode="nearest"), (2, 3, 4, 5), (2, 9, 7, 2))
op("F.adaptive_avg_pool2d of nine", lambda x: F.adaptive_avg_pool2d(x, 3), (1, 4, 9, 9))
op("F.adaptive_avg_pool2d wide", lambda x: F.adaptive_avg_pool2d(x, 3), (1, 4, 7, 6))
op("F.interpolate bilinear fraction", lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"), (1, 3, 6, 7))
op("F.interpolate nearest fraction", lambda x: F.interpolate(x, scale_factor=0.7, mode="nearest"), (1, 3, 6, 7))
layer("nn.GroupNorm 3D", lambda: nn.GroupNorm(2, 4), VOLUME)
layer("nn.Conv2D depthwise SAME narrow", lambda: nn.Conv2D(4, 4, 3, stride=2, padding="SAME", groups=4), (1, 4, 6, 8))
layer("nn.LSTM bidirectional two layers", lambda: nn.LSTM(12, 5, num_layers=2, direction="bidirect"), SEQUENCE)
layer("nn.GRU bidirectional time major", lambda: nn.GRU(12, 5, direction="bidirect", time_major=True), SEQUENCE)
op("paddle.cast int64 to bool", lambda x: paddle.cast(x, "bool"), ROWS, dtypes="int64")
op("F.softplus threshold", lambda x: F.softplus(x, beta=0.5, threshold=0.4))
op(
    "vision.yolo_box iou_aware",
    lambda x, s: vision.yolo_box(x, s, [10, 13, 16, 30], 3, 0.01, 32, iou_aware=True, iou_aware_factor=0.4),
    (2, 18, 4, 4),
    (2, 2),
    dtypes=("float32", "int32"),
    low=1,
    high=4,
)

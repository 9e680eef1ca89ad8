"""Which ops of float16 ARM kernels are computed by the emulator as recorded outputs of the runtime have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

HELD = frozenset(
    {
        "bilinear_interp",
        "bilinear_interp_v2",
        "calib",
        "calib_once",
        "conv2d",
        "conv2d_transpose",
        "depthwise_conv2d",
        "elementwise_add",
        "elementwise_div",
        "elementwise_mul",
        "elementwise_sub",
        "fc",
        "fusion_elementwise_add_activation",
        "hard_sigmoid",
        "hard_swish",
        "matmul",
        "matmul_v2",
        "nearest_interp",
        "nearest_interp_v2",
        "pad2d",
        "pool2d",
        "relu",
        "scale",
        "shuffle_channel",
        "sigmoid",
        "softmax",
        "split",
        "swish",
    }
)
"""Op types with a float16 kernel whose arithmetic is held to recorded outputs within 4 units in the last place.

Source: tests/golden, cases of precision fp16, recorded on builds with ARMv8.2 float16 for a Cortex-A76.
"""

ACTIVATIONS = {
    "conv2d": frozenset({"", "relu", "relu6", "hard_swish"}),
    "depthwise_conv2d": frozenset({"", "relu", "relu6", "hard_swish"}),
    "conv2d_transpose": frozenset({"", "relu"}),
    "fc": frozenset({"", "relu"}),
    "fusion_elementwise_add_activation": frozenset({"relu"}),
}
"""Activations that an op has taken in, as recorded; what is not listed here takes none. hard_swish of a depthwise
convolution goes through the same instructions as that of any other. Source: tests/golden; Paddle-Lite v2.13-rc
backends/arm/math/fp16/common_preprocess.h act_acquire.
"""

UNHELD = frozenset(
    {
        "box_coder",
        "depthwise_conv2d_transpose",
        "gru",
        "prelu",
        "sequence_conv",
        "sequence_pool",
        "sparse_conv2d",
        "tanh",
    }
)
"""Op types of programs with a float16 kernel that no recording holds; batch_norm, which opt folds where it can, is left
out. Source: Paddle-Lite v2.13-rc, lite/kernels/arm, REGISTER_LITE_KERNEL(..., kARM, kFP16, ...).
"""


def activation_of(attributes: Mapping[str, object]) -> str:
    """The activation that opt has put into an op; empty where there is none."""
    found = attributes.get("act_type") or attributes.get("activation_type")
    if not found and attributes.get("fuse_relu"):
        return "relu"
    return str(found or "")


def past_the_end(filters: Sequence[int]) -> bool:
    """A convolution of one output pixel with such filters [M, C, h, w] reads behind its weights.

    Source: Paddle-Lite v2.13-rc backends/arm/math/fp16/gemv_fp16.cc gemv_fp16: rows are read 16 at a time, and only a
    last row that makes no eight is copied first. Seen as NaN in the last channel.
    """
    return len(filters) == 4 and filters[1] * filters[2] * filters[3] % 16 != 0 and filters[0] % 8 == 0

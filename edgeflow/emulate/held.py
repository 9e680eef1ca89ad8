"""Which ops of float16 kernels are computed here as recorded outputs of the ARM runtime have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edgeflow.nb import Model
from edgeflow.nb.dataflow import nodes
from edgeflow.nb.marked import ON_CPU
from edgeflow.nb.summary import Shapes

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
        "sigmoid",
        "softmax",
        "split",
        "swish",
    }
)
"""Op types with a float16 kernel whose arithmetic is held to recorded outputs within 4 units in the last place.

Source: tests/golden, cases of precision fp16, recorded on builds with ARMv8.2 float16 for a Cortex-A76.
"""

PAST_THE_END = (
    "conv2d of one pixel (fewer input channels than the next multiple of 16, filters a multiple of 8), whose float16 "
    "kernel reads behind its weights"
)
"""Source: Paddle-Lite v2.13-rc backends/arm/math/fp16/gemv_fp16.cc gemv_fp16: rows are read 16 at a time, and only a
last row that makes no eight is copied first. Seen as NaN in the last channel."""


def unheld(model: Model, shapes: Shapes | None = None) -> list[str]:
    """Float16 ops of a file whose arithmetic is not held to recorded outputs, each with how many there are.

    Args:
        shapes: of all ops' arguments, where they are known.
    """
    found: Counter[str] = Counter()
    for node in nodes(model):
        kernel = node.op.kernel
        if kernel is None or kernel.precision != "float16" or kernel.target not in ON_CPU:
            continue
        if node.op.type not in HELD:
            found[node.op.type] += 1
        elif node.op.type == "conv2d" and _past_the_end(model, node.op.input("Filter"), (shapes or {}), node.index):
            found[PAST_THE_END] += 1
    return [f"{kind} ({count})" for kind, count in sorted(found.items())]


def _past_the_end(
    model: Model, name: str | None, shapes: Mapping[tuple[int, int], Mapping[str, tuple[tuple[int, ...], ...]]], at: int
) -> bool:
    weight = model.parameters.get(name or "")
    output = shapes.get((0, at), {}).get("Output", ((),))[0]
    if weight is None or len(weight.dims) != 4 or len(output) != 4 or output[2:] != (1, 1):
        return False
    depth = weight.dims[1] * weight.dims[2] * weight.dims[3]
    return depth % 16 != 0 and weight.dims[0] % 8 == 0

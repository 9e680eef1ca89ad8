"""The table of lowerings: op type -> small function, one module per family of ops."""

from edgeflow.emulate.families import (
    activation,
    attention,
    convolution,
    creation,
    detection,
    elementwise,
    half_convolution,
    half_elementwise,
    half_linear,
    half_pool,
    index,
    linear,
    norm,
    pool,
    quantised,
    recurrent,
    reduce,
    resize,
    shape,
)
from edgeflow.emulate.families.host import HOST_OPS
from edgeflow.emulate.step import Lowering

LOWERINGS: dict[str, Lowering] = {
    **activation.TABLE,
    **attention.TABLE,
    **convolution.TABLE,
    **creation.TABLE,
    **detection.TABLE,
    **elementwise.TABLE,
    **index.TABLE,
    **linear.TABLE,
    **norm.TABLE,
    **pool.TABLE,
    **quantised.TABLE,
    **recurrent.TABLE,
    **reduce.TABLE,
    **resize.TABLE,
    **shape.TABLE,
}

HALF_LOWERINGS: dict[str, Lowering] = {
    **half_convolution.TABLE,
    **half_elementwise.TABLE,
    **half_linear.TABLE,
    **half_pool.TABLE,
}
"""Ops of float16 kernels whose arithmetic is followed instruction by instruction."""


def lowering(op_type: str, *, fp16: bool) -> Lowering:
    """How an op is lowered: as its float16 kernel where it has one and that kernel is known, else as its meaning."""
    return HALF_LOWERINGS.get(op_type, LOWERINGS[op_type]) if fp16 else LOWERINGS[op_type]


__all__ = ["HALF_LOWERINGS", "HOST_OPS", "LOWERINGS", "lowering"]

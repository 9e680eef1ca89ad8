"""The table of lowerings: op type -> small function, one module per family of ops."""

from edgeflow.emulate.families import (
    activation,
    convolution,
    creation,
    detection,
    elementwise,
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

__all__ = ["HOST_OPS", "LOWERINGS"]

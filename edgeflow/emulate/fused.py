"""What NNAdapter's builtin_device joins before it computes: results inside such a group are never rounded to int8.

Source: Paddle-Lite v2.13-rc lite/backends/nnadapter/nnadapter/src/runtime/device.cc, Program::Build, and the
optimizer's fuse_conv2d_batch_norm_into_conv2d.cc, fuse_conv2d_add_into_conv2d.cc,
fuse_conv2d_activation_into_conv2d.cc and fuse_matmul_add_into_fully_connected.cc.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edgeflow.nb.model import Block, Op, Parameter

CONVOLUTIONS, PRODUCTS = ("conv2d", "depthwise_conv2d"), ("mul", "matmul", "matmul_v2")


@dataclass(frozen=True)
class Group:
    """A convolution or product, and the ops that are computed with it; each is None where there is none such."""

    head: Op
    batch_norm: Op | None = None
    add: Op | None = None
    activation: Op | None = None

    @property
    def inside(self) -> tuple[str, ...]:
        """Results that are never written."""
        return tuple(result_of(op) for op in self._ops[:-1])

    @property
    def last(self) -> str:
        """The result that is written."""
        return result_of(self._ops[-1])

    @property
    def _ops(self) -> tuple[Op, ...]:
        return tuple(op for op in (self.head, self.batch_norm, self.add, self.activation) if op is not None)


def groups(block: Block, outputs: Collection[str], parameters: Mapping[str, Parameter]) -> dict[str, Group]:
    """The convolutions and products of a subgraph's block, each by the result that is written.

    Args:
        outputs: what the subgraph gives.
        parameters: weights by name.
    """
    readers: dict[str, list[Op]] = {}
    for op in block.operations:
        for name in {name for names in op.inputs.values() for name in names}:
            readers.setdefault(name, []).append(op)

    def next_of(name: str, kinds: Collection[str]) -> Op | None:
        """The one op that reads a result, where it is of these types."""
        if name in outputs or len(readers.get(name, ())) != 1 or readers[name][0].type not in kinds:
            return None
        return readers[name][0]

    found: dict[str, Group] = {}
    for op in block.operations:
        if op.type not in (*CONVOLUTIONS, *PRODUCTS):
            continue
        convolution, at = op.type in CONVOLUTIONS, result_of(op)
        norm = next_of(at, ("batch_norm",)) if convolution else None
        at = at if norm is None else result_of(norm)
        add = next_of(at, ("elementwise_add",))
        if add is not None and not _is_bias(add, op, parameters):
            add = None
        at = at if add is None else result_of(add)
        act = next_of(at, ("relu", "relu6")) if convolution and not _has_activation(op) else None
        group = Group(op, norm, add, act)
        found[group.last] = group
    return found


def result_of(op: Op) -> str:
    """What an op writes, scratch apart."""
    return next((op.outputs[key][0] for key in ("Output", "Out", "Y") if op.outputs.get(key)), "")


def _has_activation(op: Op) -> bool:
    return op.flag("fuse_relu") or op.flag("with_act")


def _is_bias(add: Op, head: Op, parameters: Mapping[str, Parameter]) -> bool:
    """The sum has a constant with one number for each channel or column, and no activation stands before it."""
    constant = parameters.get(add.input("Y") or "")
    weight = parameters.get(head.input("Filter") or head.input("Y") or "")
    if constant is None or weight is None or not weight.dims or _has_activation(head):
        return False
    if head.type in CONVOLUTIONS:
        return math.prod(constant.dims) == weight.dims[0]
    flip = head.flag("trans_y") or head.flag("transpose_Y")
    return math.prod(constant.dims) == weight.dims[0 if flip else -1]

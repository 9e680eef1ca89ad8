"""Weight scales of grouped int8 transposed convolutions, as many as the ARM kernel wants."""

from __future__ import annotations

from dataclasses import replace

from edgeflow.nb.model import Attribute, AttrType, Model, Op

NAME = "Filter0_scale"


def spread_scales(model: Model) -> Model:
    """Repeat the scales of such a layer once a group; the same model where there is none.

    Its filter is [Cin, Cout / groups, kh, kw] and PaddleSlim measures along the second axis, so that one scale stands
    for the channels of that place in every group. The kernel wants one for each of Cout.
    Source: Paddle-Lite v2.13-rc lite/kernels/arm/conv_transpose_compute.cc:94-98.
    """
    first = model.blocks[0]
    made = tuple(_spread(model, op) for op in first.operations)
    if all(new is old for new, old in zip(made, first.operations, strict=True)):
        return model
    return replace(model, blocks=(replace(first, operations=made), *model.blocks[1:]))


def _spread(model: Model, op: Op) -> Op:
    weight, scales = model.parameters.get(op.input("Filter") or ""), op.numbers(NAME)
    groups = int((op.numbers("groups") or (1,))[0])
    if (
        op.type != "conv2d_transpose"
        or not op.flag("enable_int8")
        or weight is None
        or groups < 2
        or len(weight.dims) != 4
        or not len(scales) == weight.dims[1] > 1
    ):
        return op
    return replace(op, attributes={**op.attributes, NAME: Attribute(AttrType.FLOATS, scales * groups)})

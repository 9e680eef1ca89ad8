"""Weight scales of NPU layers that NNAdapter would take for one: it compares them with the first, to within 1e-5.

Where all of a layer's lie that near, it uses the first for every channel, whatever the others are: of a layer whose
scales are about 1e-6 every channel but one is wrong by a factor. Such weights get one scale, the largest.
Source: Paddle-Lite v2.13-rc lite/kernels/nnadapter/utility.cc, IsValidSymmPerChannelQuantParams.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeflow.core.rounding import half_away
from edgeflow.nb.model import Attribute, AttrType, Block, Model, Op, Parameter
from edgeflow.nb.near import taken_for_one

SCALES = (("Filter", "Filter0_scale", 0), ("Y", "Y0_scale", -1))
"""Weights by parameter, the attribute with their scales, and the axis that these are of."""


def one_scale(model: Model) -> Model:
    """Give such weights one scale; the same model where there are none."""
    parameters = dict(model.parameters)
    blocks = (model.blocks[0], *(_block(block, parameters) for block in model.blocks[1:]))
    return model if parameters == model.parameters else replace(model, blocks=blocks, parameters=parameters)


def _block(block: Block, parameters: dict[str, Parameter]) -> Block:
    return replace(block, operations=tuple(_op(op, parameters) for op in block.operations))


def _op(op: Op, parameters: dict[str, Parameter]) -> Op:
    for key, attribute, axis in SCALES:
        name = op.input(key) or ""
        scales = np.asarray(op.numbers(attribute), np.float32)
        weight = parameters.get(name)
        if weight is None or not taken_for_one(scales) or np.all(scales == scales[0]):
            continue
        steps = weight.array()
        if steps.dtype != np.int8 or steps.shape[axis] != scales.size:
            continue
        shape = [1] * steps.ndim
        shape[axis] = scales.size
        exact = steps.astype(np.float64) * (scales.astype(np.float64) / float(scales.max())).reshape(shape)
        made = half_away(exact).astype(np.int8)
        parameters[name] = replace(weight, data=memoryview(made.tobytes()))
        same = Attribute(AttrType.FLOATS, (float(scales.max()),) * scales.size)
        op = replace(op, attributes={**op.attributes, attribute: same})
    return op

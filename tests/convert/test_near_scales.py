"""Weight scales so near to each other that NNAdapter takes the first for all."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.convert.near_scales import one_scale
from edgeflow.emulate import Emulator
from edgeflow.nb.model import Attribute, AttrType, Block, Model, Op
from tests.nb.make import model, op


def npu(first: float, last: float) -> Model:
    """A 1x1 convolution of one channel to two on an NPU."""
    layer = op(
        "conv2d",
        {"Input": "x", "Filter": "w"},
        {"Output": "y"},
        strides=(1, 1),
        paddings=(0, 0),
        dilations=(1, 1),
        groups=1,
        enable_int8=True,
        Input0_scale=(1.0,),
        Filter0_scale=(first, last),
        Output0_scale=(last / 2,),
    )
    outer = op("subgraph", {"Inputs": "x"}, {"Outputs": "y"}, "def/18/4/1", sub_block=1)
    named = Attribute(AttrType.STRINGS, ("y",))
    raw = model(
        [Op(outer.type, outer.inputs, outer.outputs, {**outer.attributes, "output_data_names": named})],
        {"w": np.array([[[[100]]], [[[100]]]], np.int8)},
    )
    return Model(raw.header, (raw.blocks[0], Block((layer,))), raw.parameters)


def test_such_weights_get_one_scale() -> None:
    near, far = npu(1e-6, 4e-6), npu(1e-3, 4e-3)
    assert one_scale(far) is far
    made = one_scale(near)
    (layer,) = made.blocks[1].operations
    assert layer.numbers("Filter0_scale") == pytest.approx((4e-6, 4e-6))
    assert made.parameters["w"].array().ravel().tolist() == [25, 100]
    x = {"x": np.ones((1, 1, 1, 1), np.float32)}
    with Emulator(near, npu="int8") as before, Emulator(made, npu="int8") as after:
        wrong, right = (next(iter(runner.infer(x).values())).ravel() for runner in (before, after))
    assert right.tolist() == pytest.approx([1e-4, 127 * 2e-6])
    assert wrong.tolist() == pytest.approx([1e-4, 1e-4], rel=0.03), "as the device computes it"

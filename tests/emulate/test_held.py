"""Half precision is held to recorded outputs op by op, and a file says which of its ops are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from edgeflow.core.half_kernels import HELD
from edgeflow.emulate.held import PAST_THE_END, unheld
from edgeflow.emulate.shape_trace import trace_shapes
from edgeflow.nb import read
from edgeflow.nb.marked import ON_CPU
from edgeflow.nb.model import Attribute, AttrType, Model
from tests.conftest import golden_cases


def half_ops(model: Model) -> Counter[str]:
    return Counter(
        op.type
        for op in model.blocks[0].operations
        if op.kernel is not None and op.kernel.precision == "float16" and op.kernel.target in ON_CPU
    )


def test_every_held_op_is_in_a_recorded_case() -> None:
    recorded: set[str] = set()
    for case in golden_cases():
        if case.precision == "fp16" and not case.suspect:
            recorded |= set(half_ops(read(case.model)))
    twins = {"bilinear_interp", "calib_once", "matmul", "nearest_interp"}  # the same kernels under older names
    moves = {"shuffle_channel", "split"}  # no arithmetic
    assert recorded >= HELD - twins - moves
    net = read(next(c for c in golden_cases() if c.name == "net_mobilenet_v3__fp16").model)
    shapes, _ = trace_shapes(net, {spec.name: (1, *spec.shape[1:]) for spec in net.input_specs})
    assert unheld(net, shapes) == [f"{PAST_THE_END} (3)"], "its squeezes; every other op is held"


def test_a_file_names_what_is_not_held() -> None:
    model = read(next(c for c in golden_cases() if c.name == "zoo_act__sigmoid_fp16").model)
    block = model.blocks[0]
    other = tuple(replace(op, type="gru") if op.type == "sigmoid" else op for op in block.operations)
    assert unheld(replace(model, blocks=(replace(block, operations=other),))) == ["gru (1)"]
    conv = read(next(c for c in golden_cases() if c.name == "zoo_conv2d__dw5s1_fp16").model)
    block = conv.blocks[0]
    other = tuple(
        replace(op, attributes={**op.attributes, "act_type": Attribute(AttrType.STRING, "leaky_relu")})
        if op.type == "depthwise_conv2d"
        else op
        for op in block.operations
    )
    assert unheld(replace(conv, blocks=(replace(block, operations=other),))) == ["depthwise_conv2d with leaky_relu (1)"]


def test_a_convolution_that_reads_behind_its_weights_is_named() -> None:
    model = read(next(c for c in golden_cases() if c.name == "or_f16_k1_1x1_10_40__fp16").model)
    shapes, _ = trace_shapes(model, {spec.name: spec.shape for spec in model.input_specs})
    assert unheld(model, shapes) == unheld(model) == [f"{PAST_THE_END} (1)"]

"""Counts and sizes of files that are known."""

from __future__ import annotations

import math

from edgeflow import nb
from edgeflow.core.coverage import npu_ops
from edgeflow.core.targets import load_target
from edgeflow.emulate.shape_trace import trace_shapes
from edgeflow.nb.summary import Summary, summarise
from tests.conftest import GOLDEN


def summary(case: str, target: str | None = None) -> Summary:
    found = nb.read(GOLDEN / case / "model.nb")
    shapes, why = trace_shapes(found)
    assert shapes is not None, why
    return summarise(found, "", shapes, npu_ops(load_target(target)) if target else None)


def test_lenet_float() -> None:
    found = summary("net_lenet__fp32")
    assert found.ops == 7
    assert found.targets == {"arm": 7}
    assert found.precision == "float32"
    assert found.quantisation is None
    assert found.partition is None
    weights = nb.read(GOLDEN / "net_lenet__fp32" / "model.nb").parameters
    assert found.parameter_bytes == sum(4 * math.prod(p.dims) for p in weights.values())


def test_macs_do_not_depend_on_precision_or_partition() -> None:
    counts = {
        summary(f"net_lenet__{kind}").macs
        for kind in ("fp32", "int8_ptq_hist", "fp32_rockchip", "int8_timvx", "dyn_int8")
    }
    assert len(counts) == 1
    assert counts.pop()


def test_macs_by_hand() -> None:
    """LeNet: conv 1->6 5x5 on 32x32, conv 6->16 5x5, two linear layers."""
    found = nb.read(GOLDEN / "net_lenet__fp32" / "model.nb")
    shapes, _ = trace_shapes(found)
    assert shapes is not None
    total = 0
    for index, op in enumerate(found.blocks[0].operations):
        if op.type == "conv2d":
            out = shapes[0, index]["Output"][0]
            total += math.prod(out) * math.prod(found.parameters[op.inputs["Filter"][0]].dims[1:])
        if op.type == "fc":
            total += math.prod(found.parameters[op.inputs["W"][0]].dims)
    assert summary("net_lenet__fp32").macs == total


def test_int8_quantisation() -> None:
    found = summary("net_mobilenet_v2__int8_ptq_hist").quantisation
    assert found is not None
    assert found.float_multiplying_ops == 0
    assert found.int8_out + found.fp32_out == found.int8_ops
    assert found.per_channel == found.int8_ops
    assert found.scale_min is not None
    assert found.scale_min > 0


def test_weight_only() -> None:
    found = summary("net_lenet__dyn_int8")
    assert found.precision == "float32 with int8 weights"
    assert found.quantisation is not None
    assert found.quantisation.weight_only_bits == 8


def test_partition_names_what_broke_it() -> None:
    """LeNet for Rockchip splits at every matmul_v2, which that driver has no converter for."""
    found = summary("net_lenet__fp32_rockchip").partition
    assert found is not None
    assert found.subgraphs == 3
    assert found.npu_ops + found.cpu_ops == 15
    assert found.crossings > 0
    assert {b.op_type for b in found.breakers} >= {"matmul_v2"}
    assert found.npu_macs is not None
    assert found.cpu_macs is not None
    assert found.npu_macs > 0
    assert found.cpu_macs > 0


def test_whole_model_on_the_npu() -> None:
    found = summary("net_lenet__int8_timvx", None).partition
    assert found is not None
    assert found.subgraphs == 1
    assert found.breakers == ()


def test_unknown_shapes_are_said() -> None:
    found = nb.read(GOLDEN / "net_lenet__fp32" / "model.nb")
    shapes, why = trace_shapes(found, {"x": (1, 1, -1, 32)})
    assert shapes is None
    assert "--shape" in why

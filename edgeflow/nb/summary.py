"""What a .nb holds, in numbers: ops, kernels, sizes, the NPU partition, quantisation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgeflow.nb.conversions import CONVERSIONS
from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.model import NNADAPTER, AttrType, DType, Model, Op
from edgeflow.nb.partition import Placement, placement

Shape = tuple[int, ...]
Shapes = Mapping[tuple[int, int], Mapping[str, tuple[Shape, ...]]]
"""(block, position of the op) -> parameter name -> shapes; inputs and outputs of the op alike."""

PLUMBING = ("feed", "fetch", "subgraph", *CONVERSIONS)
CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv2d_transpose", "depthwise_conv2d_transpose", "sparse_conv2d")
MULTIPLYING = (*CONVOLUTIONS, "fc", "mul", "matmul", "matmul_v2", "bmm")


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """An input or output: dtype and shape as declared, -1 where open."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Breaker:
    """An op that stayed on the CPU in a file with NPU subgraphs, and why."""

    index: int
    op_type: str
    why: str


@dataclass(frozen=True, slots=True)
class Partition:
    """How the work is split between NPU and CPU. MACs are None where shapes are not known."""

    subgraphs: int
    npu_ops: int
    cpu_ops: int
    crossings: int
    npu_macs: int | None
    cpu_macs: int | None
    breakers: tuple[Breaker, ...]


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How far the file is quantised. Scales are the activations' range over 127."""

    int8_ops: int
    float_multiplying_ops: int
    int8_out: int
    fp32_out: int
    calibs: int
    per_channel: int
    per_layer: int
    scale_min: float | None
    scale_max: float | None
    weight_only_bits: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything `edgeflow inspect` says about a file before lint."""

    meta_version: int
    opt_version: str
    program_version: int | None
    precision: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[str, ...]
    ops: int
    op_types: Mapping[str, int]
    targets: Mapping[str, int]
    parameters: int
    parameter_bytes: int
    parameter_dtypes: Mapping[str, int]
    activation_bytes: int | None
    macs: int | None
    partition: Partition | None
    quantisation: Quantisation | None
    content_hash: str


def precision(model: Model) -> str:
    """int8, fp16, weight-only int8/int16 or float32, by what the kernels compute in."""
    ops = [op for block in model.blocks for op in block.operations]
    if any(op.flag("enable_int8") for op in ops):
        return "int8"
    if any(op.kernel is not None and op.kernel.precision == "float16" for op in ops):
        return "float16"
    bits = _weight_bits(ops)
    return f"float32 with int{bits} weights" if bits else "float32"


def _weight_bits(ops: Sequence[Op]) -> int | None:
    """In how many bits float weights are stored; None where they are whole."""
    return next((int(n[0]) for op in ops if (n := op.numbers("quantize_weight_bits")) and 0 < n[0] <= 64), None)


def summarise(
    model: Model, content_hash: str, shapes: Shapes | None = None, npu_ops: Collection[str] | None = None
) -> Summary:
    """Count and add up.

    Args:
        shapes: of every op's inputs and outputs, from the emulator; None leaves MACs and activations open.
        npu_ops: op types the target's NPU can take, to say why others broke the partition.
    """
    graph = nodes(model, nested=True)
    placed = placement(model, graph)
    plain = [op.node for op in placed.ops]
    return Summary(
        meta_version=model.header.meta_version,
        opt_version=model.header.opt_version,
        program_version=model.program_version,
        precision=precision(model),
        inputs=tuple(_facts(model, name) for name in model.inputs),
        outputs=model.outputs,
        ops=len(plain),
        op_types=dict(sorted(Counter(node.op.type for node in plain).items())),
        targets=dict(sorted(Counter(NNADAPTER if op.on_npu else op.place for op in placed.ops).items())),
        parameters=len(model.parameters),
        parameter_bytes=sum(len(p.data) for p in model.parameters.values()),
        parameter_dtypes=dict(sorted(Counter(p.dtype.numpy_name for p in model.parameters.values()).items())),
        activation_bytes=None if shapes is None else _activation_bytes(model, shapes),
        macs=None
        if shapes is None
        else sum(macs(model, node.op, shapes.get((node.block, node.index), {})) for node in plain),
        partition=_partition(model, graph, placed, shapes, npu_ops) if placed.subgraphs else None,
        quantisation=_quantisation(model),
        content_hash=content_hash,
    )


def _facts(model: Model, name: str) -> TensorFacts:
    variable = model.variable(name)
    if variable is None or variable.tensor is None:
        return TensorFacts(name, "unknown", None)
    return TensorFacts(name, variable.tensor.dtype.name.lower(), variable.tensor.dims)


def macs(model: Model, op: Op, shapes: Mapping[str, tuple[Shape, ...]]) -> int:
    """Multiply-accumulates of one op; 0 for ops that do not multiply matrices or where shapes are missing."""

    def shape(name: str) -> Shape:
        return (shapes.get(name) or ((),))[0]

    if op.type == "sparse_conv2d":
        weights = model.parameters.get(op.input("NonZeroWeights") or "")
        out = shape("Output")
        return 0 if weights is None or len(out) != 4 else math.prod(weights.dims) * out[0] * out[2] * out[3]
    if op.type in CONVOLUTIONS:
        kernel, out, given = shape("Filter"), shape("Output"), shape("Input")
        if len(kernel) != 4 or not out:
            return 0
        per_element = math.prod(kernel[1:])
        return math.prod(given if "transpose" in op.type else out) * per_element
    if op.type == "fc":
        weight, out = shape("W"), shape("Out")
        return math.prod(out) * weight[0] if len(weight) == 2 else 0
    if op.type in MULTIPLYING:
        x, out = shape("X"), shape("Out")
        if not x or not out:
            return 0
        if op.type == "mul":
            return math.prod(out) * math.prod(x[int((op.numbers("x_num_col_dims") or (1,))[0]) :])
        flipped = op.flag("trans_x", op.flag("transpose_X"))
        return math.prod(out) * (x[-2] if flipped and len(x) > 1 else x[-1])
    return 0


def _activation_bytes(model: Model, shapes: Shapes) -> int:
    """Bytes of the storage slots that block 0 writes: each as large as the largest tensor it ever holds.

    Names in ARM files are slots that opt's memory_optimize_pass reuses, so their sum is what the runtime keeps.
    """
    largest: dict[str, int] = {}
    for (block, index), found in shapes.items():
        op = model.blocks[block].operations[index]
        size = 1 if _writes_int8(op) else 4
        for parameter, names in op.outputs.items():
            for name, shape in zip(names, found.get(parameter, ()), strict=False):
                largest[name] = max(largest.get(name, 0), math.prod(shape) * size)
    return sum(largest.values())


def _writes_int8(op: Op) -> bool:
    return op.kernel is not None and op.kernel.alias in ("int8_out", "int8out", "fp32_to_int8", "int8_int8_out")


def _partition(
    model: Model, graph: Sequence[Node], placed: Placement, shapes: Shapes | None, npu_ops: Collection[str] | None
) -> Partition:
    inside, outside = [op.node for op in placed.npu], [op.node for op in placed.cpu]
    writers = {value: node.block for node in graph if node.op.type != "feed" for value in node.writes}
    handed = {
        (value, node.block)
        for node in graph
        if node.op.type != "fetch"
        for value in node.reads
        if value in writers and writers[value] != node.block
    }
    split = [
        None if shapes is None else sum(macs(model, n.op, shapes.get((n.block, n.index), {})) for n in part)
        for part in (inside, outside)
    ]
    breakers = tuple(
        Breaker(node.index, node.op.type, _why(node.op.type, npu_ops))
        for node in outside
        if node.op.type not in PLUMBING
    )
    return Partition(
        subgraphs=placed.subgraphs,
        npu_ops=len(inside),
        cpu_ops=len(outside),
        crossings=len(handed),
        npu_macs=split[0],
        cpu_macs=split[1],
        breakers=breakers,
    )


def _why(op_type: str, npu_ops: Collection[str] | None) -> str:
    if npu_ops is None:
        return "opt left it on the CPU; name the target to learn why"
    if op_type not in npu_ops:
        return "the NPU's driver has no converter for this op type"
    return "the NPU takes this op type; its position or precision keeps it on the CPU"


def _quantisation(model: Model) -> Quantisation | None:
    ops = [op for block in model.blocks for op in block.operations]
    int8 = [op for op in ops if op.flag("enable_int8")]
    bits = _weight_bits(ops)
    if not int8 and not bits:
        return None
    weights = [s for op in int8 for name in ("Filter0_scale", "W0_scale") if (s := scales_of(op, name))]
    activations = [s[0] for op in int8 for name in ("Input0_scale", "X0_scale") if (s := scales_of(op, name))]
    return Quantisation(
        int8_ops=len(int8),
        float_multiplying_ops=sum(op.type in MULTIPLYING and not op.flag("enable_int8") for op in ops),
        int8_out=sum(op.kernel is not None and op.kernel.alias in ("int8_out", "int8out") for op in ops),
        fp32_out=sum(op.kernel is not None and op.kernel.alias in ("fp32_out", "fp32out") for op in ops),
        calibs=sum(op.type == "calib" for op in ops),
        per_channel=sum(len(set(s)) > 1 for s in weights),
        per_layer=sum(len(set(s)) == 1 for s in weights),
        scale_min=min(activations, default=None),
        scale_max=max(activations, default=None),
        weight_only_bits=None if int8 else bits,
    )


def scales_of(op: Op, name: str) -> tuple[float, ...]:
    """A scale attribute; empty where it is absent or of another type."""
    attribute = op.attributes.get(name)
    return op.numbers(name) if attribute is not None and attribute.type == AttrType.FLOATS else ()


def is_float_parameter(dtype: DType) -> bool:
    """Weights that can hold NaN."""
    return dtype in (DType.FP16, DType.FP32, DType.FP64)

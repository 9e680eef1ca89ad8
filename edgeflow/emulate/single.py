"""One op of a .nb as a model of its own: float arrays in, float arrays out, the op's own arithmetic between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgeflow.emulate.graph import Array
from edgeflow.nb.conversions import CALIBS
from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.model import KERNEL_ATTRIBUTE, Attribute, AttrType, Block, DType, Model, Op, Tensor, Variable

TO_INT8 = ("fp32_to_int8",)
INT8_OUT = {"int8_out": "Output0_scale", "int8_int8_out": "Output0_scale", "int8out": "Out0_scale"}


def own_scale(op: Op) -> float | None:
    """The scale at which an op of block 0 itself rounds its result to int8; None where it does not."""
    alias = op.kernel.alias if op.kernel is not None else ""
    if op.type in CALIBS:
        return next(iter(op.numbers("scale")), None) if alias in TO_INT8 else None
    return next(iter(op.numbers(INT8_OUT[alias])), None) if alias in INT8_OUT else None


def int8_scales(model: Model) -> dict[str, float]:
    """The scale of every value that holds whole numbers, by its single-assignment name (nb.dataflow)."""
    found: dict[str, float] = {}
    for node in nodes(model):
        op, kernel = node.op, node.op.kernel
        if op.type == "subgraph":
            continue  # its results are floats between scales of their own: npu_scales
        scale = own_scale(op)
        rounds = op.type in CALIBS or (kernel is not None and kernel.alias in INT8_OUT)
        if not rounds and kernel is not None and kernel.precision != "float32" and not op.flag("enable_int8"):
            scale = next((found[v] for v in node.reads if v in found), None)  # reshapes and the like pass it on
        if scale:
            found.update(dict.fromkeys(node.writes, scale))
    return found


def npu_scales(model: Model) -> dict[str, float]:
    """The scale that each op of an NPU subgraph holds for its results, by their single-assignment names."""
    found: dict[str, float] = {}
    for node in nodes(model, nested=True):
        if node.block:
            for parameter, values in node.outputs.items():
                for index, value in enumerate(values):
                    if scale := next(iter(node.op.numbers(f"{parameter}{index}_scale")), None):
                        found[value] = scale
    return found


def single_op(model: Model, node: Node, scales: Mapping[str, float], shapes: Mapping[str, Array]) -> Model | None:
    """A model of one op between a feed and a fetch for each of its tensors; None where an input is not given.

    Args:
        node: from nb.dataflow.nodes(model, nested=True).
        scales: int8_scales(model): such inputs are rounded before the op, such results made float after it.
        shapes: arrays for the inputs by single-assignment name; only their ranks and dtypes count.
    """
    data = list(dict.fromkeys(value for value in node.reads if value not in model.parameters))
    if not data or any(value not in shapes for value in data):
        return None
    outputs = [value for parameter, values in node.outputs.items() if parameter not in ("XShape",) for value in values]
    if not outputs:
        return None
    head, tail, variables = [], [], []
    rename: dict[str, str] = {}
    for column, value in enumerate(data):
        array = shapes[value]
        fed = f"{value}/fed"
        head.append(Op("feed", {"X": ("feed",)}, {"Out": (fed,)}, {"col": Attribute(AttrType.INT, column)}))
        dtype = DType[_DTYPES.get(str(array.dtype), "FP32")]
        variables.append(Variable(fed, DType.LOD_TENSOR, Tensor(dtype, (-1,) * array.ndim)))
        rename[value] = fed
        if value in scales and not node.block:
            rename[value] = f"{value}/int8"
            head.append(_calib(fed, rename[value], scales[value], "fp32_to_int8"))
    for column, value in enumerate(outputs):
        fetched = value
        if value in scales and not node.block:
            fetched = f"{value}/float"
            tail.append(_calib(value, fetched, scales[value], "int8_to_fp32"))
        tail.append(Op("fetch", {"X": (fetched,)}, {"Out": ("fetch",)}, {"col": Attribute(AttrType.INT, column)}))
    inputs = {p: tuple(rename.get(v, v) for v in values) for p, values in node.inputs.items()}
    alone = replace(node.op, inputs=inputs, outputs=dict(node.outputs))
    if not node.block:
        return Model(model.header, (Block((*head, alone, *tail), tuple(variables)),), model.parameters)
    outer = next(op for op in model.blocks[0].operations if op.type == "subgraph" and op.block() == node.block)
    wrap = Op(
        "subgraph",
        {"Inputs": tuple(rename[v] for v in data)},
        {"Outputs": tuple(outputs)},
        {**outer.attributes, "sub_block": Attribute(AttrType.INT, 1)},
    )
    return Model(model.header, (Block((*head, wrap, *tail), tuple(variables)), Block((alone,))), model.parameters)


_DTYPES = {"int32": "INT32", "int64": "INT64", "bool": "BOOL", "uint8": "UINT8", "int8": "INT8", "float32": "FP32"}


def _calib(source: str, out: str, scale: float, alias: str) -> Op:
    return Op(
        "calib",
        {"Input": (source,)},
        {"Out": (out,)},
        {
            KERNEL_ATTRIBUTE: Attribute(AttrType.STRING, f"calib/{alias}/4/2/1"),
            "scale": Attribute(AttrType.FLOAT, scale),
        },
    )

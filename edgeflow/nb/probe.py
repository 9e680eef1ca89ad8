"""A copy of a .nb that also hands out intermediates, so that a device can be watched op by op.

Paddle Lite's fetch shares the buffer of what it hands out (lite/kernels/host/fetch_compute.cc), and opt lets tensors
whose lives do not overlap share a name and thereby a buffer. So each value that is handed out gets a name of its own,
and so does what it may share a buffer with; everything else stays as opt wrote it, kernels and order included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.model import Attribute, AttrType, DType, Model, Op, Tensor, Variable

SHARING = (
    "reshape", "reshape2", "squeeze", "squeeze2", "unsqueeze", "unsqueeze2", "flatten", "flatten2",
    "flatten_contiguous_range", "assign", "dropout", "share_data", "io_copy", "io_copy_once", "split", "unbind",
)  # fmt: skip
"""Ops whose results may lie in the buffer of what they read. Source: ShareDataWith in lite/kernels."""

BY_PRODUCTS = (
    "XShape", "Mean", "Variance", "SavedMean", "SavedVariance", "MeanOut", "VarianceOut", "Mask",
    "DropoutState", "Reserve",
)  # fmt: skip
"""Outputs of training that some kernels leave unwritten."""

PLACES = ("arm", "host", "x86", "any", "unk", "nnadapter")
"""Where a kernel leaves its results in memory that the CPU reads as a plain tensor; an NPU's subgraph does too."""

HALVES = "fp16_to_fp32"
"""opt's alias of the op that makes float32 of float16; a host program cannot read the latter."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value that can be watched: the op that makes it, its name in single assignment (nb.dataflow), and whether it is
    float16, which is handed out as float32.
    """

    node: Node
    value: str
    is_half: bool = False


def points(model: Model) -> tuple[Point, ...]:
    """Every value of block 0 that a copy can hand out, in the file's order.

    Left out are weights, the file's own outputs, by-products, values on GPUs, values of a file with loops or branches,
    and those that an NPU's subgraph knows by a name that is written twice.
    """
    operations = model.blocks[0].operations
    loops = any(op.block() is not None and op.type != "subgraph" for op in operations)
    if loops or _last_fetch(operations) is None:
        return ()
    writes = [name for op in operations for names in op.outputs.values() for name in names]
    known = _known_to_subgraphs(model)
    halves = _halves(operations)
    graph, found = nodes(model), []
    given = {value for node in graph if node.op.type == "fetch" for value in node.reads}
    for node in graph:
        kernel = node.op.kernel
        if node.op.type in ("feed", "fetch") or kernel is None or kernel.target not in PLACES:
            continue
        real = node.op.attr("output_data_names") if node.op.type == "subgraph" else None
        is_half = kernel.precision == "float16" and kernel.alias != HALVES
        for parameter, values in node.outputs.items():
            for value, name in zip(values, node.op.outputs[parameter], strict=True):
                hidden = parameter in BY_PRODUCTS or value in given or (name in known and writes.count(name) > 1)
                hidden = hidden or (isinstance(real, tuple) and name not in real)
                if not hidden and (not is_half or halves is not None):
                    found.append(Point(node, value, is_half))
    return tuple(found)


def probe(model: Model, watched: Sequence[Point]) -> Model:
    """The file with one further output for each of `watched`, behind its own, which keep their order."""
    block, graph = model.blocks[0], nodes(model)
    slots, apart = _slots(graph), _apart(model, graph, [point.value for point in watched])
    operations = [
        replace(node.op, inputs=_renamed(node.inputs, slots, apart), outputs=_renamed(node.outputs, slots, apart))
        for node in graph
    ]
    declared = {variable.name: variable for variable in block.variables}
    variables = list(block.variables)
    variables += [replace(declared[slots[v]], name=name) for v, name in apart.items() if slots[v] in declared]
    column = sum(op.type == "fetch" for op in operations)
    for point in watched:
        name = apart.get(point.value, slots[point.value])
        if point.is_half:
            made = f"{point.value}/float"
            operations.append(_copy(_halves(block.operations), {"Input": (name,)}, {"Out": (made,)}))
            variables.append(Variable(made, DType.LOD_TENSOR, Tensor(DType.FP32, ())))
            name = made
        operations.append(_copy(_last_fetch(block.operations), {"X": (name,)}, {"Out": ("fetch",)}, column))
        column += 1
    return replace(
        model, blocks=(replace(block, operations=tuple(operations), variables=tuple(variables)), *model.blocks[1:])
    )


def _apart(model: Model, graph: Sequence[Node], watched: Sequence[str]) -> dict[str, str]:
    """New names of the watched values and of all that may share their buffers; subgraphs keep the names they know."""
    known, wanted, more = _known_to_subgraphs(model), set(watched), True
    slots = _slots(graph)
    while more:
        before = len(wanted)
        for node in graph:
            together = {v for v in (*node.reads, *node.writes) if v not in model.parameters}
            if node.op.type in SHARING and together & wanted:
                wanted |= together
        more = len(wanted) > before
    taken = {*slots.values(), *model.parameters}
    found = {}
    for value in sorted(v for v in wanted if slots.get(v, v) not in known and v in slots):
        name = f"{value}/watched"
        while name in taken:
            name += "_"
        taken.add(name)
        found[value] = name
    # What is fed keeps its name: it is how the file is called.
    fed = {value for node in graph if node.op.type == "feed" for value in node.writes}
    return {value: name for value, name in found.items() if value not in fed}


def _slots(graph: Sequence[Node]) -> dict[str, str]:
    """The name in the file of each value that an op reads or writes."""
    return {
        value: name
        for node in graph
        for own, names in ((node.inputs, node.op.inputs), (node.outputs, node.op.outputs))
        for parameter, values in own.items()
        for value, name in zip(values, names[parameter], strict=True)
    }


def _renamed(
    own: Mapping[str, tuple[str, ...]], slots: Mapping[str, str], apart: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    return {parameter: tuple(apart.get(v, slots[v]) for v in values) for parameter, values in own.items()}


def _known_to_subgraphs(model: Model) -> set[str]:
    """Names that the blocks of NPU subgraphs use for their inputs and outputs."""
    found = set[str]()
    for op in model.blocks[0].operations:
        if op.type == "subgraph":
            found |= {name for part in (op.inputs, op.outputs) for names in part.values() for name in names}
    return found


def _halves(operations: Sequence[Op]) -> Op | None:
    """An op of the file that makes float32 of float16: opt puts one before each fetch of a float16 model."""
    return next((op for op in operations if op.kernel is not None and op.kernel.alias == HALVES), None)


def _last_fetch(operations: Sequence[Op]) -> Op | None:
    return next((op for op in reversed(operations) if op.type == "fetch"), None)


def _copy(
    like: Op | None,
    inputs: Mapping[str, tuple[str, ...]],
    outputs: Mapping[str, tuple[str, ...]],
    column: int | None = None,
) -> Op:
    assert like is not None  # points() names nothing in a file without one
    attributes = dict(like.attributes)
    if column is not None:
        attributes["col"] = Attribute(AttrType.INT, column)
    return replace(like, inputs=dict(inputs), outputs=dict(outputs), attributes=attributes)

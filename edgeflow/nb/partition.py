"""Where each op of a .nb runs, counted once for everybody: inspect, report, residency, plan and layer drift.

Ops are those of block 0 and, in place of each `subgraph` op, those of its block, which run on the NPU. feed, fetch and
the subgraph op itself compute nothing and are no ops; conversions (calib, io_copy, layout) are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.model import Model

NPU, UNKNOWN = "npu", "unknown"
NO_OPS = ("feed", "fetch", "subgraph")


@dataclass(frozen=True, slots=True)
class Placed:
    """An op, its number among nodes(model, nested=True), and where it runs: npu, a kernel's target, or unknown.

    `subgraph` counts from 0 in the file's order; None on the CPU.
    """

    number: int
    node: Node
    place: str
    subgraph: int | None

    @property
    def on_npu(self) -> bool:
        return self.place == NPU


@dataclass(frozen=True)
class Placement:
    """All ops of a file in their order, and how many subgraphs it has."""

    ops: tuple[Placed, ...]
    subgraphs: int

    @property
    def npu(self) -> tuple[Placed, ...]:
        """The ops inside subgraphs."""
        return tuple(op for op in self.ops if op.on_npu)

    @property
    def cpu(self) -> tuple[Placed, ...]:
        """The others."""
        return tuple(op for op in self.ops if not op.on_npu)


def placement(model: Model, graph: Sequence[Node] | None = None) -> Placement:
    """Place every op of a file.

    Args:
        graph: nodes(model, nested=True), where it is known already.
    """
    blocks = [op.block() for op in model.blocks[0].operations if op.type == "subgraph"]
    found = tuple(
        Placed(number, node, place_of(node), blocks.index(node.block) if node.block else None)
        for number, node in enumerate(nodes(model, nested=True) if graph is None else graph)
        if node.op.type not in NO_OPS
    )
    return Placement(found, len(blocks))


def place_of(node: Node) -> str:
    """npu, the target of the op's kernel, or unknown."""
    if node.block:
        return NPU
    return UNKNOWN if node.op.kernel is None else node.op.kernel.target


def weight_name(model: Model, node: Node) -> str:
    """The weight, as keep_float takes it, else the op type."""
    weights = [
        name
        for parameter in ("Filter", "W", "Y", "X", "NonZeroWeights")
        for name in node.op.inputs.get(parameter, ())
        if name in model.parameters
    ]
    return weights[0] if weights else node.op.type


def precision_of(node: Node, npu_arithmetic: str) -> str:
    """What an op computes in: int8 where it is quantised, else the NPU's arithmetic or its kernel's; empty where the
    kernel leaves it open, as those that only move data do.
    """
    if node.op.flag("enable_int8"):
        return "int8"
    if node.block:
        return npu_arithmetic
    found = "" if node.op.kernel is None else node.op.kernel.precision
    return "" if found in ("any", "unk") else found


def taken_from(placed: Placement) -> list[tuple[int, ...]]:
    """For each op, the numbers of the ops whose results it reads, rising, each once."""
    written: dict[str, int] = {}
    found = []
    for op in placed.ops:
        found.append(tuple(sorted({written[value] for value in op.node.reads if value in written})))
        written.update(dict.fromkeys(op.node.writes, op.number))
    return found


def crossings(model: Model) -> int:
    """Tensors that change sides between CPU and NPU: what the subgraphs of a file take and give."""
    return sum(
        len(names)
        for op in model.blocks[0].operations
        if op.type == "subgraph"
        for key in ("input_data_names", "output_data_names")
        if isinstance(names := op.attr(key), tuple)
    )

"""Where each op of a file runs, as the file says: the one answer that inspect, reports and residency share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.model import Model

NPU = "npu"


@dataclass(frozen=True, slots=True)
class Placed:
    """An op, its number among all ops with subgraphs opened, where it runs, and in which NPU subgraph.

    `place` is `npu` within a subgraph, else the target of the op's kernel.
    """

    number: int
    node: Node
    place: str
    subgraph: int | None


@dataclass(frozen=True, slots=True)
class Split:
    """How many ops run inside NPU subgraphs and outside them; feed and fetch compute nothing and do not count."""

    subgraphs: int
    npu_ops: int
    cpu_ops: int


def placed(model: Model, graph: Sequence[Node] | None = None) -> tuple[Placed, ...]:
    """Every op but feed and fetch, in the order of the file.

    Args:
        graph: nodes(model, nested=True), where the caller has it.
    """
    blocks = [op.attr("sub_block") for op in model.blocks[0].operations if op.type == "subgraph"]
    found = []
    for number, node in enumerate(nodes(model, nested=True) if graph is None else graph):
        if node.op.type not in ("feed", "fetch"):
            place = NPU if node.block else (node.op.kernel.target if node.op.kernel else "unknown")
            subgraph = blocks.index(node.block) if node.block in blocks else None
            found.append(Placed(number, node, place, subgraph))
    return tuple(found)


def split(model: Model) -> Split:
    """The counts alone."""
    found = placed(model)
    inside = sum(item.node.block != 0 for item in found)
    subgraphs = sum(op.type == "subgraph" for op in model.blocks[0].operations)
    return Split(subgraphs, inside, len(found) - inside)

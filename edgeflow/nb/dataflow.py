"""Block 0 in single assignment: storage slots that several tensors share are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.nb.model import Model, Op


@dataclass(frozen=True)
class Node:
    """An op with the values it reads and writes; a value is (slot name, how often it was written before)."""

    index: int
    op: Op
    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, tuple[str, ...]]
    block: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(value for values in self.inputs.values() for value in values)

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(value for values in self.outputs.values() for value in values)


def nodes(model: Model, *, nested: bool = False) -> list[Node]:
    """Ops of block 0 with unique value names; parameters keep their own.

    Args:
        nested: a subgraph op is replaced by the ops of its block.
    """
    version: dict[str, int] = {}
    found: list[Node] = []
    inlined: set[int] = set()

    def value(name: str) -> str:
        count = version.get(name, 0)
        return name if name in model.parameters or count == 0 else f"{name}@{count}"

    def add(op: Op, index: int, block: int) -> None:
        inputs = {p: tuple(value(name) for name in names) for p, names in op.inputs.items()}
        for names in op.outputs.values():
            for name in names:
                version[name] = version.get(name, -1) + 1
        outputs = {p: tuple(value(name) for name in names) for p, names in op.outputs.items()}
        found.append(Node(index, op, inputs, outputs, block))

    for index, op in enumerate(model.blocks[0].operations):
        sub = op.block()
        if nested and op.type == "subgraph" and sub is not None and 0 < sub < len(model.blocks) and sub not in inlined:
            inlined.add(sub)  # once, as opt writes it: a damaged file could name a large block thousands of times
            for position, inner in enumerate(model.blocks[sub].operations):
                add(inner, position, sub)
        else:
            add(op, index, 0)
    return found


def producers(graph: list[Node]) -> dict[str, Node]:
    """Which node writes a value."""
    return {value: node for node in graph for value in node.writes}


def consumers(graph: list[Node]) -> dict[str, list[Node]]:
    """Which nodes read a value."""
    found: dict[str, list[Node]] = {}
    for node in graph:
        for value in node.reads:
            found.setdefault(value, []).append(node)
    return found

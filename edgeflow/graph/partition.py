"""Which ops opt will put on the NPU, in how many pieces: predicted from the program alone.

opt marks every op whose type the NPU takes and joins neighbours as long as no path leaves a piece and comes back to it.
Source: Paddle-Lite v2.13-rc lite/core/optimizer/mir/subgraph/subgraph_detector.cc (InitNodes, ExtractSubgraphs), and
SSAGraph::NodeTopologicalOrder for the order, which decides where a piece is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeflow.graph.edit import output
from edgeflow.graph.program import schema

OFFLINE = ("fill_constant", "assign_value", "range")
"""Computed by opt before it partitions, where they depend on nothing (fill_constant_calc_offline_pass and others)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One subgraph on the NPU: its ops, each named by its output, and the tensors that go in and out."""

    ops: tuple[str, ...]
    op_types: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Predicted:
    """The whole split. `crossings` counts the tensors that change sides; `on_cpu` are the ops that stay."""

    pieces: tuple[Piece, ...]
    on_cpu: tuple[tuple[str, str], ...]
    crossings: int

    @property
    def npu_ops(self) -> int:
        """Ops in all pieces; nb.partition counts the same in the file."""
        return sum(len(piece.ops) for piece in self.pieces)


@dataclass(eq=False, slots=True)
class _Node:
    """An op or a variable of the graph; a piece keeps the node it started from."""

    order: int
    op: Any = None
    name: str = ""
    marked: bool = False
    inlinks: list[_Node] = field(default_factory=list)
    outlinks: list[_Node] = field(default_factory=list)
    parent: _Node | None = None
    first: int = 0
    last: int = 0

    def ancestor(self) -> _Node:
        node = self
        while node.parent is not None:
            node = node.parent
        return node


def partition(program: Any, takes: Callable[[Any], bool]) -> Predicted:
    """Split block 0 between NPU and CPU.

    Args:
        takes: whether the NPU takes an op.
    """
    block = program.blocks[0]
    weights = {var.name for var in block.vars if var.persistable and var.type.type == schema().VarType.LOD_TENSOR}
    ops = [op for op in block.ops if not (op.type in OFFLINE and not any(var.arguments for var in op.inputs))]
    made = {name for op in ops for var in op.outputs for name in var.arguments}
    nodes = _build(ops, made, weights, takes)
    ordered = _topological(nodes)
    for position, node in enumerate(ordered):
        node.first = node.last = position
    for node in ordered:
        if node.marked:
            _grow(node)
    pieces: dict[int, list[Any]] = {}
    for node in ordered:
        if node.op is not None and node.marked:
            pieces.setdefault(id(node.ancestor()), []).append(node.op)
    found = tuple(_piece(group, ops, weights) for group in pieces.values())
    inside = {id(op) for group in pieces.values() for op in group}
    left = tuple((op.type, output(op)) for op in ops if id(op) not in inside and op.type not in ("feed", "fetch"))
    return Predicted(found, left, sum(len(p.inputs) + len(p.outputs) for p in found))


def _build(
    ops: Sequence[Any], made: Collection[str], weights: Collection[str], takes: Callable[[Any], bool]
) -> list[_Node]:
    nodes: list[_Node] = []
    variables: dict[str, _Node] = {}

    def add(**given: Any) -> _Node:
        nodes.append(_Node(len(nodes), **given))
        return nodes[-1]

    for op in ops:
        here = add(op=op, marked=op.type not in ("feed", "fetch") and takes(op))
        for name in (name for var in op.inputs for name in var.arguments):
            if name not in made or name in weights or name not in variables:
                continue  # weights join nothing, nor do constants that a later op overwrites
            variable = variables[name]
            here.inlinks.append(variable)
            variable.outlinks.append(here)
        for name in (name for var in op.outputs for name in var.arguments):
            variable = variables[name] = add(name=name, marked=here.marked)
            here.outlinks.append(variable)
            variable.inlinks.append(here)
    return nodes


def _topological(nodes: Sequence[_Node]) -> list[_Node]:
    """Depth first along the inputs, in order of creation; without recursion, for deep networks."""
    seen: set[int] = set()
    found: list[_Node] = []
    for start in nodes:
        stack = [(start, iter(sorted(start.inlinks, key=lambda n: n.order)))] if id(start) not in seen else []
        seen.add(id(start))
        while stack:
            node, waiting = stack[-1]
            following = next((n for n in waiting if id(n) not in seen), None)
            if following is None:
                found.append(node)
                stack.pop()
            else:
                seen.add(id(following))
                stack.append((following, iter(sorted(following.inlinks, key=lambda n: n.order))))
    return found


def _grow(node: _Node) -> None:
    """Join the marked successors of a node until none can be."""
    while True:
        joined = [after for after in dict.fromkeys(node.outlinks) if after.marked and not _comes_back(node, after)]
        if not joined:
            return
        for after in sorted(joined, key=lambda n: n.order):
            _combine(node, after)


def _comes_back(node: _Node, after: _Node) -> bool:
    """Another input of `after` depends on `node`: joining the two would close a cycle around what lies between."""
    stack = [n for n in after.inlinks if n is not node]
    seen: set[int] = set()
    while stack:
        current = stack.pop()
        if current is node:
            return True
        if id(current) in seen or current.last < node.first:
            continue  # all of it comes before `node`
        seen.add(id(current))
        stack.extend(current.inlinks)
    return False


def _combine(node: _Node, other: _Node) -> None:
    node.parent = None if node.ancestor() is node else node.ancestor()
    root, gone = node.ancestor(), other.ancestor()
    if gone is not root:
        gone.parent = root
    inputs = dict.fromkeys([*node.inlinks, *(n for n in other.inlinks if n is not node)])
    outputs = dict.fromkeys([*(n for n in node.outlinks if n is not other), *other.outlinks])
    node.inlinks, node.outlinks = list(inputs), list(outputs)
    node.first, node.last = min(node.first, other.first), max(node.last, other.last)
    other.inlinks, other.outlinks = [], []
    for before in node.inlinks:
        before.outlinks = [node if n is other else n for n in before.outlinks]
    for after in node.outlinks:
        after.inlinks = [node if n is other else n for n in after.inlinks]


def _piece(group: Sequence[Any], ops: Sequence[Any], weights: Collection[str]) -> Piece:
    inside = {id(op) for op in group}
    made = {name for op in group for var in op.outputs for name in var.arguments}
    read = dict.fromkeys(name for op in group for var in op.inputs for name in var.arguments)
    outside = {name for op in ops if id(op) not in inside for var in op.inputs for name in var.arguments}
    return Piece(
        tuple(output(op) for op in group),
        tuple(op.type for op in group),
        tuple(name for name in read if name not in made and name not in weights),
        tuple(name for name in sorted(made) if name in outside),
    )

"""Which ops of the source program each op of a .nb came from, through fusion and the reuse of storage slots.

Forward over the .nb: every value is followed to the source variable it holds; an op takes the source op that reads
those variables (or its weights), the ops that opt dropped on the way there, and those it fused after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeflow.graph.edit import output
from edgeflow.graph.program import outputs_of
from edgeflow.graph.structure import over_programs
from edgeflow.nb import Model, Op
from edgeflow.nb.conversions import INSERTED
from edgeflow.nb.dataflow import Node, nodes

SOURCES: dict[str, tuple[str, ...]] = {
    "fc": ("mul", "matmul", "matmul_v2"),
    "mul": ("mul", "matmul", "matmul_v2"),
    "matmul": ("matmul", "matmul_v2"),
    "matmul_v2": ("matmul_v2", "matmul", "mul"),
    "sparse_conv2d": ("conv2d",),
    "conv2d": ("conv2d", "depthwise_conv2d"),
    "depthwise_conv2d": ("depthwise_conv2d", "conv2d"),
    "silu": ("silu", "swish"),
    "swish": ("swish", "silu"),
    "pad2d": ("pad3d", "pad2d"),
    "flatten_contiguous_range": ("flatten_contiguous_range",),
    "shuffle_channel": ("reshape2",),
    "reshape2": ("reshape2", "flatten_contiguous_range"),
    "scale": ("scale", "elementwise_mul", "elementwise_add", "batch_norm"),
    **{f"fusion_elementwise_{name}_activation": (f"elementwise_{name}",) for name in ("add", "sub", "mul", "div")},
}
"""Source op types that an op of the .nb can have come from, where the name alone does not say."""

"""Conversions that opt puts between ops: their value is the source variable they convert."""

DROPPED = (
    "scale",
    "dropout",
    "assign",
    "cast",
    "reshape2",
    "flatten_contiguous_range",
    "squeeze2",
    "unsqueeze2",
    "fake_quantize_dequantize_moving_average_abs_max",
    "transpose2",
)
"""Ops that opt may remove before an op: identities, and reshapes that the next op does itself."""

ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "hard_swish",
    "hard_sigmoid",
    "sigmoid",
    "tanh",
    "swish",
    "silu",
    "prelu",
    "abs",
    "elu",
    "clip",
)
DEPTH_MAX = 3
"""How many dropped ops in a row are looked through."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """An op of the .nb (`op`: its position in the block) with the source ops it stands for, named by their outputs."""

    block: int
    op: int
    type: str
    sources: tuple[str, ...]
    source_types: tuple[str, ...]
    has_weights: bool


@dataclass
class _Source:
    """The source program, indexed."""

    ops: list[Any]
    parameters: set[str]
    readers: dict[str, list[int]] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)

    def output(self, index: int) -> str:
        """The variable that carries an op's result, not its by-products (XShape, running means)."""
        return output(self.ops[index])


@over_programs
def layer_map(model: Model, program: Any) -> list[Mapped]:
    """Map every op of a .nb, feed and fetch left out; an op that could not be traced has no sources."""
    block = program.blocks[0]
    source = _Source(list(block.ops), {v.name for v in block.vars if v.persistable})
    for index, op in enumerate(source.ops):
        for var in op.inputs:
            for name in var.arguments:
                source.readers.setdefault(name, []).append(index)
    graph = nodes(model, nested=True)
    readers: dict[str, list[Node]] = {}
    for node in graph:
        for value in node.reads:
            readers.setdefault(value, []).append(node)
    held: dict[str, str] = {}
    for node in graph:
        if node.op.type == "feed":
            held[node.writes[0]] = node.op.outputs["Out"][0]
    return [_map(node, model, source, held, readers) for node in graph if node.op.type not in ("feed", "fetch")]


def _map(node: Node, model: Model, source: _Source, held: dict[str, str], readers: dict[str, list[Node]]) -> Mapped:
    weights = [value for value in node.reads if value in model.parameters]
    data = [held[value] for value in node.reads if value in held]
    if node.op.type in INSERTED and data and not _is_source_cast(node, data[0], source):
        held.update(dict.fromkeys(node.writes, data[0]))
        maker = _maker(data[0], source)
        return Mapped(node.block, node.index, node.op.type, (data[0],), (maker,), False)
    chain = _find(node.op, weights, data, source)
    if not chain:
        return Mapped(node.block, node.index, node.op.type, (), (), bool(weights))
    chain = _absorb(node, chain, model, source, readers)
    source.taken.update(chain)
    _hold(node, chain, source, held)
    return Mapped(
        node.block,
        node.index,
        node.op.type,
        tuple(source.output(i) for i in chain),
        tuple(source.ops[i].type for i in chain),
        bool(weights),
    )


def _is_source_cast(node: Node, variable: str, source: _Source) -> bool:
    """A cast that the model itself has."""
    return node.op.type == "cast" and any(source.ops[i].type == "cast" for i in source.readers.get(variable, ()))


def _maker(variable: str, source: _Source) -> str:
    for index, op in enumerate(source.ops):
        if any(variable in var.arguments for var in op.outputs):
            return str(source.ops[index].type)
    return "feed"


def _find(op: Op, weights: Sequence[str], data: Sequence[str], source: _Source) -> list[int]:
    """Source ops up to the one that gives this op its type: dropped ones first."""
    types = SOURCES.get(op.type, (op.type,))
    for weight in weights:
        for index in source.readers.get(weight, ()):
            if source.ops[index].type in types and (index not in source.taken or not data):
                return _through_dropped(index, data, source)
    for variable in data:
        if chain := _forward(variable, types, source, DEPTH_MAX, data):
            return chain
    if not data:  # an op that reads nothing, or only constants: the next untaken one of its type
        return next(
            ([i] for i, candidate in enumerate(source.ops) if candidate.type in types and i not in source.taken), []
        )
    return []


def _through_dropped(index: int, data: Sequence[str], source: _Source) -> list[int]:
    """The op itself, after the dropped ops between it and the variables already known."""
    chain, current = [index], index
    for _ in range(DEPTH_MAX):
        inputs = [name for var in source.ops[current].inputs for name in var.arguments if name not in source.parameters]
        if not inputs or any(name in data for name in inputs):
            break
        maker = next(
            (
                i
                for i, op in enumerate(source.ops[:current])
                if op.type in DROPPED
                and i not in source.taken
                and any(inputs[0] in var.arguments for var in op.outputs)
            ),
            None,
        )
        if maker is None:
            break
        chain.insert(0, maker)
        current = maker
    return chain


def _forward(variable: str, types: Sequence[str], source: _Source, depth: int, data: Sequence[str]) -> list[int]:
    readers = [i for i in source.readers.get(variable, ()) if i not in source.taken]
    matching = [i for i in readers if source.ops[i].type in types]
    if matching:
        # Two ops may read one variable: the one that reads most of what this op reads is meant.
        return [
            max(matching, key=lambda i: sum(name in data for var in source.ops[i].inputs for name in var.arguments))
        ]
    if depth:
        for index in readers:
            if source.ops[index].type in DROPPED:
                output = source.output(index)
                if chain := _forward(output, types, source, depth - 1, [*data, output]):
                    return [index, *chain]
    return []


def _absorb(node: Node, chain: list[int], model: Model, source: _Source, readers: dict[str, list[Node]]) -> list[int]:
    """Add the source ops that were fused after the last of `chain`."""
    followers = _followers(node, model, readers)
    activation = node.op.text("act_type") or node.op.text("activation_type")
    fused = bool(activation) or node.op.flag("with_act") or node.op.flag("fuse_relu")
    current, chain = chain[-1], list(chain)
    for _ in range(2 * DEPTH_MAX):
        output = source.output(current)
        after = [i for i in source.readers.get(output, ()) if i not in source.taken]
        if len(after) != 1:
            break
        op = source.ops[after[0]]
        if not _is_fused(op, node, followers, fused, source):
            break
        chain.append(after[0])
        current = after[0]
    return chain


def _followers(node: Node, model: Model, readers: dict[str, list[Node]]) -> dict[str, bool]:
    """Types of the ops that read a result, conversions that opt inserted looked through; with a weight of their own?"""
    found: dict[str, bool] = {}
    waiting, seen = list(node.writes), set[str]()
    while waiting:
        value = waiting.pop()
        for reader in readers.get(value, ()):
            if reader.op.type in INSERTED:
                waiting += [v for v in reader.writes if v not in seen]
                seen.update(reader.writes)
            weighted = any(name in model.parameters for name in reader.reads)
            found[reader.op.type] = found.get(reader.op.type, False) or weighted
    return found


def _is_fused(op: Any, node: Node, followers: dict[str, bool], fused: bool, source: _Source) -> bool:
    if op.type in ("fetch", "feed"):
        return False
    constant = any(name in source.parameters for var in op.inputs for name in var.arguments)
    if op.type == "batch_norm":
        return "conv" in node.op.type and "batch_norm" not in followers
    if op.type in ("elementwise_add", "elementwise_sub", "elementwise_mul", "elementwise_div"):
        # The op of that type that follows in the .nb may be another one, such as a residual sum: weights tell.
        kept = followers.get(op.type, False) or followers.get(f"fusion_{op.type}_activation", False)
        return constant and not kept and ("conv" in node.op.type or node.op.type in ("fc", "scale"))
    if op.type in followers:
        return False
    if op.type in ACTIVATIONS:
        return fused
    if op.type in ("scale", "dropout", "assign"):
        return True  # not among the followers: opt folded or dropped it
    return op.type in ("reshape2", "transpose2") and node.op.type == "shuffle_channel"


def _hold(node: Node, chain: list[int], source: _Source, held: dict[str, str]) -> None:
    """Say which source variables the op's results hold."""
    last = source.ops[chain[-1]]
    own = {var.parameter: list(var.arguments) for var in last.outputs}
    for parameter, values in node.outputs.items():
        names = own.get(parameter) or outputs_of(last, "Out") or [source.output(chain[-1])]
        for value, name in zip(values, names, strict=False):
            held[value] = name
        if len(values) == 1 and parameter not in own and parameter not in ("XShape",):
            held[values[0]] = source.output(chain[-1])


def as_table(mapped: Sequence[Mapped]) -> dict[str, Any]:
    """The map as it stands in manifest.json."""
    total = len(mapped)
    return {
        "mapped": sum(bool(m.sources) for m in mapped),
        "total": total,
        "ops": [
            {
                "op": f"{m.block}/{m.op}" if m.block else str(m.op),
                "type": m.type,
                "sources": list(m.sources),
                "source_types": list(m.source_types),
            }
            for m in mapped
        ],
    }

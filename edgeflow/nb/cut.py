"""A part of a .nb as a file of its own: its NPU subgraphs, and what stands between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgeflow.core.errors import NbError
from edgeflow.nb.conversions import CALIBS
from edgeflow.nb.model import Attribute, AttrType, Block, DType, Model, Op, Tensor, Variable

Shape = tuple[int, ...]


def npu_part(model: Model) -> frozenset[int]:
    """Positions in block 0 of all subgraphs, of what lies on a way from one to another, and of the conversions of
    precision beside them.
    """
    ops = model.blocks[0].operations
    maker = {name: k for k, op in enumerate(ops) if op.type != "fetch" for name in _written(op)}
    whole = {k for k, op in enumerate(ops) if op.type == "subgraph"}
    reads = [[maker[name] for name in _read(op) if name in maker] for op in ops]
    after, before = set(whole), set(whole)
    for k in range(len(ops)):
        if any(source in after for source in reads[k]):
            after.add(k)
    for k in reversed(range(len(ops))):
        if k in before:
            before.update(reads[k])
    part = after & before
    part |= {source for k in part for source in reads[k] if ops[source].type in CALIBS}
    part |= {k for k, op in enumerate(ops) if op.type in CALIBS and any(source in part for source in reads[k])}
    return frozenset(part)


def inputs_of(model: Model, part: frozenset[int]) -> tuple[str, ...]:
    """What a part reads and does not make: variables to feed, in the order of their first use."""
    ops = [model.blocks[0].operations[k] for k in sorted(part)]
    made = {name for op in ops for name in _written(op)}
    read = dict.fromkeys(name for op in ops for name in _read(op))
    return tuple(name for name in read if name not in made and name not in model.parameters)


def cut_out(model: Model, part: frozenset[int], fed: Mapping[str, tuple[str, Shape]]) -> Model:
    """A file that takes what the part reads and gives what others read of it.

    Args:
        model: whose variables have names of their own, as in all files with subgraphs: opt's memory_optimize_pass
            leaves those out.
        fed: dtype, as NumPy calls it, and shape of each of inputs_of.

    Raises:
        NbError: the part gives nothing, or the file has no feed or fetch to copy.
    """
    ops = model.blocks[0].operations
    inside = [ops[k] for k in sorted(part)]
    feed = next((op for op in ops if op.type == "feed"), None)
    fetch = next((op for op in ops if op.type == "fetch"), None)
    outside = {name for k, op in enumerate(ops) if k not in part for name in _read(op)}
    given = [name for op in inside for name in _written(op) if name in outside]
    if feed is None or fetch is None or not given:
        raise NbError("the part of the file that was to be cut out gives nothing that is read")
    feeds = [_with_column(replace(feed, outputs={"Out": (name,)}), k) for k, name in enumerate(fed)]
    fetches = [_with_column(replace(fetch, inputs={"X": (name,)}), k) for k, name in enumerate(given)]
    whole = _renumbered(model, [*feeds, *inside, *fetches])
    used = {name for block in whole.blocks for op in block.operations for name in (*_read(op), *_named(op))}
    own = [
        Variable(name, DType.LOD_TENSOR, Tensor(DType[_DTYPES[dtype]], shape), need_check_feed=True)
        for name, (dtype, shape) in fed.items()
    ]
    others = [var for var in model.blocks[0].variables if var.name in used | {"feed", "fetch"} and var.name not in fed]
    first = replace(whole.blocks[0], variables=tuple(sorted((*own, *others), key=lambda var: var.name)))
    weights = {name: weight for name, weight in model.parameters.items() if name in used}
    return replace(whole, blocks=(first, *whole.blocks[1:]), parameters=weights)


_DTYPES = {
    "float32": "FP32",
    "float16": "FP16",
    "int8": "INT8",
    "uint8": "UINT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}


def _renumbered(model: Model, ops: Sequence[Op]) -> Model:
    """The ops with the blocks that they name, and no other."""
    blocks: list[Block] = []
    made = []
    for op in ops:
        inner = op.block() if op.type == "subgraph" else None
        if inner is not None and 0 < inner < len(model.blocks):
            blocks.append(model.blocks[inner])
            op = replace(op, attributes={**op.attributes, "sub_block": Attribute(AttrType.INT, len(blocks))})
        made.append(op)
    return replace(model, blocks=(replace(model.blocks[0], operations=tuple(made)), *blocks))


def _with_column(op: Op, column: int) -> Op:
    return replace(op, attributes={**op.attributes, "col": Attribute(AttrType.INT, column)})


def _read(op: Op) -> tuple[str, ...]:
    """Variables that an op of block 0 reads, weights too; a subgraph reads what it says."""
    return () if op.type == "feed" else _named_in(op.inputs)


def _written(op: Op) -> tuple[str, ...]:
    """Variables that others can read of an op; a subgraph's own intermediates are not theirs."""
    said = op.attr("output_data_names") if op.type == "subgraph" else None
    return tuple(map(str, said)) if isinstance(said, tuple) else _named_in(op.outputs)


def _named(op: Op) -> tuple[str, ...]:
    return _named_in(op.outputs)


def _named_in(arguments: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(name for names in arguments.values() for name in names)

"""Structure-aware damage: a .nb that still reads, whose attributes, shapes, names, arguments and ops do not fit."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow.core.errors import NbError
from edgeflow.emulate.families import HOST_OPS, LOWERINGS
from edgeflow.nb import Attribute, AttrType, Block, DType, Model, Op, Parameter, read
from edgeflow.nb.model import ITEM_BYTES, KERNEL_ATTRIBUTE, Tensor

WHOLE = (-(2**31), -65537, -3, -2, -1, 0, 1, 2, 3, 5, 7, 16, 127, 255, 1000, 65536, 2**24, 2**31 - 1)
REAL = (-math.inf, -1e30, -1.0, -0.0, 0.0, 1e-38, 0.5, 1.0, 2.0, 3.5, 255.0, 1e9, 1e38, math.inf, math.nan)
WORDS = (
    "",
    "SAME",
    "VALID",
    "max",
    "avg",
    "relu",
    "prelu",
    "swish",
    "nearest",
    "LSTM",
    "GRU",
    "channel",
    "\x1b[2J",
    "é" * 9,
)
KERNELS = (
    "def/4/1/1",
    "def/4/5/1",
    "int8_out/4/2/1",
    "fp32_out/4/2/1",
    "fp32_to_int8/4/2/1",
    "int8_to_fp32/4/2/1",
    "x",
)
TYPES = (*LOWERINGS, *HOST_OPS, "feed", "fetch", "while", "nothing")
BYTES_MAX = 1 << 20

Change = Callable[[Model, random.Random], Model]


def mutated(model: Model, rng: random.Random) -> Model:
    """The model with one to four changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        model = rng.choice(CHANGES)(model, rng)
    return model


def _ops(model: Model, rng: random.Random, change: Callable[[list[Op]], list[Op]]) -> Model:
    """The model with the ops of one block changed, usually the first."""
    at = 0 if rng.random() < 0.6 else rng.randrange(len(model.blocks))
    block = model.blocks[at]
    made = replace(block, operations=tuple(change(list(block.operations))))
    return replace(model, blocks=(*model.blocks[:at], made, *model.blocks[at + 1 :]))


def _op(model: Model, rng: random.Random, change: Callable[[Op], Op]) -> Model:
    def one(ops: list[Op]) -> list[Op]:
        inner = [i for i, op in enumerate(ops) if op.type not in ("feed", "fetch")]
        if inner and (ops and rng.random() < 0.95):
            at = rng.choice(inner)
            ops[at] = change(ops[at])
        elif ops:
            at = rng.randrange(len(ops))
            ops[at] = change(ops[at])
        return ops

    return _ops(model, rng, one)


def _value(rng: random.Random, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, value * 2, *WHOLE)) if abs(value) < 2**29 else rng.choice(WHOLE)
    if isinstance(value, float):
        return rng.choice((value * 2, -value, *REAL))
    if isinstance(value, str):
        return rng.choice((value + "x", *WORDS))
    if isinstance(value, tuple):
        items = list(value)
        how = rng.randrange(4)
        if not items:
            return value
        if how == 0:
            items.append(items[-1])
        elif how == 1:
            items.pop()
        elif how == 2:
            items[rng.randrange(len(items))] = _value(rng, items[0])
        else:
            items = [_value(rng, items[0])] * len(items)
        return tuple(items[:64])
    return value


RANDOM: tuple[Callable[[random.Random], Attribute], ...] = (
    lambda rng: Attribute(AttrType.INT, rng.choice(WHOLE)),
    lambda rng: Attribute(AttrType.FLOAT, rng.choice(REAL)),
    lambda rng: Attribute(AttrType.STRING, rng.choice(WORDS)),
    lambda rng: Attribute(AttrType.BOOLEAN, rng.random() < 0.5),
    lambda rng: Attribute(AttrType.INTS, tuple(rng.choice(WHOLE) for _ in range(rng.randrange(5)))),
    lambda rng: Attribute(AttrType.FLOATS, tuple(rng.choice(REAL) for _ in range(rng.randrange(4)))),
    lambda rng: Attribute(AttrType.STRINGS, tuple(rng.choice(WORDS) for _ in range(rng.randrange(3)))),
    lambda rng: Attribute(AttrType.LONGS, tuple(rng.choice(WHOLE) for _ in range(rng.randrange(4)))),
    lambda rng: Attribute(AttrType.LONG, rng.choice(WHOLE)),
)


def change_attribute(model: Model, rng: random.Random) -> Model:
    """Another value of the same type, or of another one, or none."""

    def change(op: Op) -> Op:
        table = dict(op.attributes)
        if not table:
            return op
        name = rng.choice(list(table))
        how = rng.random()
        if name == KERNEL_ATTRIBUTE:
            table[name] = Attribute(AttrType.STRING, f"{op.type}/{rng.choice(KERNELS)}")
        elif how < 0.65:
            table[name] = replace(table[name], value=_value(rng, table[name].value))
        elif how < 0.9:
            table[name] = rng.choice(RANDOM)(rng)
        else:
            del table[name]
        return replace(op, attributes=table)

    return _op(model, rng, change)


def add_attribute(model: Model, rng: random.Random) -> Model:
    """An attribute that some other op has."""
    known = [(n, a) for block in model.blocks for op in block.operations for n, a in op.attributes.items()]

    def change(op: Op) -> Op:
        if not known:
            return op
        name, value = rng.choice(known)
        return replace(op, attributes={**op.attributes, name: value if rng.random() < 0.5 else rng.choice(RANDOM)(rng)})

    return _op(model, rng, change)


def _resized(parameter: Parameter, dtype: DType, dims: tuple[int, ...]) -> Parameter:
    size = math.prod(dims) * ITEM_BYTES[dtype]
    if size > BYTES_MAX:
        return parameter
    data = bytes(parameter.data[:size])
    fill = data or b"\1\2\0\3"
    data = (data + fill * (size // len(fill) + 1))[:size]
    return replace(parameter, dtype=dtype, dims=dims, data=memoryview(data))


def change_parameter(model: Model, rng: random.Random) -> Model:
    """Other dimensions, order or type of a weight; or the weight is gone."""
    if not model.parameters:
        return model
    name = rng.choice(list(model.parameters))
    old = model.parameters[name]
    dims, dtype = list(old.dims), old.dtype
    how = rng.randrange(7)
    if how == 0:
        dtype = rng.choice([d for d in ITEM_BYTES if d not in (DType.BOOL, DType.SIZE_T)])
    elif how == 1:
        rng.shuffle(dims)
    elif how == 2:
        dims.insert(rng.randrange(len(dims) + 1), rng.choice((0, 1, 2)))
    elif how == 3 and dims:
        dims.pop(rng.randrange(len(dims)))
    elif how == 4:
        return replace(model, parameters={k: v for k, v in model.parameters.items() if k != name})
    elif dims:
        at = rng.randrange(len(dims))
        dims[at] = rng.choice((0, 1, 2, dims[at] + 1, max(dims[at] - 1, 0), dims[at] * 2, 65536))
    return replace(model, parameters={**model.parameters, name: _resized(old, dtype, tuple(dims[:8]))})


def _names(model: Model) -> list[str]:
    found = {
        n
        for b in model.blocks
        for op in b.operations
        for t in (op.inputs, op.outputs)
        for listed in t.values()
        for n in listed
    }
    return sorted(found | set(model.parameters)) or ["x"]


def change_arguments(model: Model, rng: random.Random) -> Model:
    """An argument reads or writes another variable, twice, or none; or stands under another name."""
    names = _names(model)

    def change(op: Op) -> Op:
        side = rng.random() < 0.75
        table = dict(op.inputs if side else op.outputs)
        if not table:
            return op
        key = rng.choice(list(table))
        how = rng.randrange(6)
        if how == 0:
            del table[key]
        elif how == 1:
            table[key] = ()
        elif how == 2:
            table[key] = table[key] * 2
        elif how == 3:
            table[rng.choice(("X", "Y", "Input", "Axis", "Bias", "SizeTensor", "Out"))] = table[key]
        elif table[key]:
            at = rng.randrange(len(table[key]))
            table[key] = (*table[key][:at], rng.choice(names), *table[key][at + 1 :])
        return replace(op, inputs=table) if side else replace(op, outputs=table)

    return _op(model, rng, change)


def change_type(model: Model, rng: random.Random) -> Model:
    """Another op type, with the arguments as they were or under the common names."""

    def change(op: Op) -> Op:
        kind = rng.choice(TYPES)
        if rng.random() < 0.5:
            return replace(op, type=kind)
        values = [n for names in op.inputs.values() for n in names] or ["x"]
        outs = tuple(n for names in op.outputs.values() for n in names) or ("x",)
        parameters = ("X", "Y", "Input", "Filter", "W", "Ids", "Index", "Condition", "BBoxes", "Scores", "ROIs", "Grid")
        inputs = {p: (rng.choice(values),) for p in parameters if rng.random() < 0.8}
        return replace(op, type=kind, inputs=inputs, outputs={"Out": outs, "Output": outs, "Y": outs})

    return _op(model, rng, change)


def change_order(model: Model, rng: random.Random) -> Model:
    """Ops in another order, twice, or gone."""

    def change(ops: list[Op]) -> list[Op]:
        if not ops:
            return ops
        at, to = rng.randrange(len(ops)), rng.randrange(len(ops))
        how = rng.randrange(4)
        if how == 0:
            ops[at], ops[to] = ops[to], ops[at]
        elif how == 1:
            ops.insert(to, ops[at])
        elif how == 2:
            ops.pop(at)
        else:
            ops[at:at] = ops[at : at + 4] * 3
        return ops[:400]

    return _ops(model, rng, change)


def change_variables(model: Model, rng: random.Random) -> Model:
    """An input or variable of another shape or type, or without one."""
    first = model.blocks[0]
    if not first.variables:
        return model
    variables = list(first.variables)
    wanted = [i for i, v in enumerate(variables) if v.name in model.inputs]
    at = rng.choice(wanted) if wanted and rng.random() < 0.9 else rng.randrange(len(variables))
    old = variables[at]
    dims = list((old.tensor.dims if old.tensor else None) or ())
    dtype = old.tensor.dtype if old.tensor else DType.FP32
    how = rng.randrange(6)
    if how == 0:
        dims.append(rng.choice((1, 2, -1)))
    elif how == 1 and dims:
        dims.pop()
    elif how == 2:
        dtype = rng.choice(list(DType))
    elif how == 3:
        variables.pop(at)
        return replace(model, blocks=(replace(first, variables=tuple(variables)), *model.blocks[1:]))
    elif dims:
        dims[rng.randrange(len(dims))] = rng.choice((-1, 0, 1, 2, 3, 7, 64, 65536))
    variables[at] = replace(old, tensor=None if how == 5 and rng.random() < 0.3 else Tensor(dtype, tuple(dims)))
    return replace(model, blocks=(replace(first, variables=tuple(variables)), *model.blocks[1:]))


def change_blocks(model: Model, rng: random.Random) -> Model:
    """A subgraph made of some ops, a block more, or a subgraph op that names another block."""
    ops = list(model.blocks[0].operations)
    if rng.random() < 0.5 and len(ops) > 2:
        at = rng.randrange(1, len(ops))
        inner = tuple(op for op in ops[at : at + 3] if op.type not in ("feed", "fetch"))
        reads = tuple(n for op in inner for names in op.inputs.values() for n in names)
        writes = tuple(n for op in inner for names in op.outputs.values() for n in names)
        wrap = Op(
            "subgraph",
            {"Inputs": reads},
            {"Outputs": writes},
            {
                "sub_block": Attribute(AttrType.INT, len(model.blocks)),
                KERNEL_ATTRIBUTE: Attribute(AttrType.STRING, "subgraph/def/18/4/1"),
            },
        )
        kept = [op for op in ops[at : at + 3] if op.type in ("feed", "fetch")]
        outer = replace(model.blocks[0], operations=(*ops[:at], wrap, *kept, *ops[at + 3 :]))
        return replace(model, blocks=(outer, *model.blocks[1:], Block(inner)))

    def change(op: Op) -> Op:
        return replace(op, attributes={**op.attributes, "sub_block": rng.choice(RANDOM)(rng)})

    return _op(model, rng, change)


def change_header(model: Model, rng: random.Random) -> Model:
    """Another version."""
    text = rng.choice(("", "v2.13-rc", "\x1b[2J", "v9.9", "x" * 15))
    return replace(model, header=replace(model.header, opt_version=text))


CHANGES: tuple[Change, ...] = (
    *(change_attribute,) * 6,
    *(change_parameter,) * 4,
    *(change_arguments,) * 3,
    *(change_type,) * 3,
    *(change_variables,) * 2,
    *(change_blocks,) * 2,
    change_order,
    change_order,
    add_attribute,
    change_header,
)


def seeds(golden: Path, corpus: Path, largest: int = 200_000) -> list[Path]:
    """Golden files and corpus files small enough to be mutated many times."""
    files = [*sorted(golden.glob("*/model.nb")), *sorted(p for p in corpus.iterdir() if p.is_file())]
    return [path for path in files if path.stat().st_size <= largest and _reads(path)]


def _reads(path: Path) -> bool:
    try:
        read(path)
    except NbError:
        return False
    return True

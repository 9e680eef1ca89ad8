"""Writes a program of 2.6.2: variables, ops, attributes of exactly the kind that each op was registered with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edgeflow.core.tensors import PADDLE_DTYPES
from edgeflow.graph.program import add_variable, schema
from edgeflow.ingest.pir.draft import Constant, Draft, NoCounterpart
from edgeflow.ingest.pir.read import PirType
from edgeflow.ingest.pir.table import old_attributes

NUMBERS = {name: number for number, name in PADDLE_DTYPES.items()}
INT_MAX = (1 << 31) - 1
ARGUMENTS_MAX = 1 << 20
"""Of all ops together: a list is written out wherever an op reads it."""

VERSION = 2006002
"""What PaddlePaddle 2.6.2 writes into a program. Source: a program that it wrote."""

LISTS = {
    "INTS": "ints",
    "LONGS": "longs",
    "FLOATS": "floats",
    "FLOAT64S": "float64s",
    "BOOLEANS": "bools",
    "STRINGS": "strings",
}
SINGLES = {"INT": "i", "LONG": "l", "FLOAT": "f", "FLOAT64": "float64", "BOOLEAN": "b", "STRING": "s"}
KINDS = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}
UNSET = "Undefined(ALL_DTYPE)"


def dtype_number(name: str) -> int:
    """Paddle's number of an element type; -1 where none is set."""
    if name in (UNSET, "Undefined"):
        return -1
    if name not in NUMBERS:
        raise NoCounterpart(f"uses {name}, which programs of 2.6.2 for Paddle Lite have not")
    return NUMBERS[name]


class Writer:
    """A program under construction: block 0, with the names that are taken."""

    def __init__(self, reserved: Sequence[str]) -> None:
        proto = schema()
        self.program = proto.ProgramDesc()
        self.program.version.version = VERSION
        self.block = self.program.blocks.add(idx=0, parent_idx=-1)
        self.types: dict[str, PirType] = {}
        self._taken = {*reserved, "feed", "fetch"}
        self._again: Counter[str] = Counter()
        self._arguments = 0
        for name, kind in (("feed", proto.VarType.FEED_MINIBATCH), ("fetch", proto.VarType.FETCH_LIST)):
            self.block.vars.add(name=name, persistable=True).type.type = kind

    def fresh(self, stem: str) -> str:
        """A name that nothing has yet."""
        name = stem
        while name in self._taken:
            name = f"{stem}_{self._again[stem]}"
            self._again[stem] += 1
        self._taken.add(name)
        return name

    def declare(self, name: str, kind: PirType, persistable: bool = False) -> str:
        """Declare a dense tensor."""
        add_variable(self.block, name, kind.dims, dtype_number(kind.dtype))
        self.block.vars[-1].persistable = persistable
        self.types[name] = kind
        return name

    def op(self, draft: Draft) -> None:
        """Write an op, with the attributes that 2.6.2 would have given it by itself.

        Raises:
            NoCounterpart: an attribute is missing, or holds what its kind cannot.
        """
        registered = old_attributes()[draft.old]
        values = {name: entry[1] for name, entry in registered.items() if len(entry) > 1 and entry[1] is not None}
        unknown = sorted(set(draft.attrs) - set(registered))
        if unknown:
            raise NoCounterpart(f"has attribute {', '.join(unknown)}, which {draft.old} of 2.6.2 has not")
        values.update(draft.extra)
        values.update({name: value for name, value in draft.attrs.items() if value is not None})
        missing = [name for name, entry in registered.items() if len(entry) > 1 and name not in values]
        if missing:
            raise NoCounterpart(f"says nothing of {', '.join(missing)}, which {draft.old} of 2.6.2 needs")
        self._arguments += sum(map(len, (*draft.inputs.values(), *draft.outputs.values())))
        if self._arguments > ARGUMENTS_MAX:
            raise NoCounterpart(f"is one of those that read and write more than {ARGUMENTS_MAX} tensors together")
        op = schema().OpDesc(type=draft.old)
        for given, variables in ((draft.inputs, op.inputs), (draft.outputs, op.outputs)):
            for slot, names in given.items():
                variables.add(parameter=slot).arguments.extend(names)
        for name in sorted(values):
            kind = registered[name][0] if name in registered else KINDS[type(values[name])]
            _attribute(op, name, kind, values[name])
        self.block.ops.append(op)

    def constant(self, value: Constant, stem: str) -> str:
        """Write a constant and return its name."""
        name = self.declare(self.fresh(stem), value.type)
        dtype, dims = value.type.dtype, list(value.type.dims)
        if len(set(value.values)) <= 1 and value.values:
            only = value.values[0]
            text = repr(float(only)) if isinstance(only, (float, bool)) else str(only)
            shown = float(only) if abs(only) <= 3.4e38 or math.isinf(only) else 0.0
            attrs = {"shape": dims, "dtype": NUMBERS[dtype], "value": shown, "str_value": text}
            self.op(Draft("fill_constant", {}, {"Out": [name]}, attrs))
            return name
        slots = {"float32": "fp32", "float64": "fp64", "int32": "int32", "int64": "int64", "bool": "bool"}
        if dtype not in slots:
            raise NoCounterpart(f"holds a constant of {dtype}, which assign_value of 2.6.2 cannot")
        attrs = {"shape": dims, "dtype": NUMBERS[dtype], f"{slots[dtype]}_values": list(value.flat())}
        self.op(Draft("assign_value", {}, {"Out": [name]}, attrs))
        return name

    def cast(self, name: str, dtype: str) -> str:
        """A tensor in another element type."""
        kind = self.types[name]
        if kind.dtype == dtype:
            return name
        out = self.declare(self.fresh(f"{name}_{dtype}"), PirType(dtype, kind.dims))
        attrs = {"in_dtype": NUMBERS[kind.dtype], "out_dtype": dtype_number(dtype)}
        self.op(Draft("cast", {"X": [name]}, {"Out": [out]}, attrs))
        return out

    def feed(self, name: str, column: int) -> None:
        """An input of the program."""
        self.op(Draft("feed", {"X": ["feed"]}, {"Out": [name]}, {"col": column}))

    def fetch(self, name: str, column: int) -> None:
        """An output of the program."""
        self.op(Draft("fetch", {"X": [name]}, {"Out": ["fetch"]}, {"col": column}))


def _attribute(op: Any, name: str, kind: str, value: Any) -> None:
    proto = schema()
    attr = op.attrs.add(name=name, type=getattr(proto, kind))
    if kind == "SCALARS":
        for item in value:
            _scalar(attr.scalars.add(), item)
    elif kind in LISTS:
        items = list(value) if isinstance(value, (tuple, list)) else [value]
        getattr(attr, LISTS[kind]).extend(_fitting(name, kind, item) for item in items)
    elif kind in SINGLES:
        if isinstance(value, (tuple, list)):
            if len(value) != 1:
                raise NoCounterpart(f"gives {len(value)} values for {name}, and 2.6.2 takes one")
            (value,) = value
        setattr(attr, SINGLES[kind], _fitting(name, kind, value))
    else:
        raise NoCounterpart(f"has attribute {name} of kind {kind}")


def _scalar(scalar: Any, value: Any) -> None:
    if isinstance(value, bool):
        scalar.type, scalar.b = type(scalar).BOOLEAN, value
    elif isinstance(value, int):
        scalar.type, scalar.i = type(scalar).LONG, value
    else:
        scalar.type, scalar.r = type(scalar).FLOAT64, value


def _fitting(name: str, kind: str, value: Any) -> Any:
    """A value as an attribute of that kind holds it, exactly."""
    kind = kind.removesuffix("S") if kind != "BOOLEANS" else "BOOLEAN"
    if kind == "STRING":
        return value if isinstance(value, str) else repr(value)
    if kind in ("INT", "LONG"):
        if isinstance(value, str):
            return dtype_number(value)
        if value is None or value != value or math.isinf(value) or int(value) != value:
            raise NoCounterpart(f"has {name} = {value}, and 2.6.2 takes a whole number")
        if kind == "INT" and not -INT_MAX - 1 <= value <= INT_MAX:
            raise NoCounterpart(f"has {name} = {value}, and 2.6.2 takes 32 bits")
        return int(value)
    if kind == "BOOLEAN":
        return bool(value)
    if value is None:
        raise NoCounterpart(f"has an infinite {name} whose sign its file has lost; export with PaddlePaddle 3.3.1")
    if isinstance(value, str):
        raise NoCounterpart(f"has {name} = {value!r}, and 2.6.2 takes a number")
    return float(value)


def by_slot(pairs: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Slots that hold something."""
    return {slot: names for slot, names in pairs.items() if slot and names}

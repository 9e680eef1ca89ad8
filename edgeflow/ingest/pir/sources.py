"""Where values come from and go to: inputs, constants, lists, shapes, outputs. A function for each op, by its name."""

from __future__ import annotations

from collections.abc import Callable

from edgeflow.ingest.pir.draft import Constant, Draft, NoCounterpart, of_dtype
from edgeflow.ingest.pir.read import PirOp, PirType
from edgeflow.ingest.pir.values import Values


def _data(op: PirOp, values: Values) -> None:
    name = values.writer.fresh(str(op.attrs["name"]))
    if name != op.attrs["name"] or not name:
        raise NoCounterpart(f"reads an input called {op.attrs['name']!r}, a name that something else has")
    values.writer.declare(name, op.outputs[0].types[0])
    values.writer.block.vars[-1].need_check_feed = True
    values.writer.feed(name, values.fed)
    values.fed += 1
    values.give(op.outputs[0], name)


def _fetch(op: PirOp, values: Values) -> None:
    """An output has a variable of its own, as 2.6.2 makes it."""
    name = values.tensor(op.inputs[0])
    if name in values.own and name not in values.fetched:
        values.fetched.add(name)
    else:
        out = values.writer.fresh(f"fetched_{op.attrs['col']}")
        values.writer.declare(out, values.writer.types[name])
        values.writer.op(Draft("assign", {"X": [name]}, {"Out": [out]}))
        name = out
    values.writer.fetch(name, int(op.attrs["col"]))


def _full(op: PirOp, values: Values) -> None:
    kind = op.outputs[0].types[0]
    values.give(op.outputs[0], Constant(kind, of_dtype((op.attrs["value"],), kind.dtype)))


def _listed(op: PirOp, values: Values) -> None:
    kind = op.outputs[0].types[0]
    given = op.attrs["value"] if "value" in op.attrs else op.attrs["values"]
    found = Constant(kind, of_dtype(given if isinstance(given, tuple) else (given,), kind.dtype))
    if len(found.values) not in (1, found.size):
        raise NoCounterpart(f"gives {len(found.values)} values for dims {list(kind.dims)}")
    values.give(op.outputs[0], found)
    if op.inputs and op.inputs[0]:
        values.overwritten(op.inputs[0], op.outputs[0])


def _combine(op: PirOp, values: Values) -> None:
    values.give(op.outputs[0], list(op.inputs))


def _split(op: PirOp, values: Values) -> None:
    names = values.tensors(op.inputs[0])
    if len(names) != len(op.outputs):
        raise NoCounterpart(f"opens a list of {len(names)} into {len(op.outputs)}")
    for value, name in zip(op.outputs, names, strict=True):
        values.give(value, name)


def _shape(op: PirOp, values: Values) -> None:
    """A constant where the tensor's dims are all fixed; else int32, as 2.6.2 gives it, cast to what is declared."""
    kind, dims = op.outputs[0].types[0], values.writer.types[values.tensor(op.inputs[0])].dims
    if all(dim >= 0 for dim in dims):
        values.give(op.outputs[0], Constant(PirType(kind.dtype, (len(dims),)), dims))
        return
    name = values.writer.declare(values.writer.fresh(f"pir_{op.outputs[0].number}"), PirType("int32", kind.dims))
    values.writer.op(Draft("shape", {"Input": [values.tensor(op.inputs[0])]}, {"Out": [name]}))
    values.give(op.outputs[0], values.writer.cast(name, kind.dtype))


def _assign_out(op: PirOp, values: Values) -> None:
    name = values.writer.declare(values.writer.fresh(f"pir_{op.outputs[0].number}"), op.outputs[0].types[0])
    values.writer.op(Draft("assign", {"X": values.tensors(op.inputs[0])}, {"Out": [name]}))
    values.give(op.outputs[0], name)
    if len(op.inputs) > 1 and op.inputs[1]:
        values.overwritten(op.inputs[1], op.outputs[0])


SOURCES: dict[str, Callable[[PirOp, Values], None]] = {
    "data": _data,
    "feed": _data,
    "fetch": _fetch,
    "full": _full,
    "full_int_array": _listed,
    "assign_value": _listed,
    "assign_value_": _listed,
    "assign_out_": _assign_out,
    "combine": _combine,
    "split_list": _split,
    "shape": _shape,
    "shape64": _shape,
}

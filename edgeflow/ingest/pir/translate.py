"""Translates a program of Paddle 3 into the one that PaddlePaddle 2.6.2 would have exported.

Weights need no translation: both write the same `.pdiparams`. Ops whose only difference is in names go by the table;
special.py has a function for each other one. What has no counterpart is named, all of it, before anything is written.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from edgeflow.core.errors import ModelError
from edgeflow.graph import program as programs
from edgeflow.ingest.pir.draft import Constant, Draft, NoCounterpart, of_dtype
from edgeflow.ingest.pir.read import PirOp, PirProgram, PirType, PirValue, load
from edgeflow.ingest.pir.special import SPECIAL
from edgeflow.ingest.pir.table import Rule, Slot, rule_of
from edgeflow.ingest.pir.values import Values

SHOWN = 40
"""Of the ops without counterpart, by name and reason."""


def translate(source: Path, prefix: Path) -> tuple[Path, ...]:
    """Write `prefix`.pdmodel and `prefix`.pdiparams from an inference.json and the .pdiparams beside it.

    Returns:
        The files that were read.

    Raises:
        ModelError: a file is missing or damaged, or ops have no counterpart in 2.6.2; all are named.
    """
    pir = load(source)
    program = old_program(pir, str(source))
    weights = source.with_suffix(".pdiparams")
    held = any(parameter.persistable for parameter in pir.parameters)
    if held and not weights.is_file():
        raise ModelError(
            f"{weights}: is missing, and should hold the weights of {source.name}",
            try_=f"put the .pdiparams that came with {source.name} beside it",
        )
    programs.save(program, prefix.with_suffix(".pdmodel"))
    if held:
        shutil.copyfile(weights, prefix.with_suffix(".pdiparams"))
        return source, weights
    prefix.with_suffix(".pdiparams").write_bytes(b"")
    return (source,)


def old_program(pir: PirProgram, where: str) -> Any:
    """A PIR program as a ProgramDesc of 2.6.2.

    Raises:
        ModelError: ops have no counterpart; names each, how often and why.
    """
    values = Values([parameter.name for parameter in pir.parameters if parameter.persistable])
    unknown = Counter(op.name for op in pir.ops if op.name not in SOURCES and rule_of(op.name) is None)
    why: dict[str, None] = {}
    if not unknown:
        for parameter in pir.parameters:
            if parameter.persistable:
                values.give(parameter.value, values.writer.declare(parameter.name, parameter.value.types[0], True))
        for position, op in enumerate(pir.ops):
            try:
                _one(op, values)
            except NoCounterpart as err:
                why[f"op {position}, {op.name}, {err}"] = None
                for value in op.outputs:
                    values.lost(value)
    if unknown or why:
        named = [f"{name} ({count} times)" if count > 1 else name for name, count in sorted(unknown.items())] or list(
            why
        )
        raise ModelError(
            f"{where}: PaddlePaddle 2.6.2, whose programs Paddle Lite reads, has no counterpart of "
            + "; ".join(named[:SHOWN])
            + (f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""),
            try_="replace these ops in the model and export it again; docs/models.md lists what is translated",
        )
    program = values.writer.program
    return programs.parse(program.SerializeToString(deterministic=True), where.removesuffix(".json"))


def _one(op: PirOp, values: Values) -> None:
    if op.name in SOURCES:
        SOURCES[op.name](op, values)
        return
    rule = rule_of(op.name)
    assert rule is not None
    draft = Draft(rule.old)
    if len(op.inputs) > len(rule.inputs):
        raise NoCounterpart(f"has {len(op.inputs)} inputs; {len(rule.inputs)} are known")
    for number, slot in zip(op.inputs, rule.inputs, strict=False):
        if number:
            _input(draft, number, slot, values)
    for name, value in op.attrs.items():
        _attr(draft, name, value, rule)
    draft.extra.update(rule.added)
    special = SPECIAL.get(op.name.removesuffix("_"))
    names: list[tuple[PirValue, list[str]]] = []
    for value, out in zip(op.outputs, (*rule.outputs, *[""] * len(op.outputs)), strict=False):
        if value.kind in ("tensor", "list") and out not in ("", "_"):
            made = [
                values.writer.fresh(f"pir_{value.number}" + (f"_{k}" if value.kind == "list" else ""))
                for k in range(len(value.types))
            ]
            draft.outputs[out] = made
            names.append((value, made))
        elif value.kind not in ("tensor", "list", "absent"):
            raise NoCounterpart(f"gives a {value.kind}")
    if special is not None and not special(op, draft, values):
        return
    for value, made in names:
        for name, kind in zip(made, value.types, strict=True):
            if name not in values.writer.types:
                values.writer.declare(name, kind)
    _xshape(draft, values)
    values.writer.op(draft)
    values.own.update(name for _, made in names for name in made)
    for value, made in names:
        values.give(value, made if value.kind == "list" else made[0])
    if op.name.endswith("_") and names and not draft.old.endswith("batch_norm"):
        values.overwritten(op.inputs[0], op.outputs[0])


def _input(draft: Draft, number: int, slot: Slot, values: Values) -> None:
    if slot.attr:
        known = values.known(number)
        if known is not None:
            draft.attrs[slot.attr] = known
            return
        parts = values.parts(number)
        if slot.many and parts is not None:
            singles = [values.known(part) for part in parts]
            draft.attrs[slot.attr] = tuple(-1 if single is None else single[0] for single in singles)
            draft.inputs[slot.many] = [values.tensor(part) for part in parts]
            return
        if not slot.name:
            raise NoCounterpart(f"computes {slot.attr} at run time, and 2.6.2 takes a constant")
    if slot.name:
        draft.inputs[slot.name] = values.tensors(number)


def _attr(draft: Draft, name: str, value: Any, rule: Rule) -> None:
    if name in rule.only:
        if value != rule.only[name]:
            raise NoCounterpart(f"has {name} = {value}, and 2.6.2 knows {rule.only[name]} alone")
    elif name not in rule.ignored and name != "place":
        draft.attrs.setdefault(rule.renamed.get(name, name), value)


def _xshape(draft: Draft, values: Values) -> None:
    if draft.old in ("reshape2", "transpose2", "squeeze2", "unsqueeze2", "flatten_contiguous_range"):
        dims = values.writer.types[draft.inputs["X"][0]].dims
        name = values.writer.fresh(f"{draft.outputs['Out'][0]}_xshape")
        draft.outputs["XShape"] = [values.writer.declare(name, PirType("float32", (0, *dims)))]


# Where values come from and go to, and lists of them.


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
    """Of a tensor whose dims are all fixed it is a constant. Else int32, as 2.6.2 gives it, cast to what is declared."""
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


SOURCES = {
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

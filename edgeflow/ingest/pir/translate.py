"""Translates a program of Paddle 3 into the one that PaddlePaddle 2.6.2 would have exported.

Weights need no translation: both write the same `.pdiparams`. Ops whose only difference is in names go by the table;
special.py has a function for each other one. What has no counterpart is named, all of it, before anything is written.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from edgeflow.core.errors import ModelError
from edgeflow.graph import program as programs
from edgeflow.ingest.pir.draft import Draft, NoCounterpart
from edgeflow.ingest.pir.read import PirOp, PirProgram, PirType, PirValue, load
from edgeflow.ingest.pir.sources import SOURCES
from edgeflow.ingest.pir.special import SPECIAL
from edgeflow.ingest.pir.table import Rule, Slot, rule_of
from edgeflow.ingest.pir.values import Values

SHOWN = 40
"""Of the ops without counterpart, by name and reason."""


def read_pir(source: Path) -> Any:
    """The program of 2.6.2 that an inference.json says; its weights are those of the .pdiparams beside it.

    Raises:
        ModelError: the file is missing or damaged, or ops have no counterpart in 2.6.2; all are named.
    """
    return old_program(load(source), str(source))


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
                try:
                    name = values.writer.declare(parameter.name, parameter.value.types[0], True)
                    values.give(parameter.value, name)
                except NoCounterpart as err:
                    why[f"the weight {parameter.name}, which {err}"] = None
                    values.lost(parameter.value)
        for position, op in enumerate(pir.ops):
            try:
                _one(op, values)
            except NoCounterpart as err:
                why[f"op {position}, {op.name}, {err}"] = None
                for value in op.outputs:
                    values.lost(value)
            except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as err:
                raise ModelError(
                    f"{where}: op {position} ({op.name}) is damaged ({type(err).__name__}: {str(err)[:200]})",
                    try_="download or export the model again",
                ) from err
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
    """Write one op, and say what its outputs are."""
    if op.name in SOURCES:
        SOURCES[op.name](op, values)
        return
    rule = rule_of(op.name)
    assert rule is not None
    if len(op.inputs) > len(rule.inputs):
        raise NoCounterpart(f"has {len(op.inputs)} inputs; {len(rule.inputs)} are known")
    draft = Draft(rule.old, extra=dict(rule.added))
    for number, slot in zip(op.inputs, rule.inputs, strict=False):
        if number:
            _input(draft, number, slot, values)
    for name, value in op.attrs.items():
        _attr(draft, name, value, rule)
    made = _outputs(op, rule, draft, values)
    special = SPECIAL.get(op.name.removesuffix("_"))
    if special is not None:
        special(op, draft, values)
    _xshape(draft, values)
    values.writer.op(draft)
    for output, names in made:
        values.own.update(names)
        values.give(output, names if output.kind == "list" else names[0])
    if op.name.endswith("_") and made and draft.old != "batch_norm":
        values.overwritten(op.inputs[0], op.outputs[0])


def _outputs(op: PirOp, rule: Rule, draft: Draft, values: Values) -> list[tuple[PirValue, list[str]]]:
    """Declare the outputs that the old op has too."""
    made = []
    slots = (*rule.outputs, *[""] * len(op.outputs))
    for value, slot in zip(op.outputs, slots, strict=False):
        if value.kind not in ("tensor", "list", "absent"):
            raise NoCounterpart(f"gives a {value.kind}")
        if value.kind == "absent" or slot in ("", "_"):
            continue
        stems = [f"pir_{value.number}" + (f"_{k}" if value.kind == "list" else "") for k in range(len(value.types))]
        names = [
            values.writer.declare(values.writer.fresh(stem), kind)
            for stem, kind in zip(stems, value.types, strict=True)
        ]
        draft.outputs[slot] = names
        made.append((value, names))
    return made


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

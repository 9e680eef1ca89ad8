"""Boxes of several pictures come in one list, and only their counts tell whose they are: they become an output too."""

from __future__ import annotations

from typing import Any

from edgeflow.graph.output_kinds import NMS, maker_of, output_kinds
from edgeflow.graph.program import add_variable, attribute, fetches, schema, variable

COUNTED = {"multiclass_nms": "multiclass_nms3", "multiclass_nms2": "multiclass_nms3"}
"""NMS of Paddle 1.x and 2.0 keep the counts in a LoD, which .nb files do not carry; the newer op computes the same.
Source: PaddlePaddle 2.6.2 paddle/fluid/operators/detection/multiclass_nms_op.cc.
"""


def count_boxes(program: Any) -> int:
    """Give every output of boxes whose counts are no output the counts as another one, behind all that there are.

    Returns:
        How many outputs were added.
    """
    block, added = program.blocks[0], 0
    for index, (name, kind) in enumerate(zip(fetches(program), output_kinds(program), strict=True)):
        if kind.kind != "boxes" or kind.counts is not None:
            continue
        op = maker_of(block, name)
        op.type = COUNTED.get(op.type, op.type)
        if op.type == "multiclass_nms3":
            _output(block, op, "Index", f"boxes_{index}.index")
        _fetch(program, _output(block, op, NMS[op.type], f"boxes_{index}.counts"))
        added += 1
    return added


def _output(block: Any, op: Any, slot: str, name: str) -> str:
    """The op's output of that name, made where it is not there."""
    var = next((var for var in op.outputs if var.parameter == slot), None)
    if var is None:
        var = op.outputs.add(parameter=slot)
    if not var.arguments:
        while variable(block, name) is not None:
            name += "_"
        var.arguments.append(name)
        add_variable(block, name, [-1], schema().VarType.INT32)
    return str(var.arguments[0])


def _fetch(program: Any, name: str) -> None:
    ops = program.blocks[0].ops
    last = max((op for op in ops if op.type == "fetch"), key=lambda op: getattr(attribute(op, "col"), "i", 0))
    new = ops.add()
    new.CopyFrom(last)
    next(var for var in new.inputs if var.parameter == "X").arguments[:] = [name]
    column = attribute(new, "col")
    if column is not None:
        column.i += 1

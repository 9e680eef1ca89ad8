"""One int8 scale for all that a concat, a split or a stack holds together, and for what only moves it.

Drivers copy steps there. MediaTek's and NNAPI's put an op of their own before each part whose scale is another one,
builtin_device copies them as they are, and then they mean something else.
Source: Paddle-Lite v2.13-rc lite/backends/nnadapter/nnadapter/src/driver/mediatek_apu/optimizer/
restrict_input_output_quant_params.cc; opt reads `out_threshold` before the thresholds of single outputs:
lite/core/optimizer/mir/quantization_parameters_propagation_pass.cc.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.graph.edit import Editor, output, set_attr
from edgeflow.graph.output_kinds import MOVES_AXES, SAME_VALUES
from edgeflow.graph.program import attribute, input_of
from edgeflow.graph.quantised import DEQUANTIZE, QUANTIZE

JOINS = ("concat", "split", "stack", "unstack")
MOVES = (*SAME_VALUES, *MOVES_AXES)
RATIO = 4.0
"""A part loses at most two of its eight bits: beyond, it is better rescaled."""


def share_scales(editor: Editor) -> int:
    """Widen the ranges of what is held together to the widest one, in a program that PaddleSlim quantised.

    Joins whose ranges are closest come first; one that would take a part RATIO times as wide as it is keeps its parts'
    own ranges, and drivers that can do so rescale there.

    Returns:
        How many variables have a wider range now.
    """
    made = 0
    for group in _groups(editor):
        widest = max((range_of(editor, name) for name in group), default=0.0)
        for name in group:
            if 0 < range_of(editor, name) < widest:
                _widen(editor, name, widest)
                made += 1
    for op in editor.ops:  # several outputs, and opt would give all of them the range that was written last
        said = [a.f for a in op.attrs if a.name.endswith("_threshold") and a.name[:1].isupper()]
        if len(said) > 1 and attribute(op, "out_threshold") is not None:
            set_attr(op, "out_threshold", max(said))
    return made


def unlike(program: Any) -> tuple[str, ...]:
    """Lines that keep joins off a device that copies steps, where the parts have scales of their own."""
    editor = Editor(program)
    lines = []
    for op in editor.ops:
        if op.type in JOINS and len({round(range_of(editor, name), 7) for name in _together(editor, op)}) > 1:
            lines.append(f"{op.type}::{output(op)}")
    return tuple(lines)


def range_of(editor: Editor, name: str) -> float:
    """The largest absolute value that a variable's scale stands for; 0 where it has none."""
    for op, key in _says(editor, name):
        said = attribute(op, key)
        if said is not None:
            return float(said.f)
    for scale in _read_by(editor, name):
        held = editor.constant(scale)
        if held is not None and held.size:
            return float(held.ravel()[0])
    return 0.0


def _widen(editor: Editor, name: str, largest: float) -> None:
    assert editor.parameters is not None
    for op, key in _says(editor, name):
        if attribute(op, key) is not None:
            set_attr(op, key, largest)
    for scale in _read_by(editor, name):
        held: Array = editor.parameters[scale]
        editor.parameters[scale] = np.full(held.shape, largest, held.dtype)


def _says(editor: Editor, name: str) -> Iterator[tuple[Any, str]]:
    """The op whose attributes give a variable's range, and these; of a quantised layer the layer itself."""
    op = editor.producer(name)
    if op is not None and op.type.startswith(DEQUANTIZE):
        name = input_of(op, "X")
        op = editor.producer(name)
    if op is None or op.type == "feed":
        return
    for var in op.outputs:
        for index, other in enumerate(var.arguments):
            if other == name:
                yield op, f"{var.parameter}{index}_threshold"
    yield op, "out_threshold"


def _read_by(editor: Editor, name: str) -> list[str]:
    """Parameters that hold the range at which layers quantise a variable."""
    return [
        input_of(op, "InScale")
        for op in editor.readers.get(name, ())
        if op.type.startswith(QUANTIZE) and editor.is_parameter(input_of(op, "InScale"))
    ]


def _together(editor: Editor, op: Any) -> list[str]:
    """The float variables that a join or a move reads and writes."""
    names = [n for var in op.inputs if var.parameter == "X" for n in var.arguments if not editor.is_parameter(n)]
    names += [n for var in op.outputs if var.parameter in ("Out", "Y") for n in var.arguments]
    return [n for n in dict.fromkeys(names) if editor.dtype(n) == "float32"]


def _groups(editor: Editor) -> list[set[str]]:
    """Variables that joins, and what only moves values, hold together."""
    at: dict[str, set[str]] = {}

    def joined(names: list[str]) -> set[str]:
        return set().union(*(at.get(name, {name}) for name in names))

    def spread(names: set[str]) -> float:
        ranges = [r for name in names if (r := range_of(editor, name)) > 0]
        return max(ranges) / min(ranges) if ranges else 1.0

    for op in editor.ops:
        if op.type in MOVES:
            together = joined(_together(editor, op))
            at.update(dict.fromkeys(together, together))
    joins = [_together(editor, op) for op in editor.ops if op.type in JOINS]
    for names in sorted(joins, key=lambda names: spread(set(names))):
        if spread(together := joined(names)) <= RATIO:
            at.update(dict.fromkeys(together, together))
    found = {id(group): group for names in joins for group in [at.get(names[0], set())]} if joins else {}
    return [group for group in found.values() if len(group) > 1]

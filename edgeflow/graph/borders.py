"""Why the NPU's part of a network ends where it does: the reason of every op that stays on the CPU, and which change
would join the most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from edgeflow.core.coverage import npu_ops
from edgeflow.core.targets import Target
from edgeflow.graph.edit import Editor, output
from edgeflow.graph.partition import OFFLINE, Predicted, partition
from edgeflow.graph.placement import broken_restriction, decodes, matching, stays_on_cpu
from edgeflow.graph.program import inputs_of
from edgeflow.graph.quantised import layers, without_fakes

INSTEAD = {
    "hard_swish": "relu6 or relu in its place, and train on",
    "hard_sigmoid": "relu6 in its place, and train on",
    "swish": "relu6 or relu in its place, and train on",
    "gelu": "relu in its place, and train on",
    "softmax": "leave it out of the model, where it is last: whoever reads the scores can take it",
    "sigmoid": "leave it out of the model, where it is last: whoever reads the scores can take it",
    "arg_max": "give the scores, and take the best of them on the CPU",
    "nearest_interp_v2": "a transposed convolution in its place",
    "bilinear_interp_v2": "a transposed convolution in its place, or nearest",
}
"""What can be done about an op type that an NPU lacks, in a few words."""


@dataclass(frozen=True, slots=True)
class PlacedOp:
    """One op in the program's order: its NPU piece, counted from 0, or None on the CPU with the reason."""

    op_type: str
    output: str
    piece: int | None
    reason: str = ""
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Join:
    """What would be if ops of one type went to the NPU too, or stayed there: pieces and crossings after, and how."""

    op_type: str
    ops: int
    pieces: int
    crossings: int
    how: str


@dataclass(frozen=True, slots=True)
class Borders:
    """All ops with their places, shares of the NPU from 0 to 1 (None: dims are open), and the best change first."""

    ops: tuple[PlacedOp, ...]
    ops_share: float
    macs_share: float | None
    joins: tuple[Join, ...]


def borders(editor: Editor, target: Target, split: Predicted, asked: Sequence[str]) -> Borders:
    """Explain a predicted split.

    Args:
        editor: of the program that was split, as legality.examine got it.
        asked: lines of keep_on_cpu.
    """
    if layers(editor):
        editor = without_fakes(editor)
    kept = {id(op): line for line in asked for op in matching(editor, line)}
    boxes = decodes(editor, target)
    inside = {name: number for number, piece in enumerate(split.pieces) for name in piece.ops}
    ops = [op for op in editor.ops if op.type not in ("feed", "fetch") and not _is_offline(op)]
    numbers = {id(op): k for k, op in enumerate(ops)}
    made = {name: numbers[id(op)] for op in ops for var in op.outputs for name in var.arguments}
    placed, work = [], {True: 0, False: 0}
    known = True
    for op in ops:
        piece = inside.get(output(op))
        reason = "" if piece is not None else _reason(editor, op, target, kept, id(op) in boxes)
        after = tuple(sorted({made[name] for var in op.inputs for name in var.arguments if name in made}))
        placed.append(PlacedOp(op.type, output(op), piece, reason, after))
        count = _macs(editor, op)
        known &= count is not None
        work[piece is not None] += count or 0
    total = sum(work.values())
    npu = sum(item.piece is not None for item in placed)
    return Borders(
        tuple(placed),
        npu / len(placed) if placed else 0.0,
        work[True] / total if known and total else None,
        _joins(editor, target, split, placed),
    )


def _is_offline(op: Any) -> bool:
    return op.type in OFFLINE and not any(var.arguments for var in op.inputs)


def _reason(editor: Editor, op: Any, target: Target, kept: dict[int, str], decodes_boxes: bool) -> str:
    """Why opt, or the build, leaves an op on the CPU."""
    if id(op) in kept:
        return f"keep_on_cpu asks for it: {kept[id(op)]}"
    if op.type not in (npu_ops(target) or ()):
        return f"the NPU's driver has no {op.type}"
    rule = broken_restriction(editor, op, target)
    if rule is not None:
        return f"the NPU takes it only so: {rule.rule}"
    if decodes_boxes:
        return "it makes boxes for the NMS, in float"
    if stays_on_cpu(editor, op, target):
        return "it counts, copies a weight, or has a size that is known only while it runs"
    return "it stands alone between ops on the CPU"


def _joins(editor: Editor, target: Target, split: Predicted, placed: Sequence[PlacedOp]) -> tuple[Join, ...]:
    """What moving each type of op to the NPU would do to the split, the best first; only what makes it better."""
    found = []
    for kind in dict.fromkeys(item.op_type for item in placed if item.piece is None):
        stay = {item.output for item in placed if item.piece is None and item.op_type != kind}
        after = partition(editor.program, _all_but(stay))
        if (len(after.pieces), after.crossings) < (len(split.pieces), split.crossings):
            count = sum(item.op_type == kind and item.piece is None for item in placed)
            reason = next(item.reason for item in placed if item.op_type == kind and item.piece is None)
            how = "take its line out of keep_on_cpu" if reason.startswith("keep_on_cpu") else INSTEAD.get(kind, "")
            how = how or f"another op in its place, of those that edgeflow targets {target.name} lists"
            found.append(Join(kind, count, len(after.pieces), after.crossings, how))
    return tuple(sorted(found, key=lambda item: (item.pieces, item.crossings, item.op_type)))


def _all_but(stay: Collection[str]) -> Callable[[Any], bool]:
    """An NPU that takes every op but those with these results."""
    return lambda op: output(op) not in stay


def _macs(editor: Editor, op: Any) -> int | None:
    """Multiply-accumulates of one op for one sample; None where its dims are open."""
    weight = {"Filter": "Filter", "Y": "Y"}
    if op.type not in ("conv2d", "depthwise_conv2d", "conv2d_transpose", "mul", "matmul", "matmul_v2"):
        return 0
    key = weight["Filter"] if "conv" in op.type else weight["Y"]
    names = inputs_of(op, key)
    kernel = editor.dims(names[0]) if names else None
    sized = editor.dims(inputs_of(op, "Input")[0] if op.type == "conv2d_transpose" else output(op))
    if not kernel or not sized or any(dim < 1 for dim in (*kernel, *sized[1:])):
        return None
    each = math.prod(kernel[1:]) if "conv" in op.type else kernel[0] if len(kernel) == 2 else kernel[-2]
    return math.prod(sized[1:]) * each

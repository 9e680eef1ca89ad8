"""Ops that the ARM runtime aborts on or computes otherwise become ops that it has right, where they run on the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from edgeflow.core.targets import Target
from edgeflow.graph.edit import Editor, attr_of
from edgeflow.graph.placement import decodes, takes
from edgeflow.graph.respellings import RESPELLINGS
from edgeflow.graph.structure import over_programs
from edgeflow.nb.defects import Defect, defects_of
from edgeflow.nb.triggers import Instance

ROUNDS_MAX = 4
"""A spelling may hold an op that has one in its turn, as maxout's maximum over five dimensions."""


def on_arm(target: Target) -> bool:
    """The target's CPU kernels are the ARM ones."""
    return "arm" in target.lite.valid_targets.split(",")


def instance(editor: Editor, op: Any) -> Instance:
    """One op of a program as the table looks at it; a vector times a weight as the fc that opt makes of it."""
    shapes = {
        var.parameter: tuple(editor.dims(name) or () for name in var.arguments)
        for var in (*op.inputs, *op.outputs)
        if var.arguments and all(editor.dims(name) is not None for name in var.arguments)
    }
    names = {var.parameter: tuple(var.arguments) for var in op.inputs}
    read = frozenset(
        var.parameter if k == 0 else f"{var.parameter}/{k}"
        for var in op.outputs
        for k, name in enumerate(var.arguments)
        if any(not (var.parameter == "Mask" and _from_float(reader)) for reader in editor.readers.get(name, ()))
    )
    kind = op.type
    if kind == "matmul_v2" and len(shapes.get("X", ((0, 0),))[0]) == 1 and len(shapes.get("Y", ((),))[0]) == 2:
        kind, shapes = "fc", {"Input": shapes["X"]}
    return Instance(kind, {attr.name: attr_of(op, attr.name) for attr in op.attrs}, shapes, names, read)


def _from_float(op: Any) -> bool:
    return bool(op.type == "cast" and attr_of(op, "in_dtype") == 5)


def defective(editor: Editor, target: Target, kept: frozenset[int] = frozenset()) -> Iterator[tuple[Any, Defect]]:
    """Ops that would run on the target's ARM kernels, each with the first defect that it shows there.

    Args:
        kept: ids of ops that are told to stay on the CPU.
    """
    if not on_arm(target):
        return
    kept |= decodes(editor, target)
    for op in editor.ops:
        if target.uses_npu and id(op) not in kept and takes(editor, op, target):
            continue
        found = defects_of(instance(editor, op))
        if found:
            yield op, found[0]


@over_programs
def respell(editor: Editor, target: Target) -> dict[str, int]:
    """Replace what can be replaced.

    Returns:
        How often each defect was avoided, such as {"reduce-max-axes": 2}.
    """
    made: Counter[str] = Counter()
    for _ in range(ROUNDS_MAX):
        found = list(defective(editor, target))
        changed = False
        for op, defect in found:
            rule = RESPELLINGS.get(op.type)
            if rule is not None and rule(editor, op):
                made[defect.code] += 1
                changed = True
        if not changed:
            break
    return dict(sorted(made.items()))


def spelling_exists(op: Any) -> bool:
    """An op of this type can be respelled where its shapes are known."""
    return op.type in RESPELLINGS

"""The shape of a respelling, and what several of them need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from edgeflow.graph.edit import Editor, Speller, output
from edgeflow.graph.program import inputs_of

Rule = Callable[[Editor, Any], bool]
"""(editor, op) -> whether the op was replaced; False where its shapes are too open, or no spelling exists."""

Spell = Callable[[Speller, Any, str], "str | None"]


def spelled(spell: Spell) -> Rule:
    """A rule for an op with one result: `spell` gets the name of its first input."""

    def rule(editor: Editor, op: Any) -> bool:
        x = (inputs_of(op, "X") or inputs_of(op, "Input") or [""])[0]
        return editor.replace(op, lambda s: spell(s, op, x))

    return rule


def around(editor: Editor, op: Any, before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Keep an op, changed in place, and put others before and after it."""
    at = next(i for i, other in enumerate(editor.ops) if other is op)
    editor.ops[at : at + 1] = [*before, op, *after]
    editor.touch()
    return True


def replaced(editor: Editor, op: Any, ops: Sequence[Any]) -> bool:
    """Put ops in the place of one; they write its results under their own names."""
    at = next(i for i, other in enumerate(editor.ops) if other is op)
    editor.ops[at : at + 1] = list(ops)
    editor.touch()
    return True


def give(op: Any, parameter: str, name: str, *, of_outputs: bool = False) -> None:
    """Let an op read or write another variable as the first argument of a parameter."""
    for var in op.outputs if of_outputs else op.inputs:
        if var.parameter == parameter and var.arguments:
            var.arguments[0] = name


def product(sizes: Sequence[int]) -> int:
    """Size of merged dimensions; -1 where one is open."""
    return -1 if any(size < 0 for size in sizes) else math.prod(sizes)


def can_reshape(shape: Sequence[int]) -> bool:
    """A reshape can write at most one open dimension."""
    return sum(size < 0 for size in shape) <= 1


def reshape_into(s: Speller, x: str, shape: Sequence[int], name: str) -> None:
    """Reshape `x` into a variable that is there already."""
    shadow = s.editor.fresh("XShape")
    s.editor.declare(shadow, (0, *s.dims(x)))
    s.ops.append(s.write("reshape2", {"X": x}, {"Out": name, "XShape": shadow}, shape=[int(size) for size in shape]))


def result_dims(s: Speller, op: Any) -> tuple[int, ...]:
    """Declared dims of an op's first result."""
    return s.dims(output(op))

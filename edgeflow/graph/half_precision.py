"""What a build in half precision for ARM cannot be judged by, told from its program."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgeflow.core.half_kernels import ACTIVATIONS, UNHELD, past_the_end
from edgeflow.graph.edit import Editor, output
from edgeflow.graph.program import input_of

TAKEN_IN = ("leaky_relu",)
"""Activations that opt puts into a convolution before them, and that no recording holds there."""


def unheld_ops(editor: Editor) -> list[str]:
    """Ops that opt will give float16 kernels whose arithmetic no recorded output holds, each with how many there are.

    The file itself says more: emulate/held.py, when it was made.
    """
    found: Counter[str] = Counter()
    for op in editor.ops:
        if op.type in UNHELD:
            found[op.type] += 1
        elif op.type in TAKEN_IN and _convolution(editor.producer(input_of(op, "X"))):
            found[f"conv2d with {op.type}"] += 1
        elif op.type == "conv2d" and _one_pixel(editor, op):
            found["conv2d of one pixel that reads behind its weights"] += 1
    return [f"{kind} ({count})" for kind, count in sorted(found.items())]


def _convolution(op: Any | None) -> bool:
    return op is not None and op.type in ACTIVATIONS


def _one_pixel(editor: Editor, op: Any) -> bool:
    filters, size = editor.dims(input_of(op, "Filter")), editor.dims(output(op))
    return filters is not None and size is not None and tuple(size[2:]) == (1, 1) and past_the_end(filters)

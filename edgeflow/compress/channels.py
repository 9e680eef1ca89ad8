"""Which convolutions of a program have channels that could go."""

from __future__ import annotations

from pathlib import Path

from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor, output


def prunable(prefix: Path) -> dict[str, int]:
    """Weights of convolutions whose channels may go, with how many they have: not depthwise, and not the output
    itself.
    """
    return {name: dims[0] for name, dims in convolutions(prefix)}


def convolutions(prefix: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Weights of convolutions without groups, with their dims: [out, in, kernel height, kernel width]."""
    block = programs.load(prefix.with_suffix(".pdmodel")).blocks[0]
    found = []
    for op in block.ops:
        if op.type == "conv2d" and (getattr(programs.attribute(op, "groups"), "i", 1) or 1) == 1:
            name = programs.input_of(op, "Filter")
            dims = programs.variable(block, name).type.lod_tensor.tensor.dims  # type: ignore[union-attr]
            found.append((name, tuple(int(dim) for dim in dims)))
    return found


def own_channels(prefix: Path) -> set[str]:
    """Weights of convolutions whose result is an output: their channels are the model's own."""
    editor = Editor(programs.load(prefix.with_suffix(".pdmodel")))
    found: set[str] = set()
    waiting = [name for op in editor.ops if op.type == "fetch" for var in op.inputs for name in var.arguments]
    while waiting:
        op = editor.producer(waiting.pop())
        if op is None or op.type in ("mul", "matmul", "matmul_v2", "feed"):
            continue
        if "conv2d" in op.type:
            found.update(name for var in op.inputs for name in var.arguments if editor.is_parameter(name))
            continue
        waiting += [name for var in op.inputs for name in var.arguments if name != output(op)]
    return found

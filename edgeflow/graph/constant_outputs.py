"""Outputs that are the same for any input, as an SSD's anchors: a weight and a copy of it.

opt computes such ops ahead where an NPU is among its places, and leaves nothing in the file that writes the output.
"""

from __future__ import annotations

from edgeflow.graph.edit import Editor, Speller
from edgeflow.graph.fold import Evaluate, constant_ops, only_these
from edgeflow.graph.program import input_of, inputs_of

DTYPES = ("float32", "int32", "int64", "bool")
MOST_BYTES = 1 << 24
"""Anchors of the largest detectors take 2 MB."""


def store_constant_outputs(editor: Editor, evaluate: Evaluate) -> int:
    """Make every constant output a weight that `assign` copies.

    Returns:
        How many outputs were computed before.
    """
    assert editor.parameters is not None
    copied = _copy_what_is_there(editor)
    asked = {name for op in editor.ops if op.type == "fetch" for name in inputs_of(op, "X")}
    constant = constant_ops(editor)
    found = {
        name: op
        for op in constant
        for var in op.outputs
        for name in var.arguments
        if name in asked and not _is_copy(editor, op)
    }
    if not found:
        return copied
    values = evaluate(only_these(editor, constant), editor.parameters, list(found))
    made = copied
    for name, op in found.items():
        array = values[name].reshape(values[name].shape or (1,))  # Paddle Lite has no 0-D tensors
        if array.dtype.name not in DTYPES or array.nbytes > MOST_BYTES:
            continue
        weight = editor.parameter("output", array)
        copy = Speller(editor).write("assign", {"X": weight}, {"Out": name})
        for var in op.outputs:
            for k, other in enumerate(var.arguments):
                if other == name:
                    var.arguments[k] = spare = editor.fresh("constant")
                    editor.declare(spare, array.shape, array.dtype.name)
        at = next(i for i, other in enumerate(editor.ops) if other is op)
        editor.ops.insert(at + 1, copy)
        editor.declare(name, array.shape, array.dtype.name)
        editor.touch()
        made += 1
    return made


def _copy_what_is_there(editor: Editor) -> int:
    """Weights and inputs that are outputs as they are, as Paddle 1.x fetched them: no op would write these either."""
    made = 0
    for op in [op for op in editor.ops if op.type == "fetch"]:
        name = input_of(op, "X")
        maker = editor.producer(name)
        if not editor.is_parameter(name) and (maker is None or maker.type != "feed"):
            continue
        result = editor.fresh("output")
        editor.declare(result, editor.dims(name) or (), editor.dtype(name))
        for var in op.inputs:
            var.arguments[0] = result
        at = next(i for i, other in enumerate(editor.ops) if other is op)
        editor.ops.insert(at, Speller(editor).write("assign", {"X": name}, {"Out": result}))
        editor.touch()
        made += 1
    return made


def _is_copy(editor: Editor, op: object) -> bool:
    """Already what it should become."""
    return getattr(op, "type", "") == "assign" and editor.is_parameter(input_of(op, "X"))

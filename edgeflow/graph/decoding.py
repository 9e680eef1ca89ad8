"""What turns a network's last layers into boxes for an NMS: few ops, whose values are pixels, and which need precision.

On an NPU a box in int8 lies on a grid of a 127th of the picture, and in half precision beyond 1,024 pixels on one of a
whole pixel; and what comes after an op that only the CPU has, such as yolo_box, would be subgraphs of their own. So
decoding stays on the CPU in float, and all before it can be one subgraph. Scores go their own way, and may stay on the
NPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from edgeflow.core.coverage import QUANTISABLE
from edgeflow.graph.edit import Editor
from edgeflow.graph.output_kinds import MOVES_AXES, NMS, SAME_VALUES, STEPS_MAX
from edgeflow.graph.program import input_of, inputs_of

CONSTANTS = ("fill_constant", "assign_value", "range")
"""They read nothing, and are computed before anything is placed."""


def decoding(editor: Editor, takes: Callable[[Any], bool] = lambda op: True) -> list[Any]:
    """The editor's ops between the last layers and the boxes of an NMS, in its order, and of those that make its
    scores the ones that come after them or after an op that the NPU lacks.

    Args:
        takes: whether the NPU takes an op.
    """
    boxes, scores = ({id(op) for op in _before(editor, slot)} for slot in ("BBoxes", "Scores"))
    leads = _leads_to_layer(editor) if boxes else set()
    found = boxes - leads
    stays: set[int] = {id(op) for op in editor.ops if id(op) in found or (id(op) in scores and not takes(op))}
    for op in editor.ops:  # in order: what an op reads comes before it
        if id(op) in scores - leads and any(id(source) in stays for source in _sources(editor, op)):
            stays.add(id(op))
            found.add(id(op))
    return [op for op in editor.ops if id(op) in found]


def decoding_layers(editor: Editor) -> frozenset[str]:
    """Names of what quantisation would take for layers in there: by its weight, or by its output where it has none."""
    return frozenset(
        next((name for var in op.inputs for name in var.arguments if editor.is_parameter(name)), _out(op))
        for op in decoding(editor)
        if op.type in QUANTISABLE
    )


def _before(editor: Editor, slot: str) -> list[Any]:
    """Every op that an input of an NMS depends on, back to the layers, which are left out."""
    waiting = [name for op in editor.ops if op.type in NMS for name in inputs_of(op, slot)]
    found: dict[int, Any] = {}
    while waiting:
        op = editor.producer(waiting.pop())
        if op is None or id(op) in found or op.type in ("feed", *CONSTANTS) or _ends_layer(editor, op):
            continue
        found[id(op)] = op
        waiting += _read(editor, op)
    return list(found.values())


def _ends_layer(editor: Editor, op: Any) -> bool:
    """An op with weights of its own, or the bias or batch norm behind it that becomes part of it."""
    for _ in range(STEPS_MAX):
        if op is None:
            return False
        if op.type in QUANTISABLE:
            return any(editor.is_parameter(name) for name in _all_read(op)) and not _is_mean(editor, op)
        adds = op.type == "elementwise_add" and _adds_bias(editor, op)
        if op.type != "batch_norm" and not adds:
            return False
        op = next((editor.producer(name) for name in _read(editor, op)), None)
    return False


def _adds_bias(editor: Editor, op: Any) -> bool:
    """One number a channel; a grid of points has more than one axis."""
    shapes = [editor.dims(name) or () for name in _all_read(op) if editor.is_parameter(name)]
    return any(sum(size > 1 for size in shape) <= 1 for shape in shapes)


def _is_mean(editor: Editor, op: Any) -> bool:
    """The mean of a distribution: weights with one column on what a softmax gives.

    Source: X. Li et al., Generalized Focal Loss, NeurIPS 2020, equation 5.
    """
    weights = [name for name in _all_read(op) if editor.is_parameter(name)]
    if not weights or (shape := editor.dims(weights[0])) is None:
        return False
    outer = shape[0] if op.type.endswith("conv2d") else (1 if len(shape) == 1 else min(shape[-1], shape[0]))
    at = next(iter(_read(editor, op)), "")
    for _ in range(STEPS_MAX):
        source = editor.producer(at)
        if source is None or source.type not in (*SAME_VALUES, *MOVES_AXES):
            return bool(outer == 1 and source is not None and source.type == "softmax")
        at = input_of(source, "X")
    return False


def _leads_to_layer(editor: Editor) -> set[int]:
    """Ops that a layer depends on: on the CPU they would cut the network in two."""
    waiting = [op for op in editor.ops if _ends_layer(editor, op)]
    seen: set[int] = set()
    while waiting:
        for source in _sources(editor, waiting.pop()):
            if id(source) not in seen:
                seen.add(id(source))
                waiting.append(source)
    return seen


def _sources(editor: Editor, op: Any) -> Iterable[Any]:
    return [source for name in _read(editor, op) if (source := editor.producer(name)) is not None]


def _read(editor: Editor, op: Any) -> list[str]:
    return [name for name in _all_read(op) if not editor.is_parameter(name)]


def _all_read(op: Any) -> list[str]:
    return [name for var in op.inputs for name in var.arguments]


def _out(op: Any) -> str:
    return next((name for var in op.outputs for name in var.arguments), "")

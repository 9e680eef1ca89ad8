"""Ops that do nothing, or undo each other, go; groups of ops that are one op become it."""

from __future__ import annotations

import math
from typing import Any

from edgeflow.graph.edit import Editor, attr_of, output
from edgeflow.graph.program import input_of, inputs_of, output_of

RESHAPES = ("reshape2", "squeeze2", "unsqueeze2", "flatten_contiguous_range", "flatten2")
TENSOR_INPUTS = (
    "ShapeTensor",
    "Shape",
    "ShapeTensorList",
    "AxesTensor",
    "AxesTensorList",
    "ScaleTensor",
    "expand_shapes_tensor",
    "AxisTensor",
    "OutSize",
    "SizeTensor",
    "StartsTensor",
    "StartsTensorList",
    "EndsTensor",
    "EndsTensorList",
    "RepeatTimes",
    "repeat_times_tensor",
)


def remove_identities(editor: Editor) -> int:
    """Dropout at inference, assign, scale by one, casts and reshapes to what already is."""
    made = 0
    for op in list(editor.ops):
        x = (inputs_of(op, "X") or inputs_of(op, "Input") or [""])[0]
        if not x or not op.outputs or _has_tensor_inputs(op):
            continue
        if op.type == "dropout":
            made += _drop_dropout(editor, op, x)
        elif _does_nothing(editor, op, x):
            made += editor.drop(op, x)
    return made


def _drop_dropout(editor: Editor, op: Any, x: str) -> bool:
    """At inference: the identity, or a factor where training did not scale up (dropout_implementation)."""
    if not attr_of(op, "is_test", False) or editor.readers.get(output_of(op, "Mask")):
        return False
    if attr_of(op, "dropout_implementation", "downgrade_in_infer") == "upscale_in_train":
        return editor.drop(op, x)
    keep = 1.0 - float(attr_of(op, "dropout_prob", 0.5))
    return editor.replace(op, lambda s: s.scale(x, keep))


def _does_nothing(editor: Editor, op: Any, x: str) -> bool:
    if op.type == "assign":
        # A weight or an input that is also an output needs the copy.
        maker = editor.producer(x)
        return not editor.is_fetched(output(op)) or (
            maker is not None and maker.type != "feed" and not editor.is_fetched(x)
        )
    if op.type == "scale":
        return bool(attr_of(op, "scale", 1.0) == 1.0 and attr_of(op, "bias", 0.0) == 0.0)
    if op.type == "cast":
        return editor.dtype(x) == editor.dtype(output(op))
    if op.type == "transpose2":
        axes = attr_of(op, "axis", [])
        return list(axes) == list(range(len(axes)))
    if op.type in (*RESHAPES, "expand_v2"):
        before, after = editor.dims(x), editor.dims(output(op))
        return before is not None and before == after and before.count(-1) <= 1
    return False


def merge_reshapes(editor: Editor) -> int:
    """Two reshapes in a row are the second one; exact wherever the result's dims are known up to one."""
    made = 0
    for op in list(editor.ops):
        if op.type not in RESHAPES or _has_tensor_inputs(op) or not any(op is o for o in editor.ops):
            continue
        before = _alone_before(editor, op, RESHAPES)
        dims = editor.dims(output(op))
        if before is None or dims is None or dims.count(-1) > 1 or 0 in dims or not dims:
            continue
        source = input_of(before, "X")
        made += editor.replace(
            [before, op],
            lambda s, source=source, dims=dims: s.reshape(source, dims),  # type: ignore[misc]
        )
    return made


def merge_transposes(editor: Editor) -> int:
    """Two transposes in a row are one, or none."""
    made = 0
    for op in list(editor.ops):
        if op.type != "transpose2" or not any(op is o for o in editor.ops):
            continue
        before = _alone_before(editor, op, ("transpose2",))
        if before is None:
            continue
        first, second = attr_of(before, "axis", []), attr_of(op, "axis", [])
        source, axes = input_of(before, "X"), [first[a] for a in second]
        if axes == sorted(axes):
            made += editor.replace([before, op], lambda s, source=source: source)  # type: ignore[misc]
        else:
            made += editor.replace(
                [before, op],
                lambda s, source=source, axes=axes: s.transpose(source, axes),  # type: ignore[misc]
            )
    return made


def combine_activations(editor: Editor) -> int:
    """hard_swish, hard_sigmoid and swish, where a model spells them in primitive ops.

    hard_sigmoid(x) = relu6(x + 3) / 6, hard_swish(x) = x * hard_sigmoid(x), swish(x) = x * sigmoid(x).
    """
    made, there = 0, {id(op) for op in editor.ops}
    for op in list(editor.ops):
        if id(op) not in there:
            continue
        combine = {
            "elementwise_mul": _combine_product,
            "scale": _combine_quotient,
            "elementwise_div": _combine_quotient,
        }
        if op.type in combine and combine[op.type](editor, op):
            made += 1
            there = {id(op) for op in editor.ops}
    return made


def _combine_product(editor: Editor, op: Any) -> bool:
    x, y = input_of(op, "X"), input_of(op, "Y")
    for data, gate in ((x, y), (y, x)):
        maker = editor.producer(gate)
        if maker is None or editor.sole_reader(gate) is not op or editor.dims(data) != editor.dims(gate):
            continue
        if maker.type == "sigmoid" and inputs_of(maker, "X") == [data]:
            return editor.replace(
                [maker, op],
                lambda s, data=data: s.unary("swish", data, beta=1.0),  # type: ignore[misc]
            )
        if (
            maker.type == "hard_sigmoid"
            and inputs_of(maker, "X") == [data]
            and math.isclose(attr_of(maker, "slope", 0.2), 1 / 6, rel_tol=1e-6)
            and attr_of(maker, "offset", 0.5) == 0.5
        ):
            return editor.replace([maker, op], lambda s, data=data: _hard_swish(s, data))  # type: ignore[misc]
        shifted = _shifted_relu6(editor, gate)
        if shifted is None or shifted[0] != data:
            continue
        after = editor.sole_reader(output(op))
        if after is not None and not editor.is_fetched(output(op)) and _divides_by_six(editor, after, output(op)):
            return editor.replace(
                [*shifted[1], op, after],
                lambda s, data=data: _hard_swish(s, data),  # type: ignore[misc]
            )
    return False


def _combine_quotient(editor: Editor, op: Any) -> bool:
    x = input_of(op, "X")
    if not _divides_by_six(editor, op, x):
        return False
    shifted = _shifted_relu6(editor, x)
    if shifted is None:
        return False
    source, ops = shifted
    return editor.replace([*ops, op], lambda s: s.unary("hard_sigmoid", source, slope=1 / 6, offset=0.5))


def _hard_swish(s: Any, x: str) -> str:
    return str(s.unary("hard_swish", x, threshold=6.0, scale=6.0, offset=3.0))


def _shifted_relu6(editor: Editor, name: str) -> tuple[str, list[Any]] | None:
    """relu6(x + 3), read once: x and the two ops."""
    act = editor.producer(name)
    if (
        act is None
        or len(editor.readers.get(name, [])) != 1
        or editor.is_fetched(name)
        or not (
            act.type == "relu6"
            or (
                act.type in ("clip", "brelu")
                and not _has_tensor_inputs(act)
                and attr_of(act, "min", attr_of(act, "t_min")) == 0.0
                and attr_of(act, "max", attr_of(act, "t_max")) == 6.0
            )
        )
    ):
        return None
    shift = _alone_before(editor, act, ("scale",))
    if shift is None or attr_of(shift, "scale", 1.0) != 1.0 or attr_of(shift, "bias", 0.0) != 3.0:
        return None
    return input_of(shift, "X"), [shift, act]


def _divides_by_six(editor: Editor, op: Any, x: str) -> bool:
    if op.type == "scale":
        return bool(attr_of(op, "bias", 0.0) == 0.0 and math.isclose(attr_of(op, "scale", 1.0), 1 / 6, rel_tol=1e-6))
    if op.type != "elementwise_div" or inputs_of(op, "X") != [x]:
        return False
    divisor = editor.constant(input_of(op, "Y"))
    maker = editor.producer(input_of(op, "Y"))
    if divisor is None and maker is not None and maker.type == "fill_constant":
        return bool(attr_of(maker, "value", 0.0) == 6.0 and editor.dims(output(maker)) in ((1,), ()))
    return divisor is not None and divisor.size == 1 and float(divisor.ravel()[0]) == 6.0


def _alone_before(editor: Editor, op: Any, types: tuple[str, ...]) -> Any | None:
    """The op of one of these types that makes the input of `op`, and makes it for `op` alone."""
    x = input_of(op, "X")
    before = editor.producer(x)
    if (
        before is None
        or before.type not in types
        or _has_tensor_inputs(before)
        or editor.sole_reader(x) is not op
        or editor.is_fetched(x)
    ):
        return None
    return before


def _has_tensor_inputs(op: Any) -> bool:
    return any(var.arguments and var.parameter in (*TENSOR_INPUTS, "Min", "Max") for var in op.inputs)

"""A program that PaddleSlim quantised after training (onnx_format=False): its layers, and each of them back in float.

fake_quantize(X) -> op on whole numbers -> fake_dequantize: the activation's range lies beside fake_quantize, the
weights' in the dequantising op, and the weights are stored as whole numbers.
Source: PaddlePaddle 2.6.2 paddle/static/quantization/quantization_pass.py QuantizationFreezePass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeflow.core.coverage import QUANTISABLE
from edgeflow.core.samples import Array
from edgeflow.graph.edit import Editor, attr_of, output, set_attr, transposes_y
from edgeflow.graph.output_kinds import is_identity
from edgeflow.graph.program import input_of

QUANTIZE = "fake_quantize"
DEQUANTIZE = ("fake_dequantize", "fake_channel_wise_dequantize")
MARKS = ("quantization_type", "with_quant_attr", "bit_length", "activation_bits", "weight_bits")
CHANNEL_SCALE = "channel_scale_"
ROLE = "op_role"


@dataclass(frozen=True, slots=True)
class QuantisedLayer:
    """An op computed in int8. `name` is its weight, or its output where it multiplies two activations."""

    name: str
    op_type: str
    output: str


def layers(editor: Editor) -> tuple[QuantisedLayer, ...]:
    """The quantised ops of a program, in its order."""
    return tuple(
        QuantisedLayer(_name(editor, op), op.type, output(op))
        for op in editor.ops
        if _dequantizer(editor, op) is not None
    )


def is_fake(op_type: str) -> bool:
    """The op only says how the ones beside it are quantised; opt takes it in."""
    return op_type.startswith((QUANTIZE, *DEQUANTIZE))


def without_fakes(editor: Editor) -> Editor:
    """The program as ops are placed: its layers, and nothing of how they are quantised. The given one stays."""
    found = Editor(type(editor.program).FromString(editor.program.SerializeToString()), editor.parameters)
    for op in [op for op in found.ops if op.type.startswith(DEQUANTIZE)]:
        found.rename_reads(output(op), input_of(op, "X"))
    for op in [op for op in found.ops if op.type.startswith(QUANTIZE)]:
        found.rename_reads(output(op), input_of(op, "X"))
    found.ops = [op for op in found.ops if not is_fake(op.type)]
    found.touch()
    block = found.program.blocks[0]
    del block.ops[:]
    block.ops.extend(found.ops)
    return found


def give_roles(program: Any) -> int:
    """Say of every op that it belongs to the forward pass, which quantisation asks of each and Paddle 2 writes; a
    program that was translated from elsewhere lacks the words.

    Source: PaddlePaddle 2.6.2 paddle/static/quantization/quantization_pass.py, `op_node.op().attr("op_role")`.

    Returns:
        How many ops were told.
    """
    made = 0
    for op in (op for block in program.blocks for op in block.ops):
        if not any(attr.name == ROLE for attr in op.attrs):
            for name, given in {ROLE: 0, "op_namescope": "/", "op_device": ""}.items():
                set_attr(op, name, given)
            made += 1
    return made


def own_weights(editor: Editor) -> int:
    """Give a weight that a quantisable op and another one read to each of them: quantisation stores it as integers.

    The layer keeps the name, which a recipe may hold, unless the weight itself is an output of the model.

    Returns:
        How many copies were made.
    """
    made = 0
    for name in [name for name in editor.readers if editor.constant(name) is not None]:
        groups: dict[Any, list[Any]] = {}
        for op in editor.readers[name]:
            groups.setdefault(_use(op, name), []).append(op)
        kept = "fetch" if "fetch" in groups else next((use for use in groups if use is not None), None)
        if kept is None or len(groups) == 1:
            continue
        array = editor.constant(name)
        assert array is not None
        for ops in (ops for use, ops in groups.items() if use != kept):
            copy = editor.parameter("weight", array.copy())
            for var in (var for op in ops for var in op.inputs):
                for k, other in enumerate(var.arguments):
                    if other == name:
                        var.arguments[k] = copy
            made += 1
    if made:
        editor.touch()
    return made


def _use(op: Any, name: str) -> Any:
    """How an op reads a weight, where it may be quantised or must keep its name; None where it is a tensor like any."""
    if op.type == "fetch":
        return "fetch"
    if op.type not in QUANTISABLE:
        return None
    parameter = next(var.parameter for var in op.inputs if name in var.arguments)
    return (op.type, parameter, transposes_y(op)) if parameter in ("Filter", "Y", "X") else None


def float_weights(editor: Editor) -> dict[str, Array]:
    """Weights of quantised layers as the numbers that their whole ones stand for.

    Source: PaddlePaddle 2.6.2 fake_dequantize_op.cc: out = x * scale / max_range, and of channels
    x * scale_w / 127 * scale_x / 127.
    """
    found: dict[str, Array] = {}
    for op in editor.ops:
        after = _dequantizer(editor, op)
        whole = editor.constant(_name(editor, op)) if after is not None else None
        if after is None or whole is None:
            continue
        if after.type.startswith("fake_channel_wise"):
            scales = editor.constant(input_of(after, "Scales"))
            axis = int(attr_of(after, "quant_axis", 0))
            steps = np.float32(127) if scales is None else np.asarray(scales, np.float32) / np.float32(127)
            shape = [-1 if k == axis else 1 for k in range(whole.ndim)]
            found[_name(editor, op)] = (whole * np.reshape(steps, shape)).astype(np.float32)
        else:
            found[_name(editor, op)] = (whole * np.float32(127 / float(attr_of(after, "max_range", 127.0)))).astype(
                np.float32
            )
    return found


def is_per_channel(editor: Editor) -> bool:
    """Some layer's weights have a scale for each channel."""
    return any(op.type.startswith("fake_channel_wise_dequantize") for op in editor.ops)


def keep_float(editor: Editor, source: Mapping[str, Array], names: Collection[str]) -> int:
    """Put layers back in float, weights included.

    Args:
        source: the float weights, by the same names.

    Returns:
        How many layers changed.
    """
    assert editor.parameters is not None
    renamed: dict[str, str] = {}
    gone: set[int] = set()
    made = 0
    for op in editor.ops:
        after = _dequantizer(editor, op)
        if after is None or _name(editor, op) not in names:
            continue
        for var in op.inputs:
            for k, name in enumerate(var.arguments):
                before = editor.producer(name)
                if before is not None and before.type.startswith(QUANTIZE):
                    var.arguments[k] = input_of(before, "X")
                elif name in source and editor.is_parameter(name):
                    editor.parameters[name] = source[name]
        for index in reversed(range(len(op.attrs))):
            if op.attrs[index].name in MARKS:
                del op.attrs[index]
        renamed[output(after)] = output(op)
        gone.add(id(after))
        made += 1
    editor.ops = [op for op in editor.ops if id(op) not in gone]
    for op in editor.ops:
        for var in op.inputs:
            for k, name in enumerate(var.arguments):
                if name in renamed:
                    var.arguments[k] = renamed[name]
    editor.touch()
    unread = {id(op) for op in editor.ops if op.type.startswith(QUANTIZE) and not editor.readers.get(output(op))}
    if unread:
        editor.ops = [op for op in editor.ops if id(op) not in unread]
        editor.touch()
    return made


def canonical_names(editor: Editor) -> int:
    """Number the scales of channels by the op they belong to: PaddleSlim's numbering changes from run to run.

    Returns:
        How many were renamed.
    """
    assert editor.parameters is not None
    found = dict.fromkeys(
        name for op in editor.ops for var in op.inputs for name in var.arguments if name.startswith(CHANNEL_SCALE)
    )
    names = {old: f"edgeflow_{CHANNEL_SCALE}{k}" for k, old in enumerate(found)}
    for op in editor.ops:
        for var in (*op.inputs, *op.outputs):
            for k, name in enumerate(var.arguments):
                if name in names:
                    var.arguments[k] = names[name]
    for old, new in names.items():
        variable = editor.variables.pop(old)
        variable.name = new
        editor.variables[new] = variable
        if old in editor.parameters:
            editor.parameters[new] = editor.parameters.pop(old)
    editor.variables = dict(sorted(editor.variables.items()))
    editor.touch()
    return len(names)


def names_in_opt(editor: Editor) -> dict[str, str]:
    """What opt calls the results of quantised layers, by their own names: each takes that of the op behind it. So does
    what stands before the identity that PaddleSlim puts in front of each output.

    Source: observed on paddlelite 2.13rc0; its partition and mixed-precision settings are read after that.
    """
    last = {
        input_of(op, "X"): output(op)
        for op in editor.ops
        if op.type == "scale"
        and is_identity(op)
        and editor.is_fetched(output(op))
        and len(editor.readers.get(input_of(op, "X"), ())) == 1
    }
    found = {output(op): _dequantizer(editor, op) for op in editor.ops}
    behind = {name: output(after) for name, after in found.items() if after is not None}
    return {**last, **{name: last.get(after, after) for name, after in behind.items()}}


def activation_scales(editor: Editor) -> dict[str, str]:
    """The parameter that holds the range of each layer's input, by the layer's name."""
    return {name: input_of(before, "InScale") for name, before in _quantizers(editor)}


def quantised_inputs(editor: Editor) -> dict[str, str]:
    """The float variable that each layer quantises, by the layer's name."""
    return {name: input_of(before, "X") for name, before in _quantizers(editor)}


def _quantizers(editor: Editor) -> Iterator[tuple[str, Any]]:
    for op in editor.ops:
        if _dequantizer(editor, op) is not None:
            for name in (name for var in op.inputs for name in var.arguments):
                before = editor.producer(name)
                if before is not None and before.type.startswith(QUANTIZE):
                    yield _name(editor, op), before


def _dequantizer(editor: Editor, op: Any) -> Any | None:
    """The op that turns a quantised op's whole numbers back; None for ops that are not quantised."""
    if op.type.startswith((QUANTIZE, *DEQUANTIZE)) or not op.outputs:
        return None
    return next((reader for reader in editor.readers.get(output(op), ()) if reader.type.startswith(DEQUANTIZE)), None)


def _name(editor: Editor, op: Any) -> str:
    return next((name for var in op.inputs for name in var.arguments if editor.is_parameter(name)), output(op))

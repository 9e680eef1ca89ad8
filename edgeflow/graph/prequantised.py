"""Programs that PaddleSlim quantised before they came here: each of its spellings becomes that of graph/quantised.py.

Scales and whole-number weights are kept.

`onnx_format=True`: quantize_linear and dequantize_linear around every tensor, weights stored as int8.
Quantisation-aware training: fake_quantize_dequantize ops in front of a layer, weights in float.
Source: PaddlePaddle 2.6.2 python/paddle/static/quantization/quantization_pass.py and
python/paddle/static/quantization/quanter.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeflow.core.coverage import QUANTISABLE
from edgeflow.core.samples import Array
from edgeflow.graph.edit import Editor, Speller, attr_of, output, set_attr
from edgeflow.graph.program import input_of, inputs_of, outputs_of
from edgeflow.graph.quantised import is_fake

STEPS = 127
"""Of 8 bits, symmetric: -127 .. 127."""

PAIRS = ("fake_quantize_dequantize_moving_average_abs_max", "fake_quantize_dequantize_abs_max")
WEIGHT_PAIRS = ("fake_channel_wise_quantize_dequantize_abs_max", "fake_quantize_dequantize_abs_max")
LINEAR = ("quantize_linear", "dequantize_linear")


@dataclass(frozen=True, slots=True)
class _Weight:
    """Whole numbers in float32, the largest magnitude that each channel had, and the channels' axis; -1 for one of
    all.
    """

    name: str
    steps: Array
    largest: Array
    axis: int


def one_spelling(editor: Editor) -> int:
    """Rewrite what PaddleSlim quantised in other spellings; a program that was not quantised stays as it is.

    Returns:
        How many layers stay int8 with their own scales.
    """
    if not any(op.type in LINEAR or op.type in (*PAIRS, *WEIGHT_PAIRS) for op in editor.ops):
        return 0
    weights = _weights(editor)
    ranges = _ranges(editor)
    made = 0
    for op in list(editor.ops):
        if op.type not in QUANTISABLE:
            continue
        data, stored = _operands(op)
        if data in ranges and stored in weights:
            raw, result = output(op), _quantise(editor, op, *ranges[data], weights[stored])
            ranges = {k: (result if source == raw else source, scale) for k, (source, scale) in ranges.items()}
            made += 1
    _open(editor, weights, ranges)
    return made


def flat_biases(editor: Editor) -> int:
    """The bias behind a quantised convolution, [1, C, 1, 1], as one dimension at axis 1, which opt fuses."""
    made = 0
    for op in [op for op in editor.ops if op.type == "elementwise_add"]:
        before = editor.producer(input_of(op, "X"))
        name = input_of(op, "Y")
        bias = editor.constant(name)
        if before is None or bias is None or not before.type.startswith(("fake_dequantize", "fake_channel_wise_deq")):
            continue
        if bias.shape not in ((1, bias.size, 1, 1), (bias.size, 1, 1)):
            continue
        flat = editor.parameter("bias", bias.reshape(-1))
        for var in op.inputs:
            if var.parameter == "Y":
                var.arguments[0] = flat
        set_attr(op, "axis", 1)
        made += 1
    if made:
        editor.touch()
    return made


def _operands(op: Any) -> tuple[str, str]:
    """The data and the weight of a quantisable op."""
    if inputs_of(op, "Filter"):
        return input_of(op, "Input"), input_of(op, "Filter")
    return input_of(op, "X"), input_of(op, "Y")


def _weights(editor: Editor) -> dict[str, _Weight]:
    """Quantised weights by the variable that layers read."""
    found: dict[str, _Weight] = {}
    for op in editor.ops:
        name = input_of(op, "X")
        held = editor.constant(name)
        if held is None:
            continue
        if op.type == "dequantize_linear":
            largest = editor.constant(input_of(op, "Scale"))
            if largest is not None:
                found[output(op)] = _Weight(name, held.astype(np.float32), largest.reshape(-1), _axis(op, largest))
        elif op.type in WEIGHT_PAIRS:
            whole = op.type == "fake_quantize_dequantize_abs_max"
            axis = -1 if whole else int(attr_of(op, "quant_axis", 0))
            others = tuple(k for k in range(held.ndim) if k != axis)
            # Paddle measures them anew at every run, so what was saved beside them does not count.
            largest = np.abs(held).max(axis=others).reshape(-1).astype(np.float32)
            spread = _along(np.maximum(largest, np.float32(1e-8)), axis, held.ndim)
            steps = np.abs(held / spread * STEPS) + 0.5
            found[output(op)] = _Weight(name, np.copysign(np.floor(steps), held).astype(np.float32), largest, axis)
    return found


def _axis(op: Any, largest: Array) -> int:
    return -1 if largest.size == 1 else int(attr_of(op, "quant_axis", 0))


def _ranges(editor: Editor) -> dict[str, tuple[str, str]]:
    """(source, its scale) by the variable that holds the source rounded."""
    found: dict[str, tuple[str, str]] = {}
    for op in editor.ops:
        name = input_of(op, "X")
        if op.type in PAIRS and editor.constant(name) is None:
            scale = (inputs_of(op, "InScale") or outputs_of(op, "OutScale") or [""])[0]
            found[output(op)] = (name, scale)
        elif op.type == "dequantize_linear":
            before = editor.producer(name)
            if before is not None and before.type == "quantize_linear":
                found[output(op)] = (input_of(before, "X"), input_of(before, "Scale"))
    return {name: pair for name, pair in found.items() if _one(editor, pair[1]) is not None}


def _one(editor: Editor, name: str) -> float | None:
    """A scale of one number."""
    scale = editor.constant(name)
    return float(scale.reshape(-1)[0]) if scale is not None and scale.size == 1 else None


def _quantise(editor: Editor, op: Any, source: str, scale: str, weight: _Weight) -> str:
    """Put fake ops around a layer; returns the name that its readers read now."""
    assert editor.parameters is not None
    speller = Speller(editor)
    raw, rounded, result = output(op), editor.fresh("quantised"), editor.fresh("dequantised")
    for name, like in ((rounded, source), (result, raw)):
        editor.declare(name, editor.dims(like) or ())
    editor.rename_reads(raw, result)
    editor.parameters[scale] = editor.parameters[scale].reshape(1)
    editor.declare(scale, (1,), persistable=True)
    editor.parameters[weight.name] = weight.steps
    editor.declare(weight.name, weight.steps.shape, persistable=True)
    before = speller.write(
        "fake_quantize_range_abs_max",
        {"X": source, "InScale": scale},
        {"Out": rounded, "OutScale": scale},
        bit_length=8,
        is_test=True,
        round_type=1,
        window_size=10000,
    )
    if weight.axis < 0:
        after = speller.write(
            "fake_dequantize_max_abs",
            {"X": raw, "Scale": scale},
            {"Out": result},
            max_range=float(STEPS * STEPS / float(weight.largest[0] or 1e-8)),
        )
    else:
        wide = editor.parameter("channel_scale", weight.largest.astype(np.float32))
        flat = op.type in ("mul", "matmul", "matmul_v2")
        after = speller.write(
            "fake_channel_wise_dequantize_max_abs",
            {"X": raw, "Scales": [wide, scale]},
            {"Out": result},
            quant_bits=[8, 8],
            quant_axis=weight.axis,
            x_num_col_dims=max(len(editor.dims(raw) or ()) - 1, 1) if flat else 1,
        )
    data, stored = _operands(op)
    for var in op.inputs:
        for k, name in enumerate(var.arguments):
            var.arguments[k] = rounded if name == data else weight.name if name == stored else name
    set_attr(op, "quantization_type", "post_hist")
    set_attr(op, "with_quant_attr", True)
    at = next(i for i, other in enumerate(editor.ops) if other is op)
    editor.ops[at : at + 1] = [before, op, after]
    editor.touch()
    return result


def _open(editor: Editor, weights: dict[str, _Weight], ranges: dict[str, tuple[str, str]]) -> None:
    """Let what is no quantised layer read the tensors as they are; their ranges go to the ops that made them."""
    assert editor.parameters is not None
    for rounded, (source, scale) in ranges.items():
        maker, name, size = editor.producer(source), source, _one(editor, scale)
        if maker is not None and is_fake(maker.type):  # the layer in front of it
            name = input_of(maker, "X")
            maker = editor.producer(name)
        if (
            maker is not None
            and size is not None
            and maker.type != "feed"
            and not is_fake(maker.type)
            and maker.type not in LINEAR
        ):
            set_attr(maker, "out_threshold", size)
            set_attr(maker, f"{_parameter(maker, name)}0_threshold", size)
            set_attr(maker, "with_quant_attr", True)
        editor.rename_reads(rounded, source)
    editor.touch()
    for name, weight in weights.items():
        if editor.readers.get(name):  # in a layer that stays float
            steps = weight.steps * _along(weight.largest, weight.axis, weight.steps.ndim) / np.float32(STEPS)
            editor.rename_reads(name, editor.parameter("weight", steps.astype(np.float32)))
    gone = {id(op) for op in editor.ops if output(op) in weights or output(op) in ranges}
    editor.ops = [op for op in editor.ops if id(op) not in gone]
    editor.touch()
    editor.sweep()


def _parameter(op: Any, name: str) -> str:
    return next(str(var.parameter) for var in op.outputs if name in var.arguments)


def _along(scales: Array, axis: int, rank: int) -> Array:
    if scales.size == 1 or axis < 0:
        return scales.reshape((1,) * rank) if scales.size == 1 else scales
    shape = [1] * rank
    shape[axis] = math.prod(scales.shape)
    return scales.reshape(shape)

"""Constants beside a tensor, as int8 drivers of NPUs take them.

opt leaves such a constant in float, and NNAdapter gives a result the precision of its first operand: a constant that
comes first makes a float of an int8 result, at which the next op aborts. As the factor or the shift of a `scale` a
number is quantised by the runtime itself.
Source: Paddle-Lite v2.13-rc lite/backends/nnadapter/nnadapter/src/operation/elementwise.cc (PrepareElementwise) and
lite/kernels/nnadapter/converter/scale.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeflow.graph.edit import Editor, Speller, attr_of, output
from edgeflow.graph.program import attribute, input_of, schema

LAYERS = ("conv2d", "depthwise_conv2d", "conv2d_transpose", "depthwise_conv2d_transpose", "mul", "matmul", "matmul_v2")
"""Ops that a constant sum behind them is joined to, as their bias."""

COMMUTATIVE = ("elementwise_add", "elementwise_mul", "elementwise_max", "elementwise_min")


def place_constants(editor: Editor) -> int:
    """Spell products and sums with a single number as `scale`, and put other constants second, in place.

    Returns:
        How many ops changed.
    """
    made = 0
    for op in [op for op in editor.ops if op.type in COMMUTATIVE]:
        x, y = input_of(op, "X"), input_of(op, "Y")
        first = editor.constant(x) is not None
        tensor, held = (y, editor.constant(x)) if first else (x, editor.constant(y))
        if held is None or editor.constant(tensor) is not None or editor.dims(tensor) != editor.dims(output(op)):
            continue
        if held.size == 1 and held.dtype == "float32" and _as_scale(editor, op, tensor, float(held.ravel()[0])):
            made += 1
        elif first and held.ndim <= len(editor.dims(tensor) or ()) and attr_of(op, "axis", -1) == -1:
            for var in op.inputs:
                if var.parameter in ("X", "Y") and var.arguments:
                    var.arguments[0] = tensor if var.parameter == "X" else x
            editor.touch()
            made += 1
    return made


def _as_scale(editor: Editor, op: Any, x: str, number: float) -> bool:
    product = op.type == "elementwise_mul"
    if op.type not in ("elementwise_mul", "elementwise_add") or (product and number == 0):
        return False
    before = editor.producer(x)
    if not product and before is not None and before.type in LAYERS:
        return False

    def spell(s: Speller) -> str:
        factor, shift = (number, 0.0) if product else (1.0, number)
        return s.add("scale", {"X": x}, scale=factor, bias=shift, bias_after_scale=True)

    return editor.replace(op, spell)


def padded_rows(editor: Editor) -> int:
    """Embeddings whose padding stands in the weights, as a row of zeros, and no longer in an attribute.

    NPUs gather rows and know of no padding. The ids are whole numbers of any size, but only the one row is meant.
    Source: Paddle-Lite v2.13-rc lite/kernels/nnadapter/converter/lookup_table_v2.cc, which takes padding_idx -1 and 0
    and emits a plain gather for both.
    """
    made = 0
    for op in [op for op in editor.ops if op.type in ("lookup_table", "lookup_table_v2")]:
        row, name = int(attr_of(op, "padding_idx", -1)), input_of(op, "W")
        weight = editor.constant(name)
        if weight is None or weight.ndim != 2 or not 0 <= row < len(weight):
            continue
        if np.any(weight[row]):
            zeroed = weight.copy()
            zeroed[row] = 0
            held = editor.parameter("embedding_padded", zeroed)  # the old one may serve elsewhere as it is
            for var in op.inputs:
                if var.parameter == "W":
                    var.arguments[0] = held
        attr = attribute(op, "padding_idx")
        setattr(attr, "l" if attr is not None and attr.type == schema().LONG else "i", -1)
        editor.touch()
        made += 1
    return made

"""Large channels of a linear layer's input, made smaller at the cost of its weights: the same function, finer in int8.

Eight bits of a whole tensor are spread over its largest channel. Dividing each channel by a factor of its own and
multiplying the weights' row by it changes no number but rounding. The factors go into the layer_norm that makes the
input where nothing else reads it, or into a multiplication before the layer.

Source: G. Xiao et al., SmoothQuant, arXiv:2211.10438, equations 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.graph.edit import Editor, Speller, attr_of, transposes_y
from edgeflow.graph.program import input_of, inputs_of

PRODUCTS = ("matmul_v2", "matmul", "mul")


@dataclass(frozen=True, slots=True)
class Branch:
    """Linear layers that read one tensor: its name, and the names of their weights. `norm`: a layer_norm makes it for
    them alone.
    """

    source: str
    weights: tuple[str, ...]
    norm: bool


def branches(editor: Editor) -> tuple[Branch, ...]:
    """The inputs of linear layers that may be scaled, in the program's order."""
    found: dict[str, list[Any]] = {}
    for op in editor.ops:
        if op.type in PRODUCTS and _is_linear(editor, op):
            found.setdefault(input_of(op, "X"), []).append(op)
    made = []
    for source, ops in found.items():
        names = tuple(input_of(op, "Y") for op in ops)
        if len(set(names)) == len(names) and all(len(editor.readers[name]) == 1 for name in names):
            alone = len(editor.readers[source]) == len(ops) and not editor.is_fetched(source)
            made.append(Branch(source, names, alone and _takes_factors(editor, source)))
    return tuple(made)


def rows_first(editor: Editor, branch: Branch) -> dict[str, Array]:
    """Weights of a branch by name, a row for each channel of the input."""
    found = {}
    for name in branch.weights:
        weight = editor.constant(name)
        assert weight is not None
        found[name] = weight.T if transposes_y(editor.readers[name][0]) else weight
    return found


def smooth(editor: Editor, branch: Branch, factors: Array) -> None:
    """Divide the branch's input by `factors` float64[channels], and multiply its layers' weights by them."""
    assert editor.parameters is not None
    readers = [editor.readers[name][0] for name in branch.weights]
    for name, op in zip(branch.weights, readers, strict=True):
        weight = editor.parameters[name].astype(np.float64)
        scaled = weight * (factors if transposes_y(op) else factors[:, None])
        editor.parameters[name] = scaled.astype(np.float32)
    if branch.norm:
        norm = editor.producer(branch.source)
        assert norm is not None
        for var in [var for var in norm.inputs if var.parameter in ("Scale", "Bias")]:
            held = editor.parameters[var.arguments[0]] / factors
            var.arguments[0] = editor.parameter("smoothed", held.astype(np.float32))
    else:
        speller = Speller(editor)
        by = editor.parameter("smoothing", (1.0 / factors).astype(np.float32))
        scaled_name = speller.binary("mul", branch.source, by)
        for op in readers:
            for var in op.inputs:
                if var.parameter == "X":
                    var.arguments[0] = scaled_name
        at = min(i for i, op in enumerate(editor.ops) if any(op is reader for reader in readers))
        editor.ops[at:at] = speller.ops
    editor.touch()


def _takes_factors(editor: Editor, name: str) -> bool:
    """A layer_norm over the last axis alone makes a tensor, with a factor and a shift for each channel."""
    norm = editor.producer(name)
    if norm is None or norm.type != "layer_norm":
        return False
    channels = (editor.dims(name) or (0,))[-1]
    held = [editor.constant((inputs_of(norm, key) or [""])[0]) for key in ("Scale", "Bias")]
    return all(array is not None and array.size == channels for array in held)


def _is_linear(editor: Editor, op: Any) -> bool:
    """A matrix product with a weight of two dimensions over the last one of its input."""
    x, weight = editor.dims(input_of(op, "X")) or (), editor.constant(input_of(op, "Y"))
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32 or len(x) < 2:
        return False
    if editor.is_parameter(input_of(op, "X")) or attr_of(op, "trans_x", attr_of(op, "transpose_X", False)):
        return False
    flat = op.type != "mul" or (attr_of(op, "x_num_col_dims", 1), attr_of(op, "y_num_col_dims", 1)) == (len(x) - 1, 1)
    return flat and x[-1] == weight.shape[1 if transposes_y(op) else 0]


def has_norm(editor: Editor) -> bool:
    """Some layer_norm has factors to take others in: a network of this kind is where channels grow large."""
    return any(op.type == "layer_norm" and inputs_of(op, "Scale") and inputs_of(op, "Bias") for op in editor.ops)

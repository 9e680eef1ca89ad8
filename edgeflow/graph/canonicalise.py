"""Rewrites after which opt can fuse; each keeps every number (tests run both programs and compare)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgeflow.core.samples import Array
from edgeflow.graph.constant_outputs import store_constant_outputs
from edgeflow.graph.decompose import decompose
from edgeflow.graph.edit import Editor
from edgeflow.graph.fold import (
    Evaluate,
    add_affine,
    fold_batch_norm,
    fold_constants,
    fold_conv_bias,
    fold_counts,
    fold_scales,
)
from edgeflow.graph.prequantised import flat_biases, one_spelling
from edgeflow.graph.row_constants import fold_rows
from edgeflow.graph.simplify import combine_activations, merge_reshapes, merge_transposes, remove_identities
from edgeflow.graph.structure import over_programs

REWRITES = {
    "identity": remove_identities,
    "reshapes": merge_reshapes,
    "transposes": merge_transposes,
    "conv_bias": fold_conv_bias,
    "batch_norm": fold_batch_norm,
    "scale": fold_scales,
    "activation": combine_activations,
}
"""In this order, again and again until none finds anything."""

ROUNDS_MAX = 20


@over_programs
def canonicalise(program: Any, parameters: dict[str, Array], evaluate: Evaluate) -> dict[str, int]:
    """Rewrite a program and its weights in place.

    Args:
        evaluate: runs a program of constants; see graph/fold.py.

    Returns:
        How often each rewrite was made, such as {"conv_bias": 2}.
    """
    editor = Editor(program, parameters)
    made: Counter[str] = Counter()
    made["kept int8"] = one_spelling(editor)
    made.update(decompose(editor))
    made["affine"] = add_affine(editor)
    made["count"] = fold_counts(editor)
    made["constant"] += fold_constants(editor, evaluate)
    made["row"] = fold_rows(editor)
    for _ in range(ROUNDS_MAX):
        found = {name: rewrite(editor) for name, rewrite in REWRITES.items()}
        made.update(found)
        if not any(found.values()):
            break
    made["constant_output"] = store_constant_outputs(editor, evaluate)
    made["constant"] += fold_constants(editor, evaluate)
    made["conv_bias"] += flat_biases(editor)
    editor.sweep()
    editor.commit()
    return {name: count for name, count in sorted(made.items()) if count}

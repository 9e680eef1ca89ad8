"""Embeddings that a program's inputs choose rows of, so that ids can be held to their sizes."""

from __future__ import annotations

from edgeflow.graph.edit import Editor

LOOKUPS = ("lookup_table", "lookup_table_v2", "embedding")
PASSING = (
    "cast",
    "unsqueeze2",
    "squeeze2",
    "unsqueeze",
    "squeeze",
    "reshape2",
    "reshape",
    "assign",
    "flatten_contiguous_range",
)
"""Ops that hand ids on as they are."""


def embedding_of(editor: Editor, name: str) -> tuple[str, int] | None:
    """The weight that an input of ids looks rows up in, and how many it has; of several the smallest."""
    seen, found = {name}, []
    for op in editor.ops:
        inputs = {v.parameter: list(v.arguments) for v in op.inputs}
        if op.type in LOOKUPS and seen & set(inputs.get("Ids", [])):
            weight = inputs["W"][0]
            dims = editor.dims(weight)
            if dims and dims[0] > 0:
                found.append((weight, int(dims[0])))
        elif op.type in PASSING and seen & set(inputs.get("X", [])):
            seen |= {argument for v in op.outputs for argument in v.arguments}
    return min(found, key=lambda item: item[1], default=None)

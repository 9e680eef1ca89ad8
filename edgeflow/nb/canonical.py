"""The form of a model that depends on its content alone, and the hash of that form.

opt leaves uninitialised memory and pointer order in NNAdapter files: block indices of subgraphs are garbage,
a subgraph's `Inputs` and `Outputs` come in any order, outputs sometimes twice, and their scales are numbered accordingly
(observed on paddlelite 2.13rc0, and in SPEC.md).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from edgeflow.nb.model import Attribute, Block, Model, Op
from edgeflow.nb.write import to_bytes


def canonical(model: Model) -> Model:
    """Return the same model without what opt left to chance."""
    blocks = []
    for position, block in enumerate(model.blocks):
        ops = tuple(_sorted(op) if op.type == "subgraph" else op for op in block.operations)
        if position == 0:
            blocks.append(replace(block, operations=ops))
        else:
            blocks.append(Block(ops, block.variables, position, 0, -1))
    return replace(model, blocks=tuple(blocks))


def content_hash(model: Model) -> str:
    """Hexadecimal SHA-256 of the canonical bytes: equal for files that mean the same."""
    return hashlib.sha256(to_bytes(canonical(model))).hexdigest()


def _sorted(op: Op) -> Op:
    """A subgraph's inputs and outputs by name, each once, with the scales that are numbered after them."""
    arguments: dict[str, tuple[str, ...]] = {}
    kept = dict(op.attributes)
    for parameter, names in (("Inputs", op.inputs.get("Inputs", ())), ("Outputs", op.outputs.get("Outputs", ()))):
        scales: dict[str, Attribute] = {}
        for index, name in enumerate(names):
            scale = kept.pop(f"{parameter}{index}_scale", None)
            if scale is not None:
                scales.setdefault(name, scale)
        arguments[parameter] = tuple(sorted(set(names)))
        for index, name in enumerate(arguments[parameter]):
            if name in scales:
                kept[f"{parameter}{index}_scale"] = scales[name]
    return replace(op, inputs={**op.inputs, "Inputs": arguments["Inputs"]},
                   outputs={**op.outputs, "Outputs": arguments["Outputs"]}, attributes=dict(sorted(kept.items())))

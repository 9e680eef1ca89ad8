"""The form of a model that depends on its content alone, and the hash of that form.

opt leaves uninitialised memory and pointer order in NNAdapter files: block indices of subgraphs are garbage,
a subgraph's `Outputs` come in any order, sometimes twice, and their scales are numbered accordingly
(observed on paddlelite 2.13rc0, and in SPEC.md).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from edgeflow.nb.model import Attribute, Block, Model, Op
from edgeflow.nb.write import to_bytes

OUTPUT_SCALE = re.compile(r"Outputs(\d+)_scale")


def canonical(model: Model) -> Model:
    """Return the same model without what opt left to chance."""
    blocks = []
    for position, block in enumerate(model.blocks):
        ops = tuple(_sorted_outputs(op) if op.type == "subgraph" else op for op in block.operations)
        if position == 0:
            blocks.append(replace(block, operations=ops))
        else:
            blocks.append(Block(ops, block.variables, position, 0, -1))
    return replace(model, blocks=tuple(blocks))


def content_hash(model: Model) -> str:
    """Hexadecimal SHA-256 of the canonical bytes: equal for files that mean the same."""
    return hashlib.sha256(to_bytes(canonical(model))).hexdigest()


def _sorted_outputs(op: Op) -> Op:
    names = op.outputs.get("Outputs", ())
    scales: dict[str, Attribute] = {}
    kept: dict[str, Attribute] = {}
    for key, attribute in op.attributes.items():
        match = OUTPUT_SCALE.fullmatch(key)
        if match and int(match[1]) < len(names):
            scales.setdefault(names[int(match[1])], attribute)
        elif not match:
            kept[key] = attribute
    ordered = sorted(set(names))
    for index, name in enumerate(ordered):
        if name in scales:
            kept[f"Outputs{index}_scale"] = scales[name]
    return replace(op, outputs={**op.outputs, "Outputs": tuple(ordered)}, attributes=dict(sorted(kept.items())))

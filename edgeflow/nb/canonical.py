"""The form of a model that depends on its content alone, and the hash of that form.

opt leaves uninitialised memory and pointer order in NNAdapter files: block indices of subgraphs are garbage, a
subgraph's `Inputs` and `Outputs` come in any order, outputs sometimes twice, and their scales are numbered accordingly
(observed on paddlelite 2.13rc0, and in SPEC.md).
"""

from __future__ import annotations

import hashlib
import re
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


TRAINING_ONLY = frozenset(
    (
        "Scale_in",
        "Scale_in_eltwise",
        "Scale_out",
        "Scale_weights",
        "Scale_x",
        "Scale_y",
        "exhaustive_search",
        "force_fp32_output",
        "fuse_activation",
        "fuse_alpha",
        "fuse_beta",
        "fuse_relu_before_depthwise_conv",
        "fuse_residual_connection",
        "mkldnn_data_type",
        "op_device",
        "op_namescope",
        "op_role",
        "op_role_var",
        "out_threshold",
        "use_addto",
        "use_cudnn",
        "with_quant_attr",
        "workspace_size_MB",
    )
)
"""Attributes that training, oneDNN or opt itself reads, and no operator, kernel or driver of the runtime.
Source: Paddle-Lite v2.13-rc, a search of lite/ for each name; model_parser/compatible_pb.cc alone has some, to drop
them."""

UNREAD = {
    **dict.fromkeys(
        ("conv2d", "depthwise_conv2d", "pool2d"), frozenset(("bit_length", "data_format", "is_test", "use_mkldnn"))
    ),
    "fc": frozenset(("X0_scale", "Y0_scale", "bit_length", "use_mkldnn")),
}
"""More that single ops do not read: an `fc` has the scales of the multiplication it was made of as Input0_scale and
W0_scale.
Source: Paddle-Lite v2.13-rc lite/operators/{conv_op.h,pool_op.h,fc_op.cc} and a search of lite/kernels."""

RANGE = re.compile(r"[A-Za-z]+\d+_threshold")
"""The range that a scale was made of, such as Output0_threshold: opt reads it, the runtime only the scale (same
search).
"""


def trimmed(model: Model) -> Model:
    """The same model without attributes that only training reads: a third of a small file's topology."""
    return replace(
        model,
        blocks=tuple(
            replace(block, operations=tuple(_trimmed(op) for op in block.operations)) for block in model.blocks
        ),
    )


def _trimmed(op: Op) -> Op:
    unread = TRAINING_ONLY | UNREAD.get(op.type, frozenset())
    if not str(op.attr("quantization_type", "")).startswith("post_weight"):
        unread |= {"quantization_type"}  # the runtime asks it only for weights stored in fewer bits (light_api.cc)
    return replace(
        op,
        attributes={
            name: value for name, value in op.attributes.items() if name not in unread and not RANGE.fullmatch(name)
        },
    )


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
    return replace(
        op,
        inputs={**op.inputs, "Inputs": arguments["Inputs"]},
        outputs={**op.outputs, "Outputs": arguments["Outputs"]},
        attributes=dict(sorted(kept.items())),
    )

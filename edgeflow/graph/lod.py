"""Ops on LoD, the rows of each sample that a tensor of Paddle 1.x carries: named, with who lacks what."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgeflow.core.coverage import places
from edgeflow.core.errors import ModelError
from edgeflow.graph.program import inputs_of

ON_LOD = (
    "array_to_lod_tensor", "attention_lstm", "beam_search", "beam_search_decode", "chunk_eval", "crf_decoding",
    "ctc_align", "edit_distance", "gru", "im2sequence", "linear_chain_crf", "lod_rank_table", "lod_reset",
    "lod_tensor_to_array", "lstm", "match_matrix_tensor", "max_sequence_len", "merge_lod_tensor",
    "reorder_lod_tensor_by_rank", "row_conv", "sequence_concat", "sequence_conv", "sequence_enumerate",
    "sequence_erase", "sequence_expand", "sequence_expand_as", "sequence_pad", "sequence_pool", "sequence_reshape",
    "sequence_reverse", "sequence_scatter", "sequence_slice", "sequence_softmax", "sequence_unpad",
    "shrink_rnn_memory", "split_lod_tensor", "var_conv_2d", "warpctc",
)  # fmt: skip
"""Source: PaddlePaddle 2.6.2 paddle/fluid/operators, ops that read or set `lod()` of their tensors."""

MAKERS = ("im2sequence", "lod_reset", "multiclass_nms", "sequence_unpad")
"""Ops that give plain arrays rows."""

DENSE = ("Length", "EmissionLength", "InputLength", "LogitsLength", "HypsLength", "SeqLength")
"""Inputs that say the lengths instead: with one, the op works on padded arrays."""


def lod_ops(program: Any) -> Counter[str]:
    """How often each op that needs LoD is there."""
    return Counter(
        op.type
        for block in program.blocks
        for op in block.ops
        if op.type in ON_LOD and not any(inputs_of(op, name) for name in DENSE)
    )


def refuse_lod(program: Any, where: str) -> None:
    """Refuse a program with ops on LoD that comes with its inputs; one that makes its own runs on plain arrays.

    Raises:
        ModelError: it has some; each is named, with what opt and Paddle Lite have of it.
    """
    found = lod_ops(program)
    block = program.blocks[0]
    fed = {name for op in block.ops if op.type == "feed" for var in op.outputs for name in var.arguments}
    given = any(var.type.lod_tensor.lod_level for var in block.vars if var.name in fed)
    if not found or (not given and any(op.type in MAKERS for op in block.ops)):
        return
    kernels = places()["arm"] | places()["host"]
    named = [f"{kind} ({n})" for kind, n in sorted(found.items()) if kind in kernels]
    bare = [f"{kind} ({n})" for kind, n in sorted(found.items()) if kind not in kernels]
    said = []
    if named:
        said.append(
            f"{', '.join(named)}: opt and Paddle Lite's ARM library have kernels; what is missing is edgeflow's: its "
            "data, its reference and its emulator know plain arrays alone, so that there is nothing to hold a .nb to"
        )
    if bare:
        said.append(f"{', '.join(bare)}: neither opt nor Paddle Lite has a kernel")
    raise ModelError(
        f"{where}: has ops on LoD, the rows of each sample that a tensor of Paddle 1.x carries. {'. '.join(said)}",
        try_="export the network on padded batches: paddle.nn.GRU and LSTM, and lengths as inputs of their own",
    )

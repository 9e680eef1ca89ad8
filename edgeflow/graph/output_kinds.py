"""What a program itself tells of its outputs: the op that an output comes from, behind ops that only rename or reshape.

Only what is certain is said: a softmax gives scores, an NMS boxes, an argmax classes. A convolution may end in a
depth map or in logits, a fully connected layer in scores or in coordinates; those are tensors until recipe or metric
say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgeflow.core.output_kind import BOX_COLUMNS, UNKNOWN, OutputKind
from edgeflow.graph.program import attribute, fetches, input_of, outputs_of, variable

STEPS_MAX = 64
RGB = 3
"""Channels of a picture."""
NMS = {
    "multiclass_nms": "",
    "multiclass_nms2": "",
    "multiclass_nms3": "NmsRoisNum",
    "matrix_nms": "RoisNum",
}
"""Ops whose Out is boxes [M, 6], with the output that counts them per picture. Source: Paddle 2.6.2,
paddle/fluid/operators/detection."""

RENAMES = ("assign", "cast", "share_data")
SAME_VALUES = (*RENAMES, "flatten_contiguous_range", "reshape2", "reshape", "squeeze2", "unsqueeze2")
MOVES_AXES = ("transpose2", "transpose")


def output_kinds(program: Any) -> tuple[OutputKind, ...]:
    """The kind of every output of a program, in fetch order."""
    block = program.blocks[0]
    made = {name: op for op in block.ops for var in op.outputs for name in var.arguments if op.type != "feed"}
    names = fetches(program)
    found = [_kind(block, made, name) for name in names]
    _join_counts(made, names, found)
    return tuple(found)


def _kind(block: Any, made: Mapping[str, Any], name: str) -> OutputKind:
    """Back from an output to the op that says what it is."""
    rank, reshaped, moved = _rank(block, name), False, False
    if (whole := _whole(block, name)) is not None:
        return whole
    at = name
    for _ in range(STEPS_MAX):
        op = made.get(at)
        if op is None:
            return UNKNOWN
        if op.type in SAME_VALUES or (op.type == "scale" and is_identity(op)) or op.type in MOVES_AXES:
            reshaped |= op.type not in (*RENAMES, "scale", *MOVES_AXES)
            moved |= op.type in MOVES_AXES
            at = input_of(op, "X")
            continue
        return _of_op(block, op, at, rank, altered=reshaped or moved)
    return UNKNOWN


def _of_op(block: Any, op: Any, name: str, rank: int, *, altered: bool) -> OutputKind:
    """The kind that the last computing op gives its result."""
    if op.type in NMS and name in outputs_of(op, "Out"):
        return OutputKind("boxes", f"it is what {op.type} gives", columns=BOX_COLUMNS)
    if op.type in ("softmax", "log_softmax"):
        axis = int(getattr(attribute(op, "axis"), "i", -1))
        if altered:  # where the axis went is not followed: texts have it last, pictures second
            axis = 1 if rank == 4 else -1
        elif rank:
            axis = -1 if axis % rank == rank - 1 else axis % rank
        return OutputKind("scores", f"it is what {op.type} gives", axis=axis)
    if op.type == "sigmoid" and rank == 4:
        if _dims(block, name)[1] == RGB:
            return replace(
                UNKNOWN, why="a sigmoid of three channels is a picture or three masks: [outputs.N] kind says"
            )
        return OutputKind("map", "it is a sigmoid of a picture's size")
    if op.type == "norm" and rank == 2:
        return OutputKind("embedding", "it is a vector of length one")
    if op.type == "elementwise_div" and rank == 2 and _divides_by_norm(block, op):
        return OutputKind("embedding", "it is a vector of length one")
    return UNKNOWN


def _whole(block: Any, name: str) -> OutputKind | None:
    """Whole numbers are classes, tokens or counts: equal, or not."""
    var = variable(block, name)
    if var is None:
        return None
    kind = var.type.lod_tensor.tensor.data_type
    # Source: framework.proto of Paddle 2.6.2, VarType.Type: BOOL 0, INT16 1, INT32 2, INT64 3, UINT8 20, INT8 21.
    return OutputKind("ids", "it holds whole numbers") if kind in (0, 1, 2, 3, 20, 21) else None


def _join_counts(made: Mapping[str, Any], names: list[str], found: list[OutputKind]) -> None:
    """Counts and indices of an NMS belong to its boxes."""
    for k, name in enumerate(names):
        if found[k].kind != "boxes":
            continue
        op = made[_root(made, name)]
        for j, other in enumerate(names):
            source = made.get(_root(made, other))
            if j == k or source is None or source is not op:
                continue
            if NMS[op.type] and _root(made, other) in outputs_of(op, NMS[op.type]):
                found[k] = OutputKind("boxes", found[k].why, columns=BOX_COLUMNS, counts=j)
            found[j] = OutputKind("ids", f"it comes from the {op.type} of output {k}", belongs_to=k)


def _root(made: Mapping[str, Any], name: str) -> str:
    """The variable that an output only renames."""
    for _ in range(STEPS_MAX):
        op = made.get(name)
        if op is None or not (op.type in SAME_VALUES or (op.type == "scale" and is_identity(op))):
            return name
        name = input_of(op, "X")
    return name


def maker_of(block: Any, name: str) -> Any:
    """The op that makes an output, behind those that only rename or reshape it."""
    made = {out: op for op in block.ops for var in op.outputs for out in var.arguments if op.type != "feed"}
    return made[_root(made, name)]


def is_identity(op: Any) -> bool:
    """A scale by 1 that adds 0: Paddle's exporter renames outputs so."""
    scale, bias = attribute(op, "scale"), attribute(op, "bias")
    return (scale is None or scale.f == 1.0) and (bias is None or bias.f == 0.0)


def _divides_by_norm(block: Any, op: Any) -> bool:
    """The divisor is a p-norm, or one that is kept above zero."""
    made = {name: one for one in block.ops for var in one.outputs for name in var.arguments}
    at = input_of(op, "Y")
    for _ in range(8):
        source = made.get(at)
        if source is None:
            return False
        if source.type in ("p_norm", "frobenius_norm"):
            return True
        if source.type not in ("clip", "elementwise_max", "maximum", "expand_v2", "expand_as_v2", "scale"):
            return False
        at = input_of(source, "X")
    return False


def _dims(block: Any, name: str) -> tuple[int, ...]:
    var = variable(block, name)
    return () if var is None else tuple(var.type.lod_tensor.tensor.dims)


def _rank(block: Any, name: str) -> int:
    return len(_dims(block, name))

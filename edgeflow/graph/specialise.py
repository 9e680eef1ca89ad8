"""Spell a program in the ops that a target's NPU takes, so that it stays in one piece there.

Each alternative is used only where the NPU lacks the op and has every op of the alternative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from edgeflow.core.coverage import npu_ops
from edgeflow.core.targets import Target
from edgeflow.graph.edit import Editor, Speller, attr_of, copy_attributes, output, set_attr, transposes_y
from edgeflow.graph.npu_constants import padded_rows, place_constants
from edgeflow.graph.placement import IDENTITY, decodes, takes
from edgeflow.graph.program import input_of, inputs_of, outputs_of
from edgeflow.graph.respell import respell
from edgeflow.graph.running_count import running_count
from edgeflow.graph.simplify import TENSOR_INPUTS
from edgeflow.graph.structure import over_programs

COPIED = ("ksize", "strides", "op_role", "op_namescope")
SEVERAL_TYPES = ("slice", "expand_v2", "expand", "strided_slice")
"""Ops with ARM or host kernels of float, int and bool under one name."""

ANY_TYPE = ("reshape2", "squeeze2", "unsqueeze2", "flatten_contiguous_range", "flatten2", "assign")
EXACT = ("cumsum",)
"""Ops whose alternative counts, which eight bits would not."""

Rule = Callable[[Editor, Any], bool]


@over_programs
def specialise(editor: Editor, target: Target) -> dict[str, int]:
    """Rewrite what the target's NPU lacks or takes only with other attributes, and what its kernels compute wrongly.

    Returns:
        How often each op type was respelled.
    """
    made: Counter[str] = Counter(respell(editor, target))
    if target.lite.fp16:
        made["max pool in two steps"] += _half_pools(editor)
    known = npu_ops(target)
    if known is None:
        return {name: count for name, count in made.items() if count}
    for op in list(editor.ops):
        exact = op.type in EXACT and "int8" in target.precision.allowed
        if op.type in ALTERNATIVES and not exact and not takes(editor, op, target) and _is_plain(op):
            for needed, rule in ALTERNATIVES[op.type]:
                if set(needed) <= known and rule(editor, op):
                    made[f"{op.type} -> {'+'.join(needed)}"] += 1
                    break
    made["embedding padding in the weights"] += padded_rows(editor)
    if any(rule.op == "reshape2" and (rule.rank_max or 5) < 5 for rule in target.restrictions):
        made["channel shuffle in 4 dimensions"] += _flat_shuffles(editor)
    if "int8" in target.precision.allowed:
        made["constants as int8 takes them"] += place_constants(editor) if "scale" in known else 0
        made["float in front of kernels of several types"] += _floats_first(editor, target)
    return {name: count for name, count in sorted(made.items()) if count}


def _floats_first(editor: Editor, target: Target) -> int:
    """An identity that takes float alone, between the NPU's int8 and a CPU op that has kernels of several types.

    opt picks the first of these for an int8 tensor, that of bool, and then stops: "Can't find a 'calib' kernel to
    trans". Source: seen with 2.13rc0; v2.13-rc static_kernel_pick_pass.cc, type_precision_cast_pass.cc.
    """
    made = 0
    boxes = decodes(editor, target)
    npu = {id(op) for op in editor.ops if id(op) not in boxes and takes(editor, op, target)}
    for op in [op for op in editor.ops if op.type in SEVERAL_TYPES and id(op) not in npu]:
        x = (inputs_of(op, "X") or inputs_of(op, "Input") or [""])[0]
        if editor.dtype(x) != "float32" or not _from_npu(editor, x, npu):
            continue
        speller = Speller(editor)
        same = speller.unary(IDENTITY, x, alpha=1.0)
        for var in op.inputs:
            for k, name in enumerate(var.arguments):
                if name == x:
                    var.arguments[k] = same
        at = next(i for i, other in enumerate(editor.ops) if other is op)
        editor.ops[at:at] = speller.ops
        editor.touch()
        made += 1
    return made


def _from_npu(editor: Editor, name: str, npu: Collection[int]) -> bool:
    """A tensor comes from an op of the NPU, or from there through ops that take any type as it is."""
    op = editor.producer(name)
    while op is not None and op.type in ANY_TYPE and id(op) not in npu:
        op = editor.producer(input_of(op, "X"))
    return op is not None and id(op) in npu


def _half_pools(editor: Editor) -> int:
    """Max pooling 2x2 with stride 2 as columns, then rows: the fp16 kernel for it loses a lane from width 18 on.

    Source: v2.13-rc lite/kernels/arm/pool_compute.cc, which takes pooling2x2s2p0_max_fp16 for these sizes above width
    16 and the general kernel for any window that is not square.
    """
    made = 0
    for op in [op for op in editor.ops if op.type == "pool2d"]:
        width = (editor.dims(input_of(op, "X")) or (-1,))[-1]
        if (
            attr_of(op, "pooling_type") != "max"
            or attr_of(op, "ksize") != [2, 2]
            or attr_of(op, "strides") != [2, 2]
            or any(attr_of(op, "paddings", []))
            or attr_of(op, "global_pooling", False)
            or attr_of(op, "adaptive", False)
            or 0 <= width <= 16
        ):
            continue
        dims = editor.dims(output(op)) or ()

        def spell(s: Speller, op: Any = op, dims: tuple[int, ...] = dims) -> str:
            x = input_of(op, "X")
            for size, shape in (([1, 2], [*s.dims(x)[:3], dims[3]]), ([2, 1], dims)):
                x = s.add("pool2d", {"X": x}, dims=shape)
                copy_attributes(op, s.ops[-1], COPIED)
                set_attr(s.ops[-1], "ksize", size)
                set_attr(s.ops[-1], "strides", size)
            return x

        made += editor.replace(op, spell)
    return made


def _is_plain(op: Any) -> bool:
    return not any(var.arguments and var.parameter in TENSOR_INPUTS for var in op.inputs)


def _spelled(spell: Callable[[Speller, Any, str], str | None]) -> Rule:
    def rule(editor: Editor, op: Any) -> bool:
        x = (inputs_of(op, "X") or inputs_of(op, "Input"))[0]
        return editor.replace(op, lambda s: spell(s, op, x))

    return rule


def _mul(editor: Editor, op: Any) -> bool:
    """matmul with a weight of rank 2 is mul. Paddle's mul flattens X to two dimensions around x_num_col_dims."""
    x, y = input_of(op, "X"), input_of(op, "Y")
    weight, rank = editor.constant(y), len(editor.dims(x) or ())
    trans_x = attr_of(op, "trans_x", attr_of(op, "transpose_X", False))
    if weight is None or weight.ndim != 2 or rank < 2 or trans_x or float(attr_of(op, "alpha", 1.0)) != 1.0:
        return False
    name = editor.parameter("weight", weight.T.copy()) if transposes_y(op) else y
    dims = editor.dims(output(op)) or ()
    return editor.replace(
        op, lambda s: s.add("mul", {"X": x, "Y": name}, dims=dims, x_num_col_dims=rank - 1, y_num_col_dims=1)
    )


Scaled = Callable[[Speller, str, float, float], str]


def _by_scale(s: Speller, x: str, factor: float, shift: float) -> str:
    return s.scale(x, factor, shift)


def _by_constants(s: Speller, x: str, factor: float, shift: float) -> str:
    """The same with elementwise ops, for an NPU without `scale`."""
    if factor != 1.0:
        x = s.binary("mul", x, s.values(np.asarray([factor], np.float32)))
    return s.binary("add", x, s.values(np.asarray([shift], np.float32))) if shift else x


def _hard_swish(scaled: Scaled) -> Rule:
    def spell(s: Speller, op: Any, x: str) -> str | None:
        threshold, scale, offset = (
            float(attr_of(op, key, d)) for key, d in (("threshold", 6.0), ("scale", 6.0), ("offset", 3.0))
        )
        if threshold != 6.0:
            return None
        return s.binary("mul", x, scaled(s, s.unary("relu6", scaled(s, x, 1.0, offset), threshold=6.0), 1 / scale, 0.0))

    return _spelled(spell)


def _hard_sigmoid(scaled: Scaled) -> Rule:
    def spell(s: Speller, op: Any, x: str) -> str:
        slope, offset = float(attr_of(op, "slope", 0.2)), float(attr_of(op, "offset", 0.5))
        return scaled(s, s.unary("relu6", scaled(s, x, 6 * slope, 6 * offset), threshold=6.0), 1 / 6, 0.0)

    return _spelled(spell)


def _scale(s: Speller, op: Any, x: str) -> str | None:
    factor, shift = float(attr_of(op, "scale", 1.0)), float(attr_of(op, "bias", 0.0))
    if s.editor.dtype(x) != "float32" or (factor == 1.0 and shift == 0.0):
        return None
    return _by_constants(s, x, factor, shift if attr_of(op, "bias_after_scale", True) else shift * factor)


def _swish(s: Speller, op: Any, x: str) -> str:
    beta = float(attr_of(op, "beta", 1.0))
    return s.binary("mul", x, s.unary("sigmoid", x if beta == 1.0 else s.scale(x, beta)))


def _leaky_relu(s: Speller, op: Any, x: str) -> str:
    alpha = float(attr_of(op, "alpha", 0.02))
    return s.binary("sub", s.unary("relu", x), s.scale(s.unary("relu", s.scale(x, -1)), alpha))


def _prelu(s: Speller, op: Any, x: str) -> str | None:
    alpha = s.editor.constant(input_of(op, "Alpha"))
    if attr_of(op, "mode", "all") != "all" or alpha is None:
        return None
    return s.unary("leaky_relu", x, alpha=float(alpha.ravel()[0]))


def _reshape(s: Speller, op: Any, x: str) -> str | None:
    dims = s.dims(output(op))
    return None if dims.count(-1) > 1 or not dims else s.reshape(x, dims)


def _clip(s: Speller, op: Any, x: str) -> str | None:
    low, high = float(attr_of(op, "min", 0.0)), float(attr_of(op, "max", 0.0))
    return s.unary("relu6", x, threshold=6.0) if (low, high) == (0.0, 6.0) else None


def _mean(s: Speller, op: Any, x: str) -> str | None:
    """The mean over height and width is a global average pool."""
    dims = s.dims(x)
    if len(dims) != 4 or sorted(a % 4 for a in attr_of(op, "dim", [])) != [2, 3] or attr_of(op, "reduce_all", False):
        return None
    pooled = s.add(
        "pool2d",
        {"X": x},
        dims=[*dims[:2], 1, 1],
        pooling_type="avg",
        ksize=[1, 1],
        strides=[1, 1],
        paddings=[0, 0],
        global_pooling=True,
        adaptive=False,
        exclusive=True,
        ceil_mode=False,
        data_format="NCHW",
        padding_algorithm="EXPLICIT",
    )
    return pooled if attr_of(op, "keep_dim", False) else s.reshape(pooled, dims[:2])


def _negated(s: Speller, op: Any, x: str) -> str:
    y = input_of(op, "Y")
    return s.binary("add", x, s.scale(y, -1), axis=int(attr_of(op, "axis", -1)))


def _reciprocal(s: Speller, op: Any, x: str) -> str | None:
    divisor = s.editor.constant(input_of(op, "Y"))
    if divisor is None or divisor.dtype.kind != "f" or not divisor.all():
        return None
    name = s.editor.parameter("reciprocal", (1.0 / divisor).astype(divisor.dtype))
    return s.binary("mul", x, name, axis=int(attr_of(op, "axis", -1)))


def _slices(editor: Editor, op: Any) -> bool:
    """split -> one slice a part."""
    x, parts = input_of(op, "X"), outputs_of(op, "Out")
    dims = editor.dims(x) or ()
    axis = int(attr_of(op, "axis", 0)) % max(len(dims), 1)
    if not dims or dims[axis] < 0 or any(editor.is_fetched(part) for part in parts):
        return False
    sizes = [int(n) for n in attr_of(op, "sections", [])] or [dims[axis] // len(parts)] * len(parts)
    if -1 in sizes:
        sizes[sizes.index(-1)] = dims[axis] - sum(n for n in sizes if n > 0)
    speller, start = Speller(editor), 0
    for part, size in zip(parts, sizes, strict=True):
        editor.rename_reads(part, speller.slice(x, axis, start, start + size))
        start += size
    at = next(i for i, other in enumerate(editor.ops) if other is op)
    editor.ops[at : at + 1] = speller.ops
    editor.touch()
    return True


def _parts_of(s: Speller, op: Any, _: str) -> str | None:
    """slice of known bounds -> the one part of a split, along one axis after the other."""
    x = input_of(op, "Input")
    result = s.dims(output(op))
    if any(step != 1 for step in attr_of(op, "strides", [])) or result.count(-1) > 1 or not result:
        return None
    for axis, start, end in zip(attr_of(op, "axes"), attr_of(op, "starts"), attr_of(op, "ends"), strict=True):
        dims = list(s.dims(x))
        size = dims[axis]
        if size <= 0:
            return None
        start, end = (max(0, min(int(at) + (size if at < 0 else 0), size)) for at in (start, end))
        cuts = [(first, last) for first, last in ((0, start), (start, end), (end, size)) if last > first]
        if end <= start:
            return None
        if len(cuts) > 1:
            names = []
            for first, last in cuts:
                dims[axis] = last - first
                names.append(s.editor.fresh("split"))
                s.editor.declare(names[-1], dims, s.editor.dtype(x))
            sections = [last - first for first, last in cuts]
            s.ops.append(s.write("split", {"X": x}, {"Out": names}, axis=int(axis), sections=sections, num=0))
            x = names[cuts.index((start, end))]
    return x if s.dims(x) == result else s.reshape(x, result)


def _flat_shuffles(editor: Editor) -> int:
    """reshape, transpose, reshape over five dimensions is the same over four: height and width stay one."""
    made = 0
    for middle in [op for op in editor.ops if op.type == "transpose2" and attr_of(op, "axis", []) == [0, 2, 1, 3, 4]]:
        first = editor.producer(input_of(middle, "X"))
        last = editor.sole_reader(output(middle))
        if (
            first is None
            or last is None
            or first.type != "reshape2"
            or last.type != "reshape2"
            or editor.sole_reader(output(first)) is not middle
            or not (_is_plain(first) and _is_plain(last))
        ):
            continue
        apart, dims = editor.dims(output(first)) or (), editor.dims(output(last)) or ()
        x = input_of(first, "X")
        if len(dims) != 4 or -1 in apart[1:] or tuple(dims[2:]) != tuple(apart[3:]):
            continue
        _, groups, each, h, w = apart

        def spell(
            s: Speller,
            x: str = x,
            groups: int = groups,
            each: int = each,
            h: int = h,
            w: int = w,
            dims: tuple[int, ...] = tuple(dims),
        ) -> str:
            flat = s.transpose(s.reshape(x, [dims[0], groups, each, h * w]), [0, 2, 1, 3])
            return s.reshape(flat, dims)

        made += editor.replace([first, middle, last], spell)
    return made


ALTERNATIVES: dict[str, tuple[tuple[tuple[str, ...], Rule], ...]] = {
    "matmul_v2": ((("mul",), _mul),),
    "matmul": ((("mul",), _mul),),
    "hard_swish": (
        (("scale", "relu6", "elementwise_mul"), _hard_swish(_by_scale)),
        (("relu6", "elementwise_mul", "elementwise_add"), _hard_swish(_by_constants)),
    ),
    "hard_sigmoid": (
        (("scale", "relu6"), _hard_sigmoid(_by_scale)),
        (("relu6", "elementwise_mul", "elementwise_add"), _hard_sigmoid(_by_constants)),
    ),
    "scale": ((("elementwise_mul", "elementwise_add"), _spelled(_scale)),),
    "swish": ((("sigmoid", "elementwise_mul"), _spelled(_swish)),),
    "silu": (
        (("swish",), _spelled(lambda s, op, x: s.unary("swish", x, beta=1.0))),
        (("sigmoid", "elementwise_mul"), _spelled(_swish)),
    ),
    "leaky_relu": ((("relu", "scale", "elementwise_sub"), _spelled(_leaky_relu)),),
    "prelu": ((("leaky_relu",), _spelled(_prelu)),),
    "flatten_contiguous_range": ((("reshape2",), _spelled(_reshape)),),
    "flatten2": ((("reshape2",), _spelled(_reshape)),),
    "squeeze2": ((("reshape2",), _spelled(_reshape)),),
    "unsqueeze2": ((("reshape2",), _spelled(_reshape)),),
    "clip": ((("relu6",), _spelled(_clip)),),
    "reduce_mean": ((("pool2d", "reshape2"), _spelled(_mean)),),
    "elementwise_sub": ((("elementwise_add", "scale"), _spelled(_negated)),),
    "elementwise_div": ((("elementwise_mul",), _spelled(_reciprocal)),),
    "split": ((("slice",), _slices),),
    "slice": ((("split", "reshape2"), _spelled(_parts_of)),),
    "cumsum": ((("cast", "matmul_v2"), _spelled(running_count)),),
}
"""Op type -> alternatives, the best first: the ops each needs, and the rewrite."""

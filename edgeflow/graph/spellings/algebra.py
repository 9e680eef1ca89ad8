"""Products, sums and norms of tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Speller, attr_of, output
from edgeflow.graph.program import input_of, inputs_of
from edgeflow.graph.spellings.spelling import Spelling


def _axes(s: Speller, op: Any, x: str, key: str = "dim") -> list[int]:
    """The axes that a reduction goes over, counted from the front."""
    rank = len(s.dims(x))
    return list(range(rank)) if attr_of(op, "reduce_all", False) else [a % rank for a in attr_of(op, key, [0])]


def _arg_min(s: Speller, op: Any, x: str) -> str | None:
    if s.editor.dtype(x) != "float32":
        return None
    out = output(op)
    return s.add(
        "arg_max",
        {"X": s.scale(x, -1)},
        dims=s.dims(out),
        result_dtype=s.editor.dtype(out),
        axis=np.int64(attr_of(op, "axis", -1)),
        keepdims=bool(attr_of(op, "keepdims", False)),
        flatten=bool(attr_of(op, "flatten", False)),
        dtype=int(attr_of(op, "dtype", 3)),
    )


def _logsumexp(s: Speller, op: Any, x: str) -> str | None:
    axes = _axes(s, op, x, "axis")
    keep = bool(attr_of(op, "keepdim", attr_of(op, "keep_dim", False)))
    largest = s.reduce("max", x, axes, True)
    total = s.reduce("sum", s.unary("exp", s.binary("sub", x, largest)), axes, True)
    result = s.binary("add", s.unary("log", total), largest)
    return result if keep else _without(s, result, axes)


def _maxout(s: Speller, op: Any, x: str) -> str | None:
    dims = list(s.dims(x))
    axis, groups = int(attr_of(op, "axis", 1)) % len(dims), int(attr_of(op, "groups", 1))
    if dims[axis] < 0:
        return None
    split = [0] * axis + [dims[axis] // groups, groups] + dims[axis + 1 :]
    if -1 in split[axis + 2 :]:
        return None
    apart = [*dims[:axis], dims[axis] // groups, groups, *dims[axis + 1 :]]
    grouped = s.add("reshape2", {"X": x}, dims=apart, also=("XShape",), shape=split)
    return s.reduce("max", grouped, [axis + 1], False)


def _bmm(s: Speller, op: Any, x: str) -> str:
    y = input_of(op, "Y")
    return s.matmul(x, y, dims=s.dims(output(op)))


def _dot(s: Speller, op: Any, x: str) -> str:
    y = input_of(op, "Y")
    product = s.binary("mul", x, y)
    return s.reduce("sum", product, [len(s.dims(x)) - 1], len(s.dims(x)) == 1)


def _times_vector(s: Speller, op: Any, x: str) -> str | None:
    """A matrix by a vector of weights: PaddleSlim fails on a weight without columns, and no NPU takes one."""
    weight = input_of(op, "Y")
    if len(s.dims(weight)) != 1 or len(s.dims(x)) < 2 or not s.editor.is_parameter(weight):
        return None
    if attr_of(op, "trans_x", attr_of(op, "transpose_X", False)) or attr_of(op, "alpha", 1.0) != 1.0:
        return None
    return s.reduce("sum", s.binary("mul", x, weight), [len(s.dims(x)) - 1], False)


def _mv(s: Speller, op: Any, x: str) -> str:
    vec = input_of(op, "Vec")
    rows = s.dims(x)[0]
    return s.squeeze(s.matmul(x, s.unsqueeze(vec, [1]), dims=[rows, 1]), [1])


def _addmm(s: Speller, op: Any, x: str) -> str:
    # Input holds the summand; X and Y the factors
    given = input_of(op, "Input")
    a, b = input_of(op, "X"), input_of(op, "Y")
    product = s.scale(s.matmul(a, b, dims=s.dims(output(op))), attr_of(op, "Alpha", 1.0))
    return s.binary("add", product, s.scale(given, attr_of(op, "Beta", 1.0)))


def _frobenius(s: Speller, op: Any, x: str) -> str:
    axes = _axes(s, op, x)
    keep = bool(attr_of(op, "keep_dim", False))
    total = s.reduce("sum", s.unary("square", x), axes, True)
    result = s.unary("sqrt", total)
    return result if keep else _without(s, result, axes)


def _amax(name: str) -> Spelling:
    def spell(s: Speller, op: Any, x: str) -> str:
        axes = _axes(s, op, x)
        return s.reduce(name, x, axes, bool(attr_of(op, "keep_dim", False)))

    return spell


def _kron(s: Speller, op: Any, x: str) -> str | None:
    y = input_of(op, "Y")
    a, b = s.dims(x), s.dims(y)
    if -1 in a or -1 in b:
        return None
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    wide = s.reshape(x, [d for size in a for d in (size, 1)])
    tall = s.reshape(y, [d for size in b for d in (1, size)])
    return s.reshape(s.binary("mul", wide, tall), [m * n for m, n in zip(a, b, strict=True)])


def _bilinear_product(s: Speller, op: Any, x: str) -> str | None:
    """out[n, k] = x[n] W[k] y[n]: x times all W at once, then summed with y."""
    y, weight, bias = (inputs_of(op, key) for key in ("Y", "Weight", "Bias"))
    kernels, m, n = s.dims(weight[0])
    flat = s.reshape(s.transpose(weight[0], [1, 0, 2]), [m, kernels * n])
    partial = s.reshape(s.matmul(x, flat, dims=[s.dims(x)[0], kernels * n]), [-1, kernels, n])
    total = s.reduce("sum", s.binary("mul", partial, s.unsqueeze(y[0], [1])), [2], False)
    return s.binary("add", total, bias[0]) if bias else total


def _einsum(s: Speller, op: Any, x: str) -> str | None:
    """Two operands as one batched matmul: letters in both and in the result are batch, in both alone are summed."""
    equation = str(attr_of(op, "equation", "")).replace(" ", "")
    operands = inputs_of(op, "Operands")
    if equation.count("->") != 1 or "." in equation or len(operands) > 2:
        return None
    left, right = equation.split("->")
    terms = left.split(",")
    if any(len(set(term)) != len(term) for term in (*terms, right)) or len(terms) != len(operands):
        return None
    sizes: dict[str, int] = {}
    for term, name in zip(terms, operands, strict=True):
        sizes.update(zip(term, s.dims(name), strict=True))
    if -1 in sizes.values():
        return None
    if len(terms) == 1:
        return _einsum_one(s, terms[0], right, operands[0])
    a, b = terms
    parts = [
        _einsum_one(s, term, "".join(c for c in term if c in other or c in right), name)
        for term, other, name in ((a, b, operands[0]), (b, a, operands[1]))
    ]
    a, b = ("".join(c for c in term if c in other or c in right) for term, other in ((a, b), (b, a)))
    batch = [c for c in a if c in b and c in right]
    summed = [c for c in a if c in b and c not in right]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]

    def size(letters: list[str]) -> int:
        return math.prod(sizes[c] for c in letters)

    x_ = _arranged(s, parts[0], a, [*batch, *rows, *summed], [size(batch), size(rows), size(summed)])
    y_ = _arranged(s, parts[1], b, [*batch, *summed, *columns], [size(batch), size(summed), size(columns)])
    product = s.matmul(x_, y_, dims=[size(batch), size(rows), size(columns)])
    order = [*batch, *rows, *columns]
    full = s.reshape(product, [sizes[c] for c in order] or [1])
    return full if list(right) == order or len(order) < 2 else s.transpose(full, [order.index(c) for c in right])


def _einsum_one(s: Speller, term: str, right: str, x: str) -> str:
    gone = [k for k, c in enumerate(term) if c not in right]
    if gone:
        x = s.reduce("sum", x, gone, len(gone) == len(term))
    left = [c for c in term if c in right]
    return x if left == list(right) else s.transpose(x, [left.index(c) for c in right])


def _arranged(s: Speller, x: str, letters: str, order: list[str], shape: list[int]) -> str:
    if list(letters) != order:
        x = s.transpose(x, [letters.index(c) for c in order])
    return s.reshape(x, shape)


def _p_norm(s: Speller, op: Any, x: str) -> str | None:
    """Orders other than 2: the runtime sums without the absolute value, and gives inf for order inf."""
    order, keep = float(attr_of(op, "porder", 2.0)), bool(attr_of(op, "keepdim", False))
    rank = len(s.dims(x))
    as_vector = bool(attr_of(op, "asvector", False))
    axes = list(range(rank)) if as_vector else [int(attr_of(op, "axis", -1)) % rank]
    if order == 2.0 and not as_vector:
        return None
    size = s.unary("abs", x)
    if order == 1.0:
        result = s.reduce("sum", size, axes, True)
    elif order == 2.0:
        result = s.unary("sqrt", s.reduce("sum", s.unary("square", x), axes, True))
    elif math.isinf(order):
        result = s.reduce("max" if order > 0 else "min", size, axes, True)
    elif order > 0:
        total = s.reduce("sum", s.unary("pow", size, factor=order), axes, True)
        result = s.unary("pow", total, factor=1 / order)
    else:
        return None
    return result if keep else _without(s, result, axes)


def _bool_sum(s: Speller, op: Any, x: str) -> str | None:
    """Booleans have no sum on ARM; whole numbers do."""
    if s.editor.dtype(x) != "bool":
        return None
    axes = _axes(s, op, x)
    return s.reduce("sum", s.cast(x, "int64"), axes, bool(attr_of(op, "keep_dim", False)))


def _dist(s: Speller, op: Any, x: str) -> str | None:
    order = float(attr_of(op, "p", 2.0))
    apart = s.binary("sub", x, input_of(op, "Y"))
    axes = list(range(len(s.dims(apart))))
    if order == 2.0:
        return _without(s, s.unary("sqrt", s.reduce("sum", s.unary("square", apart), axes, True)), axes)
    if order == 1.0 or math.isinf(order):
        name = "sum" if order == 1.0 else "max" if order > 0 else "min"
        return _without(s, s.reduce(name, s.unary("abs", apart), axes, True), axes)
    return None


def _trace(s: Speller, op: Any, x: str) -> str | None:
    dims = s.dims(x)
    if len(dims) != 2 or not can_make(*dims) or s.editor.dtype(x) != "float32":
        return None
    mask = s.values(np.eye(*dims, k=int(attr_of(op, "offset", 0)), dtype=np.float32))
    return _without(s, s.reduce("sum", s.binary("mul", x, mask), [0, 1], True), [0, 1])


def _multi_dot(s: Speller, op: Any, x: str) -> str | None:
    names = inputs_of(op, "X")
    if any(len(s.dims(name)) != 2 for name in names):
        return None
    for name in names[1:]:
        x = s.matmul(x, name, dims=[s.dims(x)[0], s.dims(name)[1]])
    return x


def _cross(s: Speller, op: Any, x: str) -> str | None:
    y, dims = input_of(op, "Y"), s.dims(x)
    axis = int(attr_of(op, "dim", 9))
    axis = next((k for k, d in enumerate(dims) if d == 3), -1) if axis == 9 else axis % len(dims)
    if axis < 0 or dims[axis] != 3:
        return None

    def turned(name: str, order: list[int]) -> str:
        return s.add("gather", {"X": name, "Index": s.values(np.asarray(order, np.int32))}, axis=axis)

    left = s.binary("mul", turned(x, [1, 2, 0]), turned(y, [2, 0, 1]))
    return s.binary("sub", left, s.binary("mul", turned(x, [2, 0, 1]), turned(y, [1, 2, 0])))


def _without(s: Speller, x: str, axes: list[int]) -> str:
    """Drop dimensions of size one; where all go, one stays: Paddle Lite has no 0-D tensors."""
    rank = len(s.dims(x))
    return s.squeeze(x, axes if len(axes) < rank else axes[1:]) if rank > 1 else x


TABLE: dict[str, Spelling] = {
    "addmm": _addmm,
    "arg_min": _arg_min,
    "bilinear_tensor_product": _bilinear_product,
    "bmm": _bmm,
    "cross": _cross,
    "dist": _dist,
    "dot": _dot,
    "einsum": _einsum,
    "frobenius_norm": _frobenius,
    "kron": _kron,
    "logsumexp": _logsumexp,
    "matmul": _times_vector,
    "matmul_v2": _times_vector,
    "maxout": _maxout,
    "multi_dot": _multi_dot,
    "mv": _mv,
    "p_norm": _p_norm,
    "reduce_amax": _amax("max"),
    "reduce_amin": _amax("min"),
    "reduce_sum": _bool_sum,
    "trace": _trace,
}

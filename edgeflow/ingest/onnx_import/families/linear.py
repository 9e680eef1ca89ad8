"""Products of matrices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable


def matmul(step: Step) -> str:
    """MatMul; a vector is a matrix of one row or column on the way."""
    x, y = step.x(0), step.x(1)
    left, right = step.rank(0), step.rank(1)
    if left > 1 and right > 1:
        return step.op("matmul_v2", {"X": x, "Y": y}, trans_x=False, trans_y=False)
    out = list(step.out_dims())
    if left == 1:
        x = step.spell.unsqueeze(x, [0])
    if right == 1:
        y = step.spell.unsqueeze(y, [1])
    batch = out if left == right == 1 else [*out[: len(out) - (left > 1 or right > 1)]]
    if left == right == 1:
        dims = [1, 1]
    else:
        dims = [*batch, 1, out[-1]] if left == 1 else [*out[:-1], out[-1], 1]
    z = step.op("matmul_v2", {"X": x, "Y": y}, dims=dims, trans_x=False, trans_y=False)
    return step.spell.squeeze(z, [0] if left == right == 1 else [len(dims) - 2 if left == 1 else len(dims) - 1])


def gemm(step: Step) -> str:
    """Gemm: factors go into constant operands, so that a product and a sum are left."""
    alpha, beta = float(step.attrs.get("alpha", 1.0)), float(step.attrs.get("beta", 1.0))
    trans_a, trans_b = bool(step.attrs.get("transA", 0)), bool(step.attrs.get("transB", 0))
    weight, y = step.const(1), ""
    if weight is not None and (alpha != 1.0 or trans_b):
        plain = weight.T if trans_b else weight
        y = step.weight(1, np.ascontiguousarray(plain if alpha == 1.0 else plain * np.asarray(alpha, plain.dtype)))
        alpha, trans_b = 1.0, False
    result = step.op(
        "matmul_v2", {"X": step.x(0), "Y": y or step.x(1)}, trans_x=trans_a, trans_y=trans_b, dims=step.out_dims()
    )
    if alpha != 1.0:
        result = step.op("scale", {"X": result}, scale=alpha, bias=0.0, bias_after_scale=True)
    if not step.has(2) or beta == 0.0:
        return result
    bias = step.const(2)
    if bias is None:
        other = step.x(2)
        if beta != 1.0:
            other = step.op("scale", {"X": other}, dims=step.dims(2), scale=beta, bias=0.0, bias_after_scale=True)
    elif beta != 1.0 or (bias.ndim == 2 and bias.shape[0] == 1):
        # As a row without a leading 1, which opt fuses into the product.
        row = bias.reshape(-1) if bias.ndim == 2 and bias.shape[0] == 1 else bias
        other = step.weight(2, row * np.asarray(beta, row.dtype))
    else:
        other = step.x(2)
    return step.op("elementwise_add", {"X": result, "Y": other}, axis=-1)


def einsum(step: Step) -> str:
    """Einsum of two operands: axes are ordered to [both, left, summed] and [both, summed, right], and multiplied."""
    equation = str(step.attrs["equation"]).replace(" ", "")
    terms, _, result = equation.partition("->")
    parts = terms.split(",")
    if len(parts) != 2 or not result or "." in equation or any(len(set(p)) != len(p) for p in (*parts, result)):
        raise Untranslatable(f"equation {equation!r}; two operands, each letter once in each, are translated")
    a, b = parts
    both = [c for c in a if c in b and c in result]
    summed = [c for c in a if c in b and c not in result]
    left, right = [c for c in a if c not in b], [c for c in b if c not in a]
    if any(c not in result for c in (*left, *right)):
        raise Untranslatable(f"equation {equation!r} sums over an axis of one operand")
    sizes = {**dict(zip(a, step.dims(0), strict=True)), **dict(zip(b, step.dims(1), strict=True))}
    x = _grouped(step, step.x(0), [a.index(c) for c in (*both, *left, *summed)], sizes, (both, left, summed))
    y = _grouped(step, step.x(1), [b.index(c) for c in (*both, *summed, *right)], sizes, (both, summed, right))
    dims = [*(sizes[c] for c in both), _product(sizes, left), _product(sizes, right)]
    z = step.op("matmul_v2", {"X": x, "Y": y}, dims=dims, trans_x=False, trans_y=False)
    order = [*both, *left, *right]
    if len(left) != 1 or len(right) != 1:
        z = step.reshaped(z, _one_open([sizes[c] for c in order], len(both)), [sizes[c] for c in order])
    axes = [order.index(c) for c in result]
    return z if axes == list(range(len(axes))) else step.spell.transpose(z, axes)


def _grouped(step: Step, x: str, axes: list[int], sizes: dict[str, int], groups: tuple[list[str], ...]) -> str:
    """Axes in order, each of the last two groups as one axis."""
    if axes != list(range(len(axes))):
        x = step.spell.transpose(x, axes)
    if all(len(group) == 1 for group in groups[1:]):
        return x
    dims = [*(sizes[c] for c in groups[0]), *(_product(sizes, group) for group in groups[1:])]
    return step.reshaped(x, _one_open(dims, len(groups[0])), dims)


def _product(sizes: dict[str, int], letters: list[str]) -> int:
    found = [sizes[c] for c in letters]
    return -1 if -1 in found else int(np.prod(found, dtype=np.int64))


def _one_open(dims: list[int], kept: int) -> list[int]:
    """A reshape's attribute: leading axes are kept by 0, so that one open one may be left."""
    shape = [0 if k < kept else d for k, d in enumerate(dims)]
    if shape.count(-1) > 1:
        raise Untranslatable("more than one open dimension of einsum")
    return shape


TABLE: Mapping[str, Translation] = {"MatMul": matmul, "Gemm": gemm, "Einsum": einsum}

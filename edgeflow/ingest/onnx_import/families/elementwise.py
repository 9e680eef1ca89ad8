"""Arithmetic, comparisons and activations, one element at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeflow.graph.parameters import PADDLE
from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable, paddle_dtype

COMMUTE = ("add", "mul", "max", "min")


def _unary(type_: str, **attrs: Any) -> Translation:
    """An op of the same meaning, its attributes fixed."""
    return lambda step: step.op(type_, {"X": step.x(0)}, **attrs)


def _with(type_: str, **named: tuple[str, float]) -> Translation:
    """An op whose attributes have other names: paddle = (onnx, default)."""

    def translation(step: Step) -> str:
        given: dict[str, Any] = {
            ours: float(step.attrs.get(theirs, default)) for ours, (theirs, default) in named.items()
        }
        return step.op(type_, {"X": step.x(0)}, **given)

    return translation


def _binary(name: str) -> Translation:
    def translation(step: Step) -> str:
        x, y = step.x(0), step.x(1)
        return joined(step, name, x, y)

    return translation


def joined(step: Step, name: str, x: str, y: str) -> str:
    """elementwise_<name> of two variables: the one with more dimensions first, where the order does not matter."""
    weight = step.graph.editor.is_parameter(x) and not step.graph.editor.is_parameter(y)
    a, b = len(step.dims_of(x)), len(step.dims_of(y))
    if name in COMMUTE and (a < b or (a == b and weight)):
        x, y = y, x
    return step.op(f"elementwise_{name}", {"X": x, "Y": y}, axis=-1)


def _several(name: str) -> Translation:
    def translation(step: Step) -> str:
        result = step.x(0)
        for index in range(1, len(step.node.input)):
            result = joined(step, "add" if name == "mean" else name, result, step.x(index))
        if name == "mean":
            return step.op("scale", {"X": result}, scale=1.0 / len(step.node.input), bias=0.0, bias_after_scale=True)
        return step.op("assign", {"X": result}) if len(step.node.input) == 1 else result

    return translation


def _compare(type_: str) -> Translation:
    return lambda step: step.op(type_, {"X": step.x(0), "Y": step.x(1)}, axis=-1, force_cpu=False)


def power(step: Step) -> str:
    """Pow: by the exponent where it is one number, which has kernels of its own."""
    exponent = step.const(1)
    if exponent is None or exponent.size != 1 or step.rank(0) < exponent.ndim:
        return step.op("elementwise_pow", {"X": step.x(0), "Y": step.x(1)}, axis=-1)
    number = float(exponent.reshape(-1)[0])
    if number == 2.0:
        return step.op("square", {"X": step.x(0)})
    if number == 0.5:
        return step.op("sqrt", {"X": step.x(0)})
    return step.op("pow", {"X": step.x(0)}, factor=number)


def modulo(step: Step) -> str:
    """Mod with the sign of the divisor, as whole numbers have it."""
    if step.attrs.get("fmod", 0):
        raise Untranslatable("fmod = 1, whose sign Paddle's op does not give")
    return step.op("elementwise_mod", {"X": step.x(0), "Y": step.x(1)}, axis=-1)


def clip(step: Step) -> str:
    """Clip: bounds as numbers where they are, else by maximum and minimum."""
    lowest, highest = (-math.inf, math.inf) if step.is_float() else (-(2.0**31), 2.0**31 - 1)
    bounds: list[float | None] = []
    for index, name, default in ((1, "min", lowest), (2, "max", highest)):
        if step.has(index):
            value = step.const(index)
            bounds.append(None if value is None else float(value.reshape(-1)[0]))
        else:
            bounds.append(float(step.attrs.get(name, default)))
    low, high = bounds
    x = step.x(0)
    if low is None or high is None:
        if low is None or low > lowest:
            x = step.op("elementwise_max", {"X": x, "Y": step.x(1)}, axis=-1)
        if high is None or high < highest:
            x = step.op("elementwise_min", {"X": x, "Y": step.x(2)}, axis=-1)
        return x
    if step.is_float() and (low, high) == (0.0, 6.0):
        return step.op("relu6", {"X": x}, threshold=6.0)
    if step.is_float() and low == 0.0 and high > 3.4e38:
        return step.op("relu", {"X": x})
    largest = float(np.finfo(np.float32).max)
    return step.op("clip", {"X": x}, min=max(low, -largest), max=min(high, largest))


def cast(step: Step) -> str:
    """Cast; between floats of any width there is nothing to do."""
    wanted = step.out_dtype()
    if wanted == step.dtype(0):
        return step.x(0)
    if step.is_float() and wanted != "bool" and step.graph.known.types.get(step.name(0)) == 0:
        raise Untranslatable(f"a cast to {wanted} of what has no type")
    return step.op("cast", {"X": step.x(0)}, in_dtype=PADDLE[step.dtype(0)], out_dtype=PADDLE[wanted])


def identity(step: Step) -> str:
    """What gives its input as it is."""
    return step.x(0)


def prelu(step: Step) -> str:
    """PRelu: one slope, one a channel, or any that broadcasts."""
    slope = step.const(1)
    rank = step.rank()
    if slope is not None and slope.size == 1:
        return step.op("leaky_relu", {"X": step.x(0)}, alpha=float(slope.reshape(-1)[0]))
    if slope is not None and rank >= 3:
        full = (1,) * (rank - slope.ndim) + slope.shape
        if slope.size == full[1] == step.dims(0)[1]:
            alpha = step.weight(1, slope.reshape(-1))
            return step.op("prelu", {"X": step.x(0), "Alpha": alpha}, mode="channel", data_format="NCHW")
    x = step.x(0)
    dims = step.dims(0)
    up = step.op("relu", {"X": x}, dims=dims)
    down = step.op("elementwise_sub", {"X": x, "Y": up}, dims=dims, axis=-1)
    return joined(step, "add", up, joined(step, "mul", down, step.x(1)))


def gelu(step: Step) -> str:
    """Gelu by the error function or by tanh."""
    return step.op("gelu", {"X": step.x(0)}, approximate=step.attrs.get("approximate", "none") == "tanh")


def negate(step: Step) -> str:
    """Neg."""
    return step.op("scale", {"X": step.x(0)}, scale=-1.0, bias=0.0, bias_after_scale=True)


def softplus(step: Step) -> str:
    """Softplus; from 20 on it is its input, in float32."""
    return step.op("softplus", {"X": step.x(0)}, beta=1.0, threshold=20.0)


def hard_swish(step: Step) -> str:
    """HardSwish, whose constants ONNX fixes."""
    return step.op("hard_swish", {"X": step.x(0)}, threshold=6.0, scale=6.0, offset=3.0)


def not_equal(step: Step) -> str:
    """Xor of truth values."""
    return step.op("logical_xor", {"X": step.x(0), "Y": step.x(1)})


def _logical(type_: str) -> Translation:
    return lambda step: step.op(type_, {"X": step.x(0), "Y": step.x(1)})


def where(step: Step) -> str:
    """Where: Paddle's op wants three tensors of the same dims, so the smaller ones are stretched first."""
    wanted = step.out_symbols()
    if all(step.symbols(k) == wanted for k in range(3)):
        return step.op("where", {"Condition": step.x(0), "X": step.x(1), "Y": step.x(2)})
    dtype = step.out_dtype()
    names = [step.x(k) for k in range(3)]
    if all(isinstance(size, int) for size in wanted):
        full = [_stretched(step, k, name) for k, name in enumerate(names)]
    else:
        # Zeros of the joint dims, added: a mask may hold infinity, so nothing is multiplied.
        zeros = [
            step.op("fill_any_like", {"X": n}, dims=step.dims_of(n), result_dtype=dtype, **_filled(dtype))
            for n in names
        ]
        zero = joined(step, "add", joined(step, "add", zeros[0], zeros[1]), zeros[2])
        full = [joined(step, "add", zero, name) for name in names[1:]]
        whole = step.spell.add("cast", {"X": names[0]}, result_dtype=dtype, in_dtype=0, out_dtype=PADDLE[dtype])
        again = joined(step, "add", zero, whole)
        full.insert(0, step.op("cast", {"X": again}, result_dtype="bool", in_dtype=PADDLE[dtype], out_dtype=0))
    return step.op("where", {"Condition": full[0], "X": full[1], "Y": full[2]})


def _filled(dtype: str) -> dict[str, Any]:
    return {"value": 0.0, "dtype": PADDLE[dtype]}


def _stretched(step: Step, index: int, name: str) -> str:
    dims = [int(d) for d in step.out_dims()]
    if list(step.dims_of(name)) == dims:
        return name
    value = step.const(index)
    if value is not None:
        return step.weight(index, np.ascontiguousarray(np.broadcast_to(value, dims)))
    return step.spell.add("expand_v2", {"X": name}, dims=dims, shape=dims)


def _test(type_: str) -> Translation:
    return lambda step: step.op(type_, {"X": step.x(0)})


def cast_like(step: Step) -> str:
    """CastLike: the type is that of another tensor."""
    wanted = paddle_dtype(step.graph.known.types.get(step.name(1), 0), step.name(1))
    if wanted == step.dtype(0):
        return step.x(0)
    return step.op("cast", {"X": step.x(0)}, in_dtype=PADDLE[step.dtype(0)], out_dtype=PADDLE[wanted])


SAME = (
    "Relu Sigmoid Tanh Erf Sqrt Exp Log Abs Floor Ceil Round Sign Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh"
    " Atanh Reciprocal Softsign"
)
"""Operators that Paddle calls alike, in small letters."""

TABLE: Mapping[str, Translation] = {
    **{name: _unary(name.lower()) for name in SAME.split()},
    **{name: _binary(ours) for name, ours in {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}.items()},
    **{name: _several(ours) for name, ours in {"Max": "max", "Min": "min", "Sum": "add", "Mean": "mean"}.items()},
    "Pow": power,
    "Mod": modulo,
    "Equal": _compare("equal"),
    "Greater": _compare("greater_than"),
    "Less": _compare("less_than"),
    "GreaterOrEqual": _compare("greater_equal"),
    "LessOrEqual": _compare("less_equal"),
    "And": _logical("logical_and"),
    "Or": _logical("logical_or"),
    "Xor": not_equal,
    "Not": _unary("logical_not"),
    "Where": where,
    "Clip": clip,
    "Cast": cast,
    "CastLike": cast_like,
    "Identity": identity,
    "Dropout": identity,
    "Neg": negate,
    "PRelu": prelu,
    "Gelu": gelu,
    "Mish": _unary("mish", threshold=20.0),
    "Softplus": softplus,
    "HardSwish": hard_swish,
    "LeakyRelu": _with("leaky_relu", alpha=("alpha", 0.01)),
    "Elu": _with("elu", alpha=("alpha", 1.0)),
    "Celu": _with("celu", alpha=("alpha", 1.0)),
    "Selu": _with("selu", alpha=("alpha", 1.6732631921768188), scale=("gamma", 1.0507010221481323)),
    "HardSigmoid": _with("hard_sigmoid", slope=("alpha", 0.2), offset=("beta", 0.5)),
    "ThresholdedRelu": _with("thresholded_relu", threshold=("alpha", 1.0)),
    "IsNaN": _test("isnan_v2"),
    "IsInf": _test("isinf_v2"),
}

"""Activations and functions of one number: each in ops that ARM and the NPUs have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgeflow.graph.edit import Speller, attr_of, output
from edgeflow.graph.program import input_of, inputs_of
from edgeflow.graph.spellings.spelling import Spelling


def _selu(s: Speller, op: Any, x: str) -> str:
    return s.scale(
        s.unary("elu", x, alpha=float(attr_of(op, "alpha", 1.6732632423543772))),
        attr_of(op, "scale", 1.0507009873554805),
    )


def _celu(s: Speller, op: Any, x: str) -> str:
    alpha = float(attr_of(op, "alpha", 1.0))
    return s.scale(s.unary("elu", s.scale(x, 1 / alpha), alpha=1.0), alpha)


def _softsign(s: Speller, op: Any, x: str) -> str:
    return s.binary("div", x, s.scale(s.unary("abs", x), 1, 1))


def _hardtanh(s: Speller, op: Any, x: str) -> str:
    return s.add("clip", {"X": x}, min=float(attr_of(op, "t_min", 0.0)), max=float(attr_of(op, "t_max", 24.0)))


def _log_sigmoid(s: Speller, op: Any, x: str) -> str:
    # min(x, 0) - log(1 + exp(-|x|)): never takes the logarithm of 0
    tail = s.unary("log", s.scale(s.unary("exp", s.scale(s.unary("abs", x), -1)), 1, 1))
    return s.binary("sub", s.scale(s.unary("relu", s.scale(x, -1)), -1), tail)


def _tanh_shrink(s: Speller, op: Any, x: str) -> str:
    return s.binary("sub", x, s.unary("tanh", x))


def _softshrink(s: Speller, op: Any, x: str) -> str:
    edge = float(attr_of(op, "lambda", 0.5))
    return s.binary("sub", s.unary("relu", s.scale(x, 1, -edge)), s.unary("relu", s.scale(x, -1, -edge)))


def _hard_shrink(s: Speller, op: Any, x: str) -> str:
    edge = float(attr_of(op, "threshold", 0.5))
    # keeps x beyond the edge: one thresholded_relu for each side, exact at the edge itself
    right = s.unary("thresholded_relu", x, threshold=edge)
    return s.binary("sub", right, s.unary("thresholded_relu", s.scale(x, -1), threshold=edge))


def _stanh(s: Speller, op: Any, x: str) -> str:
    return s.scale(s.unary("tanh", s.scale(x, attr_of(op, "scale_a", 0.67))), attr_of(op, "scale_b", 1.7159))


def _log_of(base: float) -> Spelling:
    return lambda s, op, x: s.scale(s.unary("log", x), 1 / math.log(base))


def _log1p(s: Speller, op: Any, x: str) -> str:
    return s.unary("log", s.scale(x, 1, 1))


def _expm1(s: Speller, op: Any, x: str) -> str:
    return s.scale(s.unary("exp", x), 1, -1)


def _ceil(s: Speller, op: Any, x: str) -> str:
    return s.scale(s.unary("floor", s.scale(x, -1)), -1)


def _tan(s: Speller, op: Any, x: str) -> str:
    return s.binary("div", s.unary("sin", x), s.unary("cos", x))


def _hyperbolic(sign: float) -> Spelling:
    def spell(s: Speller, op: Any, x: str) -> str:
        return s.binary("add", s.scale(s.unary("exp", x), 0.5), s.scale(s.unary("exp", s.scale(x, -1)), 0.5 * sign))

    return spell


def _asinh(s: Speller, op: Any, x: str) -> str:
    # odd: each side apart, because x + sqrt(x * x + 1) cancels for negative x
    def side(sign: float) -> str:
        t = s.unary("relu", s.scale(x, sign))
        return s.unary("log", s.binary("add", t, s.unary("sqrt", s.scale(s.unary("square", t), 1, 1))))

    return s.binary("sub", side(1.0), side(-1.0))


def _acosh(s: Speller, op: Any, x: str) -> str:
    return s.unary("log", s.binary("add", x, s.unary("sqrt", s.scale(s.unary("square", x), 1, -1))))


def _atanh(s: Speller, op: Any, x: str) -> str:
    return s.scale(s.binary("sub", s.unary("log", s.scale(x, 1, 1)), s.unary("log", s.scale(x, -1, 1))), 0.5)


def _trunc(s: Speller, op: Any, x: str) -> str:
    return s.binary("sub", s.unary("floor", s.unary("relu", x)), s.unary("floor", s.unary("relu", s.scale(x, -1))))


def _sign(s: Speller, op: Any, x: str) -> str:
    # saturates exactly: |x| * 1e38 is beyond 1 for every normal number
    return s.add("clip", {"X": s.scale(s.scale(x, 1e38), 1e7)}, min=-1.0, max=1.0)


def _fmax(name: str) -> Spelling:
    # equal to maximum / minimum but for NaN, which no model is meant to make
    return lambda s, op, x: s.binary(name, x, input_of(op, "Y"), int(attr_of(op, "axis", -1)))


def _lerp(s: Speller, op: Any, x: str) -> str:
    y, weight = input_of(op, "Y"), input_of(op, "Weight")
    return s.binary("add", x, s.binary("mul", s.binary("sub", y, x), weight))


def _logit(s: Speller, op: Any, x: str) -> str:
    edge = float(attr_of(op, "eps", 1e-6))
    x = s.add("clip", {"X": x}, min=edge, max=1 - edge) if edge else x
    return s.unary("log", s.binary("div", x, s.scale(x, -1, 1)))


def _times_zero(s: Speller, x: str) -> str:
    """True where x * 0 is not 0: the library is compiled to assume that comparisons never see NaN or infinity, and a
    cast to booleans asks for a bit pattern other than zero's.
    """
    return s.cast(s.binary("mul", x, s.values(np.zeros(1, np.float32))), "bool")


def _is_nan(s: Speller, op: Any, x: str) -> str | None:
    # 1 / (|x| + 1) is 0 for infinity, and NaN for NaN alone
    if s.editor.dtype(x) != "float32":
        return None
    return _times_zero(s, s.unary("reciprocal", s.scale(s.unary("abs", x), 1, 1)))


def _is_finite(s: Speller, op: Any, x: str) -> str | None:
    if s.editor.dtype(x) != "float32":
        return None
    return s.add("logical_not", {"X": _times_zero(s, x)}, result_dtype="bool")


def _is_inf(s: Speller, op: Any, x: str) -> str | None:
    nan = _is_nan(s, op, x)
    if nan is None:
        return None
    other = s.add("logical_not", {"X": nan}, result_dtype="bool")
    return s.add("logical_and", {"X": _times_zero(s, x), "Y": other}, result_dtype="bool")


def _logical(type_: str) -> Spelling:
    """Numbers count as true where they are not zero; the kernels take booleans only."""

    def spell(s: Speller, op: Any, x: str) -> str | None:
        y = inputs_of(op, "Y")
        if all(s.editor.dtype(name) == "bool" for name in (x, *y)) and op.type == type_:
            return None
        if op.type != type_ and s.editor.dtype(x) != "bool":
            return None  # bits of whole numbers
        inputs = {"X": x if s.editor.dtype(x) == "bool" else s.cast(x, "bool")}
        if y:
            inputs["Y"] = y[0] if s.editor.dtype(y[0]) == "bool" else s.cast(y[0], "bool")
        return s.add(type_, inputs, dims=s.dims(output(op)), result_dtype="bool")

    return spell


def _floor_of_quotient(s: Speller, op: Any, x: str, y: str) -> str:
    axis, dtype = int(attr_of(op, "axis", -1)), s.editor.dtype(x)
    a, b = (name if dtype == "float32" else s.cast(name, "float32") for name in (x, y))
    whole = s.unary("floor", s.binary("div", a, b, axis))
    return whole if dtype == "float32" else s.cast(whole, dtype)


def _floor_divide(s: Speller, op: Any, x: str) -> str:
    # the ARM kernel rounds towards zero; exact for whole numbers up to 2^24
    return _floor_of_quotient(s, op, x, input_of(op, "Y"))


def _mod(s: Speller, op: Any, x: str) -> str:
    # the ARM kernel gives the sign of the dividend, Paddle that of the divisor
    y = input_of(op, "Y")
    return s.binary("sub", x, s.binary("mul", _floor_of_quotient(s, op, x, y), y, int(attr_of(op, "axis", -1))))


TABLE: dict[str, Spelling] = {
    "acosh": _acosh,
    "asinh": _asinh,
    "atanh": _atanh,
    "bitwise_or": _logical("logical_or"),
    "bitwise_xor": _logical("logical_xor"),
    "brelu": _hardtanh,
    "ceil": _ceil,
    "celu": _celu,
    "cosh": _hyperbolic(1.0),
    "elementwise_floordiv": _floor_divide,
    "elementwise_fmax": _fmax("max"),
    "elementwise_fmin": _fmax("min"),
    "elementwise_mod": _mod,
    "expm1": _expm1,
    "hard_shrink": _hard_shrink,
    "isfinite_v2": _is_finite,
    "isinf_v2": _is_inf,
    "isnan_v2": _is_nan,
    "lerp": _lerp,
    "log10": _log_of(10.0),
    "log1p": _log1p,
    "log2": _log_of(2.0),
    "logical_and": _logical("logical_and"),
    "logical_not": _logical("logical_not"),
    "logical_or": _logical("logical_or"),
    "logical_xor": _logical("logical_xor"),
    "logit": _logit,
    "logsigmoid": _log_sigmoid,
    "selu": _selu,
    "sign": _sign,
    "sinh": _hyperbolic(-1.0),
    "softshrink": _softshrink,
    "softsign": _softsign,
    "stanh": _stanh,
    "tan": _tan,
    "tanh_shrink": _tanh_shrink,
    "trunc": _trunc,
}

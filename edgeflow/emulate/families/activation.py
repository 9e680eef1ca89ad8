"""One tensor in, one of the same shape out: activations and elementary functions.

Source of formulas: Paddle-Lite lite/backends/arm/math/activation.cc and lite/kernels/{arm,host}, v2.13-rc.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate import arm
from edgeflow.emulate.arm import HALF_BELOW, activate, fused_activation
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.step import Lowering, Step


def _unary(op_type: str) -> Lowering:
    return lambda step: step.out("Out", step.g.add(op_type, step.x("X")))


def _formula(formula: Callable[[Graph, Value], Value]) -> Lowering:
    return lambda step: step.out("Out", formula(step.g, step.x("X")))


def swish(step: Step) -> None:
    step.out("Out", arm.swish(step.g, step.x("X"), float(step.attr("beta", 1.0))))


def leaky_relu(step: Step) -> None:
    step.out("Out", step.g.add("LeakyRelu", step.x("X"), alpha=float(step.attr("alpha", 0.01))))


def elu(step: Step) -> None:
    step.out("Out", step.g.add("Elu", step.x("X"), alpha=float(step.attr("alpha", 1.0))))


def relu6(step: Step) -> None:
    step.out("Out", step.g.clip(step.x("X"), 0.0, float(step.attr("threshold", 6.0))))


def relu_clipped(step: Step) -> None:
    step.out("Out", step.g.clip(step.x("X"), 0.0, float(step.attr("Relu_clipped_coef", 6.0))))


def thresholded_relu(step: Step) -> None:
    step.out("Out", step.g.add("ThresholdedRelu", step.x("X"), alpha=float(step.attr("threshold", 1.0))))


def hard_sigmoid(step: Step) -> None:
    g, x = step.g, step.x("X")
    y = arm.multiply_add(g, x, float(step.attr("slope", 0.2)), float(step.attr("offset", 0.5)))
    step.out("Out", g.clip(y, 0.0, 1.0))


def hard_swish(step: Step) -> None:
    """Four at a time gate * (r * x), the rest (gate * x) * r. Source: activation.cc act_hard_swish."""
    g, x = step.g, step.x("X")
    gate = g.clip(g.plus(x, float(step.attr("offset", 3.0))), 0.0, float(step.attr("threshold", 6.0)))
    inverse = float(np.float32(1) / np.float32(step.attr("scale", 6.0)))
    vector, rest = g.mul(gate, g.mul(x, inverse)), g.mul(g.mul(gate, x), inverse)
    step.out("Out", arm.vector_part(g, vector, rest, math.prod(x.shape)))


def gelu(step: Step) -> None:
    g, x = step.g, step.x("X")
    if step.attr("approximate", False):
        inner = g.mul(g.plus(x, g.mul(g.mul(g.mul(x, x), x), 0.044715)), math.sqrt(2 / math.pi))
        step.out("Out", g.mul(g.mul(x, 0.5), g.plus(g.add("Tanh", inner), 1.0)))
        return
    half = g.mul(x, 0.5)
    step.out("Out", g.mul(half, g.plus(g.add("Erf", g.mul(x, math.sqrt(0.5))), 1.0)))


def softplus(step: Step) -> None:
    step.out("Out", _softplus(step.g, step.x("X"), float(step.attr("beta", 1.0)), float(step.attr("threshold", 20.0))))


def _softplus(g: Graph, x: Value, beta: float, threshold: float) -> Value:
    scaled = x if beta == 1.0 else g.mul(x, beta)
    # Above the threshold exp would overflow and the result is x itself.
    soft = g.add("Softplus", g.clip(scaled, None, threshold))
    if beta != 1.0:
        soft = g.mul(soft, float(np.float32(1) / np.float32(beta)))
    return g.add("Where", g.add("Greater", scaled, g.scalar(threshold)), x, soft)


def mish(step: Step) -> None:
    g, x = step.g, step.x("X")
    step.out("Out", g.mul(x, g.add("Tanh", _softplus(g, x, 1.0, float(step.attr("threshold", 20.0))))))


def prelu(step: Step) -> None:
    g, x, alpha = step.g, step.x("X"), step.x("Alpha")
    mode = step.attr("mode", "channel")
    shape = {"all": (1,), "channel": (1, x.shape[1]) + (1,) * (x.rank - 2), "element": (1, *x.shape[1:])}.get(mode)
    if shape is None:
        raise NbError(f"prelu: mode is {mode!r}, and should be 'all', 'channel' or 'element'")
    step.out("Out", g.add("PRelu", x, g.reshape(alpha, shape)))


def scale(step: Step) -> None:
    g, x = step.g, step.x("X")
    factor, bias = float(step.attr("scale", 1.0)), float(step.attr("bias", 0.0))
    if (given := step.maybe("ScaleTensor")) is not None:
        multiplied = g.mul(x, given)
        if not step.attr("bias_after_scale", True):
            multiplied = g.mul(g.plus(x, bias), given)
            bias = 0.0
        step.out("Out", multiplied if bias == 0.0 else g.plus(multiplied, bias))
        return
    if not step.attr("bias_after_scale", True):
        bias = float(np.float32(bias) * np.float32(factor))
    y = x
    if x.storage.startswith("int"):
        y = g.plus(g.mul(x, int(factor)), int(bias))
    else:
        if factor != 1.0 and bias != 0.0 and x.storage == "float32":
            y = arm.multiply_add(g, y, factor, bias)  # Source: scale.cc scale_compute_fp32
        elif factor != 1.0:
            y = g.mul(y, factor)
        elif bias != 0.0:
            y = g.plus(y, bias)
        y = activate(g, y, fused_activation(step))
    step.out("Out", y)


def clip(step: Step) -> None:
    x = step.x("X")
    low, high = step.known("Min"), step.known("Max")
    bounds = [
        float(np.ravel(given)[0]) if given is not None else float(step.attr(name, default))
        for given, name, default in ((low, "min", -np.inf), (high, "max", np.inf))
    ]
    if x.storage.startswith("int"):
        info = np.iinfo(x.storage)
        bounds = [float(np.clip(bound, info.min, info.max)) for bound in bounds]
    step.out("Out", step.g.clip(x, bounds[0], bounds[1]))


def power(step: Step) -> None:
    x = step.x("X")
    given = step.known("FactorTensor")
    factor = float(np.ravel(given)[0]) if given is not None else float(step.attr("factor", 1.0))
    step.out("Out", step.g.add("Pow", x, step.g.scalar(factor, x.storage)))


def round_half_away(step: Step) -> None:
    g, x = step.g, step.x("X")
    magnitude = g.add("Floor", g.plus(g.add("Abs", x), HALF_BELOW))
    step.out("Out", g.mul(magnitude, g.add("Sign", x)))


def dropout(step: Step) -> None:
    """At inference: nothing, or a constant factor for models trained the older way."""
    x = step.x("X")
    if step.attr("dropout_implementation", "downgrade_in_infer") == "upscale_in_train":
        step.out("Out", x)
    else:
        step.out("Out", step.g.mul(x, float(np.float32(1) - np.float32(step.attr("dropout_prob", 0.5)))))


def increment(step: Step) -> None:
    x = step.x("X")
    step.out("Out", step.g.plus(x, step.attr("step", 1.0)))


def softmax(step: Step) -> None:
    x = step.x("X")
    step.out("Out", arm.softmax(step.g, x, step.axis(step.attr("axis", -1), x.rank)))


def log_softmax(step: Step) -> None:
    step.out("Out", step.g.add("LogSoftmax", step.x("X"), axis=int(step.attr("axis", -1))))


def _rsqrt(g: Graph, x: Value) -> Value:
    return g.add("Reciprocal", g.add("Sqrt", x))


def _log(g: Graph, x: Value) -> Value:
    """Four at a time NaN for zero and less, where the rest gives minus infinity for zero.

    Source: backends/arm/math/funcs.h log_ps.
    """
    exact = g.add("Log", x)
    if x.storage != "float32":
        return exact
    none = g.add("LessOrEqual", x, g.scalar(0.0))
    return arm.vector_part(g, g.add("Where", none, g.scalar(float("nan")), exact), exact, math.prod(x.shape))


def _square(g: Graph, x: Value) -> Value:
    return g.mul(x, x)


def _silu(g: Graph, x: Value) -> Value:
    return g.mul(x, g.add("Sigmoid", x))  # this kernel takes two Newton steps: exact


def _tanh_shrink(g: Graph, x: Value) -> Value:
    return g.add("Sub", x, g.add("Tanh", x))


def _softsign(g: Graph, x: Value) -> Value:
    return g.add("Div", x, g.plus(g.add("Abs", x), 1.0))


NODES = {
    "relu": "Relu",
    "abs": "Abs",
    "negative": "Neg",
    "exp": "Exp",
    "sqrt": "Sqrt",
    "floor": "Floor",
    "ceil": "Ceil",
    "reciprocal": "Reciprocal",
    "sin": "Sin",
    "cos": "Cos",
    "sign": "Sign",
    "erf": "Erf",
    "atan": "Atan",
    "tan": "Tan",
    "acos": "Acos",
    "asin": "Asin",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "assign": "Identity",
    "share_data": "Identity",
}
TABLE: dict[str, Lowering] = {
    **{name: _unary(node) for name, node in NODES.items()},
    "log": _formula(_log),
    "rsqrt": _formula(_rsqrt),
    "square": _formula(_square),
    "sigmoid": _formula(arm.sigmoid),
    "tanh": _formula(arm.tanh),
    "softsign": _formula(_softsign),
    "tanh_shrink": _formula(_tanh_shrink),
    "silu": _formula(_silu),
    "swish": swish,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "relu6": relu6,
    "relu_clipped": relu_clipped,
    "thresholded_relu": thresholded_relu,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "gelu": gelu,
    "softplus": softplus,
    "mish": mish,
    "prelu": prelu,
    "scale": scale,
    "clip": clip,
    "pow": power,
    "round": round_half_away,
    "dropout": dropout,
    "increment": increment,
    "softmax": softmax,
    "log_softmax": log_softmax,
}

"""Two tensors, element by element: every axis rule, comparison, logic, and the fused activations."""

from __future__ import annotations

from collections.abc import Callable

from edgeflow.core.errors import NbError
from edgeflow.emulate.arm import activate, fused_activation
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.step import Lowering, Step


def aligned(g: Graph, x: Value, y: Value, axis: int) -> tuple[Value, Value]:
    """Give the tensor of lower rank the other's rank: its dimensions start at `axis`, -1 means at the end.

    Source: Paddle-Lite lite/kernels/arm/elementwise_compute.cc is_broadcast and is_fast_broadcast, v2.13-rc.
    """
    if x.rank == y.rank:
        return x, y
    large, small = (x, y) if x.rank > y.rank else (y, x)
    dims = list(small.shape)
    at = large.rank - small.rank if axis in (-1, None) else axis
    if axis not in (-1, None):
        # Paddle trims trailing ones before it looks where the rest begins.
        while len(dims) > 1 and dims[-1] == 1 and at + len(dims) > large.rank:
            dims.pop()
    if at < 0 or at + len(dims) > large.rank:
        raise NbError(f"elementwise: {list(small.shape)} cannot begin at axis {axis} of {list(large.shape)}")
    shaped = g.reshape(small, [1] * at + dims + [1] * (large.rank - at - len(dims)))
    return (x, shaped) if large is x else (shaped, y)


def _binary(apply: Callable[[Graph, Value, Value], Value]) -> Lowering:
    def lower(step: Step) -> None:
        x, y = aligned(step.g, step.x("X"), step.x("Y"), int(step.attr("axis", -1)))
        if x.storage != y.storage:
            wide = max((x.storage, y.storage), key=lambda d: ("bool", "uint8", "int32", "int64", "float32").index(d))
            x, y = step.g.cast(x, wide), step.g.cast(y, wide)
        out = apply(step.g, x, y)
        if step.attr("fuse_scale", False):
            out = step.g.plus(step.g.mul(out, float(step.attr("scale", 1.0))), float(step.attr("bias", 0.0)))
        step.out("Out", activate(step.g, out, fused_activation(step)) if out.dtype == "float32" else out)

    return lower


def _node(op_type: str) -> Callable[[Graph, Value, Value], Value]:
    return lambda g, x, y: g.add(op_type, x, y)


def _guarded(g: Graph, y: Value) -> tuple[Value, Value]:
    """Where a whole divisor is zero, and the divisor with ones there: AArch64's division by zero gives zero.

    Divisors of -1 become ones too: x86 ends the process where the smallest number is divided by -1. `_signed` sets the
    sign.
    """
    zero = g.add("Equal", y, g.scalar(0, y.storage))
    safe = g.add("Where", zero, g.scalar(1, y.storage), y)
    return zero, safe if y.storage == "uint8" else g.add("Where", _minus_one(g, y), g.scalar(1, y.storage), safe)


def _minus_one(g: Graph, y: Value) -> Value:
    return g.add("Equal", y, g.scalar(-1, y.storage))


def _signed(g: Graph, quotient: Value, y: Value) -> Value:
    """A quotient by 1 as one by -1, where the divisor is -1; AArch64 wraps the smallest number around."""
    if y.storage == "uint8":
        return quotient
    return g.add("Where", _minus_one(g, y), g.mul(quotient, -1), quotient)


def _div(g: Graph, x: Value, y: Value) -> Value:
    if x.storage == "float32":
        return g.add("Div", x, y)
    zero, safe = _guarded(g, y)
    return g.add("Where", zero, g.scalar(0, x.storage), _signed(g, g.add("Div", x, safe), y))


def _mod(g: Graph, x: Value, y: Value) -> Value:
    """Source: backends/arm/math/elementwise.cc elementwise_mod: C's remainder, with the sign of the dividend."""
    if x.storage != "float32":
        zero, safe = _guarded(g, y)
        return g.add("Where", zero, x, g.add("Mod", x, safe, fmod=1))
    return g.add("Sub", x, g.mul(g.add("Floor", g.add("Div", x, y)), y))


def _floordiv(g: Graph, x: Value, y: Value) -> Value:
    """Source: backends/arm/math/elementwise_naive_impl.h naive_floor_div: truncates towards zero, floats as well."""
    quotient = _div(g, x, y)
    if x.storage != "float32":
        return quotient
    return g.mul(g.add("Floor", g.add("Abs", quotient)), g.add("Sign", quotient))


def _not_equal(g: Graph, x: Value, y: Value) -> Value:
    return g.add("Not", g.add("Equal", x, y))


def _power(g: Graph, x: Value, y: Value) -> Value:
    return g.add("Pow", x, y)


def add_n(step: Step) -> None:
    """sum: any number of tensors of one shape."""
    total, *rest = step.xs("X")
    for value in rest:
        total = step.g.plus(total, value)
    step.out("Out", total)


def bitwise(step: Step) -> None:
    """bitwise_and, _or, _xor and _not on whole numbers and bool."""
    g, kind, x = step.g, step.op.type.removeprefix("bitwise_"), step.x("X")
    logic = x.storage == "bool"
    if kind == "not":
        step.out("Out", g.add("Not" if logic else "BitwiseNot", x))
        return
    node = kind.title() if logic else f"Bitwise{kind.title()}"
    step.out("Out", g.add(node, *aligned(g, x, step.x("Y"), -1)))


def logical_not(step: Step) -> None:
    step.out("Out", step.g.add("Not", step.x("X")))


ARITHMETIC: dict[str, Callable[[Graph, Value, Value], Value]] = {
    "add": _node("Add"),
    "sub": _node("Sub"),
    "mul": _node("Mul"),
    "div": _div,
    "max": _node("Max"),
    "min": _node("Min"),
    "pow": _power,
    "mod": _mod,
    "floordiv": _floordiv,
}
TABLE: dict[str, Lowering] = {
    "sum": add_n,
    "bitwise_and": bitwise,
    "bitwise_or": bitwise,
    "bitwise_xor": bitwise,
    "bitwise_not": bitwise,
    **{f"elementwise_{name}": _binary(apply) for name, apply in ARITHMETIC.items()},
    **{f"fusion_elementwise_{name}_activation": _binary(apply) for name, apply in ARITHMETIC.items()},
    "equal": _binary(_node("Equal")),
    "not_equal": _binary(_not_equal),
    "less_than": _binary(_node("Less")),
    "less_equal": _binary(_node("LessOrEqual")),
    "greater_than": _binary(_node("Greater")),
    "greater_equal": _binary(_node("GreaterOrEqual")),
    "logical_and": _binary(_node("And")),
    "logical_or": _binary(_node("Or")),
    "logical_xor": _binary(_node("Xor")),
    "logical_not": logical_not,
}

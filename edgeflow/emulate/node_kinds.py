"""ONNX nodes by what becomes of their inputs' shapes."""

from __future__ import annotations

SAME_SHAPE = {
    "Relu",
    "Sigmoid",
    "Tanh",
    "Abs",
    "Neg",
    "Exp",
    "Log",
    "Sqrt",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "Erf",
    "Clip",
    "LeakyRelu",
    "Elu",
    "Softplus",
    "HardSigmoid",
    "Reciprocal",
    "Identity",
    "Softmax",
    "LogSoftmax",
    "Sin",
    "Cos",
    "Not",
    "BitwiseNot",
    "CumSum",
    "Selu",
    "ThresholdedRelu",
    "Scan",
}
"""The result has the shape of the first input."""

BROADCAST = {"BitwiseAnd", "BitwiseOr", "BitwiseXor", "Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Mod", "PRelu"}
"""The result has the shape that the inputs have together."""

COMPARE = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"}
"""The same, and the result is a truth value."""

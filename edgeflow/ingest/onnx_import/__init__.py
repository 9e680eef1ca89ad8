"""ONNX files as Paddle programs: read with bounds, folded, and translated node by node, without generated code."""

from __future__ import annotations

SUFFIX = ".onnx"


def is_onnx(program: str | None) -> bool:
    """A recipe's program is an ONNX file, by its name."""
    return program is not None and program.lower().endswith(SUFFIX)

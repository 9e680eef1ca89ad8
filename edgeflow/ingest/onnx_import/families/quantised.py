"""QuantizeLinear and DequantizeLinear: the model comes in as float, weights by their scales."""

from __future__ import annotations

from collections.abc import Mapping

from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable


def through(step: Step) -> str:
    """A pair of them around a tensor gives it as it is, but for the rounding that int8 builds bring in again."""
    if step.graph.known.constants.get(step.name(0)) is not None and step.node.op_type == "DequantizeLinear":
        raise Untranslatable("a quantised weight whose scale is computed at run time")
    return step.x(0)


TABLE: Mapping[str, Translation] = {"QuantizeLinear": through, "DequantizeLinear": through}

"""Scales that are powers of two, for NPUs that shift instead of multiply (eeasytech).

PaddleSlim writes ranges (the largest absolute value, 127 steps); a scale is range / 127. Each is raised to the next
power of two, so that nothing is clipped that was not before, and the weights are quantised anew from the float ones.
Source: Paddle-Lite v2.13-rc docs/demo_guides/eeasytech_npu.md, which asks for "log2" scales of one per layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeflow.core.errors import CompressFailed
from edgeflow.core.rounding import half_away
from edgeflow.core.samples import Array
from edgeflow.graph.program import attribute, input_of, inputs_of

LEVELS = 127


def power_of_two_scales(program: Any, weights: dict[str, Array], source: Mapping[str, Array]) -> int:
    """Rewrite a program that post-training quantisation made with one weight scale a layer.

    Args:
        source: the float weights, by the same names.

    Returns:
        How many ranges were raised.

    Raises:
        CompressFailed: weights with a scale for each channel, which these NPUs do not take.
    """
    made = 0
    for op in program.blocks[0].ops:
        if op.type.startswith("fake_channel_wise"):
            raise CompressFailed(
                "power-of-two scales: the weights have a scale for each channel, and should have one a layer",
                try_='weights = "per_layer" under [compress]',
            )
        for attr in op.attrs:
            if attr.name.endswith("threshold") and attr.name != "threshold" and attr.f > 0:
                attr.f = raised(attr.f)
                made += 1
        if op.type.startswith("fake_quantize") and (name := inputs_of(op, "InScale")):
            weights[name[0]] = np.asarray([raised(float(weights[name[0]].ravel()[0]))], np.float32)
            made += 1
        if op.type == "fake_dequantize_max_abs":
            made += _weights(program, op, weights, source)
    return made


def raised(largest: float) -> float:
    """The smallest range at least as wide whose scale is a power of two."""
    return float(LEVELS * 2.0 ** math.ceil(math.log2(largest / LEVELS) - 1e-6)) if largest > 0 else largest


def _weights(program: Any, op: Any, weights: dict[str, Array], source: Mapping[str, Array]) -> int:
    x = input_of(op, "X")
    maker = next(o for o in program.blocks[0].ops if any(x in var.arguments for var in o.outputs))
    name = next((n for var in maker.inputs for n in var.arguments if n in source and n in weights), None)
    limit = attribute(op, "max_range")
    if name is None or limit is None or limit.f <= 0:
        return 0
    scale = raised(LEVELS * LEVELS / limit.f) / LEVELS
    steps = source[name].astype(np.float64) / scale
    weights[name] = np.clip(half_away(steps), -LEVELS, LEVELS).astype(np.float32)
    limit.f = LEVELS / scale
    return 1

"""Golden tensors: a few inputs, what the very .nb makes of them, and how far a device may be from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.core.settings import DriftLimits
from edgeflow.emulate import Emulator

SAMPLES = 4
FLOOR = 1e-6
"""Outputs that are all zero still have some room."""
ROOM = {"float32": 1e-4, "float16": 2e-2, "int8": 2e-2}
"""Largest absolute difference, as a share of the largest output.

Source: measured on Paddle Lite's ARM runtime under qemu-user, 511 golden cases (README, "How exact is the emulator").
float32: all within 1e-5, armv7hf and armv8 included; ten times that. float16: all within 8 units in the last place, 8 *
2**-10 of the value; two and a half times that, for other orders of summation. int8: Cortex-A53 bit for bit, A76 2.4e-7,
armv7hf 1e-5; but where a value lies at half a step, one CPU may round the other way, and one step is 1/127 of a
tensor's range: two and a half.
"""
PEAK = 4.0
"""Largest error over its root mean square: four standard deviations, which one normal value in 16,000 exceeds."""


@dataclass(frozen=True, slots=True)
class GoldenTensors:
    """Arrays by position, [samples, ...], in the file's order of inputs and outputs."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


def golden_tensors(emulator: Emulator, inputs: Mapping[str, Array], most: int = SAMPLES) -> GoldenTensors | None:
    """Run the first samples together: as many as the file's batch is fixed to, or `most` where it is open.

    Returns:
        None where an output is not finite: nothing could be compared with it.
    """
    fixed = emulator.inputs[0].shape[0] if emulator.inputs and emulator.inputs[0].shape else -1
    count = fixed if fixed > 0 else most
    feed = {spec.name: inputs[spec.name][:count] for spec in emulator.inputs}
    found = emulator.infer(feed)
    outputs = tuple(found[name] for name in emulator.outputs)
    if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in outputs):
        return None
    return GoldenTensors(tuple(feed[spec.name] for spec in emulator.inputs), outputs)


def max_abs(outputs: Sequence[Array], precision: str, npu: DriftLimits | None) -> float:
    """The largest absolute difference a device may show, over all outputs; whole numbers alone are held to be equal.

    Args:
        npu: the limits of a target with an NPU, whose rounding no one publishes; None for a CPU.
    """
    floats = [array.astype(np.float64) for array in outputs if array.dtype.kind == "f"]
    if not floats:
        return 0.0
    allowed = ROOM[precision] * max(float(np.abs(array).max(initial=0.0)) for array in floats)
    if npu is not None:
        rms = max(math.sqrt(float(np.mean(array**2))) if array.size else 0.0 for array in floats)
        allowed = max(allowed, _drift(npu, rms))
    return float(f"{max(allowed, FLOOR):.3g}")


def _drift(limits: DriftLimits, rms: float) -> float:
    """What the limits let a single value be off: their own word, or four times the noise they allow."""
    if limits.max_abs_max is not None:
        return limits.max_abs_max
    if limits.sqnr_db_min is not None:
        return float(PEAK * rms * 10 ** (-limits.sqnr_db_min / 20))
    if limits.cosine_min is not None:
        return PEAK * rms * math.sqrt(2 * max(1 - limits.cosine_min, 0.0))
    return 0.0

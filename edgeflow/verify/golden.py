"""Golden tensors: a few inputs, what the very .nb makes of them, and how far a device may be from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.ragged import alike
from edgeflow.core.samples import Array
from edgeflow.core.settings import DriftLimits
from edgeflow.emulate import Emulator
from edgeflow.emulate.ties import MARGIN, quantises, ties

SAMPLES = 4
FLOOR = 1e-6
"""Outputs that are all zero still have some room."""
ROOM = {"float32": 1e-4, "float16": 2e-2, "int8": 1e-4}
"""Largest absolute difference, as a share of the largest output.

Source: measured on Paddle Lite's ARM runtime under qemu-user, 511 golden cases (README, "How exact is the emulator").
float32: all within 1e-5, armv7hf and armv8 included; ten times that. float16: all within 8 units in the last place, 8 *
2**-10 of the value; two and a half times that, for other orders of summation. int8: Cortex-A53 bit for bit, A76 2.4e-7,
armv7hf 1e-5; ten times that, and where values lie at half a step, so that one CPU may round the other way, twice what
such ties can do (emulate/ties.py).
"""
ROOM_NPU = {"int8": 2e-2}
"""The same for an NPU, whose rounding of int8 is not public: a step is 1/127 of a tensor's range, two and a half."""

CANDIDATES = 16
"""Samples that are looked at for some without rounding ties."""

PEAK = 4.0
"""Largest error over its root mean square: four standard deviations, which one normal value in 16,000 exceeds."""


@dataclass(frozen=True, slots=True)
class GoldenTensors:
    """Arrays by position, [samples, ...], in the file's order of inputs and outputs.

    Attributes:
        spread: the largest difference that rounding ties make in any output.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    spread: float = 0.0


def golden_tensors(emulator: Emulator, inputs: Mapping[str, Array], most: int = SAMPLES) -> GoldenTensors | None:
    """Run some samples together: as many as the file's batch is fixed to, or `most` where it is open.

    The first ones, where samples are of several sizes those that have the first one's; of an int8 file those of them
    with the fewest rounding ties, as every other CPU computes them.

    Returns:
        None where an output is not finite: nothing could be compared with it.
    """
    fixed = emulator.inputs[0].shape[0] if emulator.inputs and emulator.inputs[0].shape else -1
    count = fixed if fixed > 0 else most
    inputs = alike({spec.name: inputs[spec.name] for spec in emulator.inputs})
    chosen = _steady(emulator, inputs, count, fixed)
    feed = {spec.name: inputs[spec.name][chosen] for spec in emulator.inputs}
    found = emulator.infer(feed)
    outputs = tuple(found[name] for name in emulator.outputs)
    if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in outputs):
        return None
    spread = max(ties(emulator.model, feed, npu=emulator.npu).spread, default=0.0)
    return GoldenTensors(tuple(feed[spec.name] for spec in emulator.inputs), outputs, spread)


def _steady(emulator: Emulator, inputs: Mapping[str, Array], count: int, fixed: int) -> list[int]:
    """Positions of `count` samples with few rounding ties, in their order."""
    most = min((len(inputs[spec.name]) for spec in emulator.inputs), default=count)
    if fixed > 1 or not quantises(emulator.model):
        return list(range(min(count, most)))
    found: list[tuple[int, int]] = []
    for index in range(min(CANDIDATES, most)):
        feed = {spec.name: inputs[spec.name][index : index + 1] for spec in emulator.inputs}
        found.append((sum(int(mask.array.sum()) for mask in emulator.ties(feed)), index))
        if sum(1 for number, _ in found if number == 0) == count:
            break
    return sorted(index for _, index in sorted(found)[:count])


def max_abs(outputs: Sequence[Array], precision: str, npu: DriftLimits | None, spread: float = 0.0) -> float:
    """The largest absolute difference a device may show, over all outputs; whole numbers alone are held to be equal.

    Args:
        spread: what rounding ties make of them.
        npu: the limits of a target with an NPU, whose rounding no one publishes; None for a CPU.
    """
    floats = [array.astype(np.float64) for array in outputs if array.dtype.kind == "f"]
    if not floats:
        return 0.0
    largest = max(float(np.abs(array).max(initial=0.0)) for array in floats)
    allowed = ROOM[precision] * largest
    allowed = max(allowed, MARGIN * spread)
    if npu is not None:
        allowed = max(allowed, ROOM_NPU.get(precision, 0.0) * largest)
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

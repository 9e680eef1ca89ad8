"""Is this file what was compressed? The .nb against the compressed program's own outputs, whatever quantisation lost.

An int8 .nb computes what the fake-quantised program computes, to the last digits, but for ties: where a value lies
at half a step, the two may round to either side. For the first samples it is known how the ties fell
(verify/decided.py), and with them the file has to be exact. The others tell a file from a rough quantisation by how
many samples it gives exactly, and by how little of quantisation's own noise the rest is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeflow.core.drift import distance, shaped_like
from edgeflow.core.samples import Array
from edgeflow.core.statistics import binomial_interval

NEAR = {"int8": 1e-5, "float32": 1e-4, "float16": 2e-2}
"""A sample is exact up to this share of the largest output.

Source: int8 and float16 as in ROOM of verify/golden.py; float32 with ten times the 1e-5 measured there, for Paddle's
own order of summation. Measured for int8 on the digits network: 2e-7 where no tie is, 7e-3 where one is.
"""

EXACT_MIN = 0.5
"""Ties are rare: half of the samples have none in a small network."""

NOISE_MAX = 0.5
"""In a large one each sample may have a tie, and a tie moves all that comes after it: of the noise that quantisation
makes, ties are less than this share.

Measured, inexact samples alone: digits 0.01, ResNet18, MobileNetV2 and V3 0.04 to 0.05 with 8 to 20 % of the samples,
PP-OCRv4's recogniser 0.32 with all of them.
"""


@dataclass(frozen=True, slots=True)
class Exactness:
    """Of one output: share of exact samples, the farthest one, and the noise as a share of quantisation's own.

    `decided`: samples that were run with every tie as it fell in the program; `astray` of them are not exact all the
    same, and the farthest lies `apart`, as a share of the largest value.
    """

    exact: float
    samples: int
    farthest: float
    noise: float
    decided: int = 0
    astray: int = 0
    apart: float = 0.0


def exactness(
    reference: Array, compressed: Array, candidate: Array, precision: str, decided: Array | None = None
) -> Exactness:
    """How exactly a candidate gives what the compressed program gives.

    Args:
        reference, compressed, candidate: one output of the float program, the compressed one and the .nb, of the same
            samples.
        decided: of the candidate, with ties as they fell in the compressed program, for the first samples.
    """
    candidate, reference = shaped_like(compressed, candidate), shaped_like(compressed, reference)
    count = len(compressed) if compressed.ndim else 1
    gap = distance(compressed, candidate)
    finite = np.abs(compressed[np.isfinite(compressed)].astype(np.float64))
    scale = float(finite.max(initial=0.0)) or 1.0
    per_sample = gap.reshape(count, -1).max(1, initial=0.0) / scale
    own = float(np.square(distance(reference, compressed)).sum())
    noise = float(np.square(gap).sum())
    with np.errstate(invalid="ignore"):
        exact = float(np.mean(per_sample <= NEAR[precision]))
    share = 0.0 if noise == 0 else noise / own if own > 0 else math.inf
    found = Exactness(exact, count, float(per_sample.max(initial=0.0)), share)
    if decided is None or not compressed.ndim or decided.shape[1:] != compressed.shape[1:]:
        return found
    most = min(len(decided), count)
    left = distance(compressed[:most], decided[:most]).reshape(most, -1).max(1, initial=0.0) / scale
    astray = int(np.sum(~(left <= NEAR[precision])))
    return replace(found, decided=most, astray=astray, apart=float(left.max(initial=0.0)))


def inexact(found: Sequence[Exactness], built: Sequence[Exactness] = ()) -> list[str]:
    """What is no tie, as sentences; none where the file is what was compressed.

    Args:
        built: the same of the file as it was built, whose ties are the measure of what ties do.
    """
    said = []
    for k, item in enumerate(found):
        prefix = f"output {k}: " if len(found) > 1 else ""
        if item.astray:
            said.append(
                f"{prefix}{item.astray} of {item.decided} samples differ from the compressed program with every "
                f"rounding tie as it fell there (up to {item.apart:.2g} of the largest value)"
            )
            continue
        if item.exact == 1:
            continue
        if k < len(built):
            least = 1 - binomial_interval(math.ceil(round((1 - built[k].exact) * built[k].samples, 6)), item.samples)[1]
            holds = item.exact >= least and item.noise <= max(NOISE_MAX, 2 * built[k].noise)
        else:
            holds = item.noise <= NOISE_MAX or (item.exact >= EXACT_MIN and item.noise <= 1)
        if not holds:
            said.append(
                f"{prefix}{1 - item.exact:.3g} of the samples differ from the compressed program by more than rounding "
                f"ties (up to {item.farthest:.2g} of the largest value, {item.noise:.2g} of quantisation's own noise)"
            )
    return said

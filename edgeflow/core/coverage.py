"""Which op types have a kernel on which place: targets/coverage.json, asked of opt itself by scripts/coverage."""

from __future__ import annotations

import json
from functools import cache

from edgeflow.core.targets import Target, folder

HOST_PLACES = ("arm", "opencl", "x86")
QUANTISABLE = ("conv2d", "depthwise_conv2d", "conv2d_transpose", "mul", "matmul", "matmul_v2")
"""Ops with an int8 kernel on ARM. Source: Paddle-Lite v2.13-rc lite/kernels/arm, PRECISION(kInt8) registrations."""


@cache
def places() -> dict[str, frozenset[str]]:
    """Op types by place."""
    table = json.loads((folder() / "coverage.json").read_text(encoding="utf-8"))
    return {place: frozenset(ops) for place, ops in table["places"].items()}


def covered(target: Target) -> frozenset[str]:
    """Op types that some place of a target, or the host, can run."""
    known = places()
    found = set(known["host"])
    for place in target.lite.valid_targets.split(","):
        found |= known.get(place, frozenset())
    return frozenset(found)


def npu_ops(target: Target) -> frozenset[str] | None:
    """Op types that the target's NPU takes; None where it has no NPU."""
    found = opt_ops(target)
    return found & set(target.lite.npu_ops) if found is not None and target.lite.npu_ops else found


def opt_ops(target: Target) -> frozenset[str] | None:
    """Op types that opt would give the target's NPU unless it is told otherwise; None where it has no NPU."""
    names = [place for place in target.lite.valid_targets.split(",") if place not in HOST_PLACES]
    return places().get(names[0]) if names else None

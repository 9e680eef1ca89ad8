"""Drift hop by hop: reference -> CPU fp32 -> compressed -> .nb emulated -> Paddle Lite -> device, on the same input
bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.drift import distance, finite, measure
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.metrics import loss
from edgeflow.core.samples import Array
from edgeflow.project.reference import Reference
from edgeflow.verify.scores import score

SAMPLES = 512
"""Samples that the hops are compared on: Paddle has to compute them again."""

NAMES = {
    "gpu_fp32": "GPU fp32",
    "cpu_fp32": "CPU fp32",
    "compressed": "compressed",
    "nb_emulated": ".nb emulated",
    "nb_paddle_lite": ".nb in Paddle Lite x86",
    "device": "device",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One stop of the way: what computed the outputs, or why there are none."""

    key: str
    outputs: tuple[Array, ...] | None
    runner: str = ""
    why_missing: str = ""


def waterfall(
    steps: Sequence[Step], reference: Reference, metric: str | None, folder: Path | None
) -> list[dict[str, Any]]:
    """Error and loss of each hop, from the last stop that is there; `share` is its part of all hops' noise.

    Args:
        steps: in order, the reference first; missing ones are named, and the next hop starts before them.
    """
    rows: list[dict[str, Any]] = []
    noises: list[float] = []
    before = steps[0]
    for step in steps[1:]:
        row: dict[str, Any] = {
            "hop": f"{NAMES[before.key]} -> {NAMES[step.key]}",
            "from": before.key,
            "to": step.key,
            "available": step.outputs is not None,
            "why_missing": step.why_missing or None,
            "runner": step.runner or None,
            "sqnr_db": None,
            "max_abs": None,
            "cosine": None,
            "metric": None,
            "metric_loss": None,
            "share": None,
        }
        if step.outputs is not None and before.outputs is not None:
            drifts = [measure(a, b) for a, b in zip(before.outputs, step.outputs, strict=True)]
            worst = min(drifts, key=lambda item: item.sqnr_db)
            largest = max(item.max_abs for item in drifts)
            row.update(finite({"sqnr_db": worst.sqnr_db, "max_abs": largest, "cosine": worst.cosine}))
            row.update(_metric(before, step, reference, metric, folder))
            noises.append(
                sum(float((distance(a, b) ** 2).sum()) for a, b in zip(before.outputs, step.outputs, strict=True))
            )
            before = step
        else:
            noises.append(0.0)
        rows.append(row)
    total = sum(noises)
    for row, noise in zip(rows, noises, strict=True):
        if row["available"]:
            row["share"] = None if not math.isfinite(total) else noise / total if total > 0 else 0.0
    return rows


def _metric(
    before: Step, step: Step, reference: Reference, metric: str | None, folder: Path | None
) -> dict[str, float]:
    if metric is None or reference.labels is None or before.outputs is None or step.outputs is None:
        return {}
    moved = Reference(reference.inputs, before.outputs, reference.labels)
    found, _ = score(metric, moved, list(step.outputs), folder, None)
    return (
        {}
        if found is None
        else {"metric": found.candidate, "metric_loss": loss(metric, found.reference, found.candidate)}
    )


def first(reference: Reference, count: int) -> Reference:
    """The first samples of a reference, where they can be told apart."""
    whole = reference.samples
    if whole <= count or any(array.ndim == 0 or len(array) != whole for array in reference.outputs):
        return reference
    return Reference(
        {name: array[:count] for name, array in reference.inputs.items()},
        tuple(array[:count] for array in reference.outputs),
        None if reference.labels is None else reference.labels[:count],
    )


def paddle_steps(compressed: Path, reference: Reference, device: str) -> list[Step]:
    """The stops that Paddle computes, inside a worker: the reference itself, the float program on the CPU, the
    compressed one.
    """
    on_gpu = device.startswith("GPU")
    steps = [
        Step(
            "gpu_fp32",
            reference.outputs if on_gpu else None,
            device if on_gpu else "",
            "" if on_gpu else "no GPU computed the reference",
        )
    ]
    if on_gpu:
        steps.append(_run("cpu_fp32", compressed / "source", reference))
    else:
        steps = [Step("cpu_fp32", reference.outputs, device)]
    return [*steps, _run("compressed", compressed / "model", reference)]


def _run(key: str, prefix: Path, reference: Reference) -> Step:
    from edgeflow.paddle.session import Program
    from edgeflow.verify.judge import outputs_of

    try:
        with Program(prefix, gpu=False) as runner:
            if set(reference.inputs) != {spec.name for spec in runner.inputs}:
                return Step(key, None, "", "its inputs have other names")
            return Step(key, tuple(outputs_of(runner, reference)), runner.name)
    except EdgeflowError as err:
        return Step(key, None, "", err.what)


def lite_step(model: Path, reference: Reference) -> Step:
    """The stop in Paddle Lite's own x86 runtime, where that is legal."""
    from edgeflow.deploy.paddle_lite import PaddleLite
    from edgeflow.verify.judge import outputs_of

    try:
        with PaddleLite(model) as runner:
            return Step("nb_paddle_lite", tuple(outputs_of(runner, reference)), runner.name)
    except EdgeflowError as err:
        return Step("nb_paddle_lite", None, "", err.what.split(": ", 1)[-1])


def missing_device() -> Step:
    """No device was asked."""
    return Step("device", None, "", "no device was asked: --on names one")


def gpu_hop_missing(rows: list[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """Name the hop that a CPU reference leaves out."""
    if device.startswith("GPU"):
        return rows
    head: Mapping[str, Any] = {
        "hop": "GPU fp32 -> CPU fp32",
        "from": "gpu_fp32",
        "to": "cpu_fp32",
        "available": False,
        "why_missing": "the reference was computed on the CPU",
        "runner": None,
        "sqnr_db": None,
        "max_abs": None,
        "cosine": None,
        "metric": None,
        "metric_loss": None,
        "share": None,
    }
    return [dict(head), *rows]

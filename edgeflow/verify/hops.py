"""Drift hop by hop: reference -> CPU fp32 -> compressed -> .nb emulated -> Paddle Lite -> device, on the same input
bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeflow.core.drift import Drift, lowest, measure
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.metrics import loss
from edgeflow.core.output_drift import agreed_share, compare
from edgeflow.core.samples import Array
from edgeflow.core.settings import VerifySettings
from edgeflow.emulate.examined import Examined
from edgeflow.project.reference import Reference
from edgeflow.report.record_parts import Hop
from edgeflow.verify.before_boxes import read_in_program
from edgeflow.verify.output_kinds import kinds_of
from edgeflow.verify.scores import as_boxes, score

SAMPLES = 512
"""Samples that the hops are compared on: Paddle has to compute them again."""

NAMES = {
    "onnx": "ONNX in onnxruntime",
    "gpu_fp32": "GPU fp32",
    "cpu_fp32": "CPU fp32",
    "compressed": "compressed",
    "nb_emulated": ".nb emulated",
    "nb_paddle_lite": ".nb in Paddle Lite x86",
    "device": "device",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One stop of the way: what computed the outputs, or why there are none. `before`: what an NMS reads there."""

    key: str
    outputs: tuple[Array, ...] | None
    runner: str = ""
    why_missing: str = ""
    before: tuple[Array, ...] = ()


def waterfall(
    steps: Sequence[Step], reference: Reference, settings: VerifySettings, folder: Path | None
) -> tuple[Hop, ...]:
    """Error and loss of each hop, from the last stop that is there; `share` is its part of all hops' noise.

    Noise is taken relative to each output's own power, so that outputs of different units add up. Boxes count by what
    the NMS before them reads, where both stops have that, and else by the share that is not found again.

    Args:
        steps: in order, the reference first; missing ones are named, and the next hop starts before them.
    """
    kinds = kinds_of(reference, settings)
    rows: list[Hop] = []
    noises: list[float] = []
    before = steps[0]
    for step in steps[1:]:
        row = _hop(before.key, step)
        noises.append(0.0)
        if step.outputs is not None and before.outputs is not None:
            try:
                drifts = [
                    compare(before.outputs, step.outputs, kinds, k, reference.samples).drift
                    for k in range(len(before.outputs))
                ]
            except EdgeflowError as err:
                rows.append(replace(row, available=False, why_missing=err.what))
                continue
            agreed = lowest(agreed_share(item) for item in drifts)
            if ahead := _before(before, step):
                drifts = [item for item in drifts if item.box_agreement is None] + ahead
            after, lost = _metric(before, step, reference, replace(settings, outputs=kinds), folder)
            row = replace(
                row,
                sqnr_db=lowest(item.sqnr_db for item in drifts),
                max_abs=max((item.max_abs for item in drifts if item.max_abs is not None), default=None),
                cosine=lowest(item.cosine for item in drifts),
                agreement=agreed,
                metric=after,
                metric_loss=lost,
            )
            noises[-1] = sum(map(_noise, drifts))
            before = step
        rows.append(row)
    total = sum(noises)
    return tuple(
        replace(row, share=_share(noise, total)) if row.available else row
        for row, noise in zip(rows, noises, strict=True)
    )


def _before(one: Step, other: Step) -> list[Drift]:
    """Drift of what an NMS reads, tensor by tensor; nothing where one stop has other tensors than the other."""
    shapes = [[array.squeeze().shape for array in step.before] for step in (one, other)]
    if shapes[0] != shapes[1]:
        return []
    return [measure(a, b) for a, b in zip(one.before, other.before, strict=True)]


def _noise(drift: Drift) -> float:
    """Power of the difference as a share of the output's own; of boxes the share that is not found again."""
    if drift.sqnr_db is not None:
        return (
            float(10 ** (-drift.sqnr_db / 10))
            if math.isfinite(drift.sqnr_db)
            else 0.0
            if drift.sqnr_db > 0
            else math.inf
        )
    return 0.0 if drift.box_agreement is None else 1 - drift.box_agreement


def _share(noise: float, total: float) -> float | None:
    """One hop's part of all noise; None where some of it is infinite."""
    if not math.isfinite(total):
        return None
    return noise / total if total > 0 else 0.0


def _hop(before: str, step: Step) -> Hop:
    return Hop(
        available=step.outputs is not None,
        hop=f"{NAMES[before]} -> {NAMES[step.key]}",
        from_=before,
        to=step.key,
        why_missing=step.why_missing or None,
        runner=step.runner or None,
    )


def _metric(
    before: Step, step: Step, reference: Reference, settings: VerifySettings, folder: Path | None
) -> tuple[float | None, float | None]:
    """The metric after a hop, and what the hop cost; the settings have the kinds that the outputs were taken for."""
    metric = settings.metric
    if metric is None or reference.labels is None or before.outputs is None or step.outputs is None:
        return None, None
    moved = Reference(reference.inputs, before.outputs, reference.labels)
    moved, outputs = as_boxes(metric, moved, step.outputs, settings.outputs)
    found, _ = score(metric, moved, outputs, folder, None)
    return (None, None) if found is None else (found.candidate, loss(metric, found.reference, found.candidate))


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
    source = compressed / "source"
    steps = [
        Step(
            "gpu_fp32",
            reference.outputs if on_gpu else None,
            device if on_gpu else "",
            "" if on_gpu else "no GPU computed the reference",
        )
    ]
    if on_gpu:
        steps.append(_run("cpu_fp32", source, reference))
    else:
        steps = [Step("cpu_fp32", reference.outputs, device, before=read_in_program(source, reference))]
    return [*steps, _run("compressed", compressed / "model", reference)]


def _run(key: str, prefix: Path, reference: Reference) -> Step:
    from edgeflow.paddle.session import Program
    from edgeflow.verify.execute import outputs_of

    try:
        with Program(prefix, gpu=False) as runner:
            if set(reference.inputs) != {spec.name for spec in runner.inputs}:
                return Step(key, None, "", "its inputs have other names")
            made = tuple(outputs_of(runner, reference))
            return Step(key, made, runner.name, before=read_in_program(prefix, reference))
    except EdgeflowError as err:
        return Step(key, None, "", err.what)


def lite_step(file: Examined, reference: Reference) -> Step:
    """The stop in Paddle Lite's own x86 runtime, where that is legal."""
    from edgeflow.deploy.paddle_lite import PaddleLite
    from edgeflow.verify.execute import outputs_of

    try:
        with PaddleLite(file.path, file.model) as runner:
            return Step("nb_paddle_lite", tuple(outputs_of(runner, reference)), runner.name)
    except EdgeflowError as err:
        return Step("nb_paddle_lite", None, "", err.what.split(": ", 1)[-1])


def missing_device() -> Step:
    """No device was asked."""
    return Step("device", None, "", "no device was asked: --on names one")


def gpu_hop_missing(rows: tuple[Hop, ...], device: str) -> tuple[Hop, ...]:
    """Name the hop that a CPU reference leaves out."""
    if device.startswith("GPU"):
        return rows
    return (_hop("gpu_fp32", Step("cpu_fp32", None, "", "the reference was computed on the CPU")), *rows)

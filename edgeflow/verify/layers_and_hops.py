"""What a build looks at beside the verdict: drift layer by layer, and hop by hop from the reference to the .nb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeflow import nb
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.rounding import steady
from edgeflow.emulate.examined import Examined
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.ingest.onnx_import.origin import load_origin
from edgeflow.project.manifest import StageResults
from edgeflow.project.reference import Reference, load_reference
from edgeflow.report.record_parts import Hop
from edgeflow.verify.advice import measured
from edgeflow.verify.before_boxes import read_in_file
from edgeflow.verify.hops import (
    SAMPLES,
    Step,
    first,
    gpu_hop_missing,
    lite_step,
    missing_device,
    paddle_steps,
    waterfall,
)
from edgeflow.verify.judge import Verdict
from edgeflow.verify.layers import LayerDrift, layer_drift


def hops_before(compressed: Path, reference: Path, device: str) -> list[Step]:
    """The outputs of the hops before the .nb, which need Paddle: inside a worker."""
    return paddle_steps(compressed, first(load_reference(reference), SAMPLES), device)


def traced(compressed: Path, reference: Path, model: Path, npu: str) -> LayerDrift:
    """Drift layer by layer, which needs Paddle: inside a worker."""
    from edgeflow.paddle.session import Session

    loaded = first(load_reference(reference), SAMPLES)
    source = programs.load(compressed / "source.pdmodel")
    weights = parameters.load(source, compressed / "source.pdiparams")
    with Session() as session:
        try:
            layers = layer_drift(
                nb.read(model),
                source,
                loaded.inputs,
                lambda part, feed, names: session.run(part, weights, feed, names),
                npu=npu,
            )
        except EdgeflowError:  # the verdict says why the file cannot run here
            layers = LayerDrift()
        if layers.layers and (compressed / "float.pdmodel").is_file():
            layers = measured(layers, compressed, loaded.inputs)
    return steady(layers)


def _origin(made: StageResults, steps: Sequence[Step]) -> list[Step]:
    """The stop in onnxruntime, where the model came as an ONNX file: its translation is the next one."""
    found = load_origin(made.ingested.folder)
    if found is None:
        return []
    ours = next((step.outputs for step in steps if step.outputs is not None), ())
    if [a.size for a in found] != [a.size for a in ours]:
        return []
    alike = tuple(a.reshape(b.shape).astype(b.dtype) for a, b in zip(found, ours, strict=True))
    return [Step("onnx", alike, "onnxruntime on the ONNX file")]


def hops(
    steps: Sequence[Step], made: StageResults, file: Examined, whole: Reference, verdict: Verdict
) -> tuple[Hop, ...]:
    """The whole waterfall of a build; `verdict` holds the .nb's outputs on all samples of the reference."""
    settings = replace(made.recipe.verify_settings(made.target), outputs=tuple(item.kind for item in verdict.outputs))
    some = first(whole, SAMPLES)
    cut = tuple(
        array[: some.samples] if array.ndim and len(array) == whole.samples else array for array in verdict.arrays
    )
    stops = [
        *_origin(made, steps),
        *steps,
        Step("nb_emulated", cut, verdict.runner, before=read_in_file(file, some, made.npu)),
        lite_step(file, some),
        missing_device(),
    ]
    rows = waterfall(stops, some, settings, made.recipe.folder)
    return gpu_hop_missing(steady(rows), str(made.ingested.facts["device"]))

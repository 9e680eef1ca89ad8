"""Everything a record says beside the verdict: hops, layers, partition, findings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from edgeflow import nb
from edgeflow.core.coverage import covered
from edgeflow.core.targets import Target
from edgeflow.emulate.examined import Examined
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.nb.lint import lint
from edgeflow.project.manifest import StageResults
from edgeflow.project.reference import Reference, load_reference
from edgeflow.report.parts import Hop, LintFinding, Partition, PlacedOp
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

T = TypeVar("T")


def traced(compressed: Path, reference: Path, model: Path, npu: str, device: str) -> tuple[LayerDrift, list[Step]]:
    """What needs Paddle, inside a worker: drift layer by layer, and the outputs of the hops before the .nb."""
    from edgeflow.paddle.session import Session

    loaded = first(load_reference(reference), SAMPLES)
    source = programs.load(compressed / "source.pdmodel")
    weights = parameters.load(source, compressed / "source.pdiparams")
    with Session() as session:
        layers = layer_drift(
            nb.read(model),
            source,
            loaded.inputs,
            lambda feed, names: session.run(source, weights, feed, names),
            npu=npu,
        )
    return steady(layers), paddle_steps(compressed, loaded, device)


def hops(steps: Sequence[Step], made: StageResults, whole: Reference, verdict: Verdict) -> tuple[Hop, ...]:
    """The whole waterfall of a build; `verdict` holds the .nb's outputs on all samples of the reference."""
    some = first(whole, SAMPLES)
    cut = tuple(
        array[: some.samples] if array.ndim and len(array) == whole.samples else array for array in verdict.arrays
    )
    stops = [*steps, Step("nb_emulated", cut, verdict.runner), lite_step(made.model, some), missing_device()]
    rows = waterfall(stops, some, verdict.metric, made.recipe.folder)
    return gpu_hop_missing(steady(rows), str(made.ingested.facts["device"]))


def partition(file: Examined) -> Partition:
    """Where each op runs, as the file says."""
    ops = tuple(PlacedOp(item.number, item.node.op.type, item.place, item.subgraph) for item in file.placed)
    return Partition(file.split.npu_ops, file.split.cpu_ops, file.split.subgraphs, ops)


def findings(model: nb.Model, target: Target | None) -> tuple[LintFinding, ...]:
    """Lint, as it stands in a report."""
    return tuple(
        LintFinding(item.code, "info" if item.severity == "note" else item.severity, item.op, item.why, item.fix)
        for item in lint(model, target, None, covered(target) if target is not None else None)
    )


def steady(value: T) -> T:
    """The same with 12 digits: the order of long sums, which depends on where arrays lie in memory, shows in the last
    ones.
    """
    found: T = _leaves(
        value, lambda item: float(f"{item:.12g}") if isinstance(item, float) and math.isfinite(item) else item
    )
    return found


def _leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    """A function of every value inside dataclasses, mappings and lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _leaves(getattr(value, field.name), function) for field in fields(value)})
    if isinstance(value, Mapping):
        return {key: _leaves(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_leaves(item, function) for item in value)
    return function(value)

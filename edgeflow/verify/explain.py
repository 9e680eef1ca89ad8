"""Everything a report says beside the verdict: hops, layers, partition, findings and the worst samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeflow import nb
from edgeflow.core.coverage import covered
from edgeflow.core.drift import finite
from edgeflow.core.samples import Array
from edgeflow.core.targets import Target
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.nb.lint import lint
from edgeflow.nb.partition import placement
from edgeflow.project.reference import load_reference
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
from edgeflow.verify.layers import layer_drift


def traced(compressed: Path, reference: Path, model: Path, npu: str, device: str) -> tuple[dict[str, Any], list[Step]]:
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


def hops(
    steps: Sequence[Step],
    model: Path,
    reference: Path,
    emulated: Sequence[Array],
    runner: str,
    device: str,
    metric: str | None,
    folder: Path | None,
    on_device: Step | None = None,
) -> list[dict[str, Any]]:
    """The whole waterfall; `emulated` are the .nb's outputs on all samples."""
    whole = load_reference(reference)
    some = first(whole, SAMPLES)
    cut = tuple(array[: some.samples] if array.ndim and len(array) == whole.samples else array for array in emulated)
    stops = [*steps, Step("nb_emulated", cut, runner), lite_step(model, some), on_device or missing_device()]
    return gpu_hop_missing(steady(waterfall(stops, some, metric, folder)), device)


def partition(model: nb.Model) -> dict[str, Any]:
    """Where each op runs, as the file says."""
    placed = placement(model)
    ops = [
        {"op": op.number, "op_type": op.node.op.type, "place": op.place, "subgraph": op.subgraph} for op in placed.ops
    ]
    return {"npu_ops": len(placed.npu), "cpu_ops": len(placed.cpu), "subgraphs": placed.subgraphs, "ops": ops}


def findings(model: nb.Model, target: Target | None) -> list[dict[str, Any]]:
    """Lint, as it stands in a report."""
    return [
        {**asdict(item), "severity": "info" if item.severity == "note" else item.severity}
        for item in lint(model, target, None, covered(target) if target is not None else None)
    ]


def plain(value: Any) -> Any:
    """JSON values at any depth: infinities and NaN as strings."""
    return _leaves(value, lambda item: finite({"": item})[""])


def steady(value: Any) -> Any:
    """The same with 12 digits: the order of long sums, which depends on where arrays lie in memory, shows in the last
    ones.
    """
    return _leaves(
        value, lambda item: float(f"{item:.12g}") if isinstance(item, float) and math.isfinite(item) else item
    )


def _leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    """A function of every value inside mappings and lists."""
    if isinstance(value, Mapping):
        return {key: _leaves(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_leaves(item, function) for item in value]
    return function(value)

"""What a .nb tells without being run: ops, where each is meant to run, lint findings, predicted latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeflow import nb
from edgeflow.core.coverage import covered
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.targets import Target, load_target
from edgeflow.emulate.examined import Examined
from edgeflow.nb.lint import lint
from edgeflow.nb.partition import crossings, precision_of, taken_from, weight_name
from edgeflow.nb.predict import Latency, predict
from edgeflow.nb.summary import macs, summarise
from edgeflow.report.record_parts import LintFinding, Partition, PlacedOp, PredictedLatency


@dataclass(frozen=True, slots=True)
class Figures:
    """`subgraphs` and `cpu_ops` are None in a file without NPU subgraphs; `latency` where none can be predicted."""

    ops: int
    subgraphs: int | None
    cpu_ops: int | None
    latency: Latency | None

    @property
    def predicted(self) -> PredictedLatency | None:
        """The latency as a record holds it."""
        found = self.latency
        return None if found is None else PredictedLatency(found.ms, found.error, found.chip, 1)


def figures(file: Examined, target: Target | str | None, inputs: Mapping[str, Any]) -> Figures:
    """Count a file's ops and predict one run of one sample.

    Args:
        target: a profile or a profile's name; None, or a name that is not known here, leaves the latency open.
        inputs: arrays of samples by input name, whose shapes close open dimensions.
    """
    shapes = file.shapes_for(inputs)
    summary = summarise(file.model, "", shapes)
    split = summary.partition
    profile = profile_named(target) if isinstance(target, str) else target
    latency = None if shapes is None or profile is None else predict(file.model, shapes, profile)
    return Figures(
        summary.ops, None if split is None else split.subgraphs, None if split is None else split.cpu_ops, latency
    )


def profile_named(name: str) -> Target | None:
    """A profile that comes with edgeflow: the name may come from a file, which is not to choose paths."""
    try:
        return None if "/" in name or name.endswith(".toml") else load_target(name)
    except EdgeflowError:
        return None


def partition(file: Examined, npu_arithmetic: str, inputs: Mapping[str, Any] | None = None) -> Partition:
    """Where each op runs, as the file says, in which precision, and what it takes from which.

    Args:
        inputs: arrays of samples by input name, whose shapes close open dimensions; None leaves the work out.
    """
    placed = file.placement
    ops = tuple(
        PlacedOp(
            op.number,
            op.node.op.type,
            op.place,
            op.subgraph,
            weight_name(file.model, op.node),
            precision_of(op.node, npu_arithmetic),
            after,
        )
        for op, after in zip(placed.ops, taken_from(placed), strict=True)
    )
    share = None if inputs is None or not placed.subgraphs else _npu_macs_share(file, inputs)
    sides = crossings(file.model) if placed.subgraphs else None
    return Partition(len(placed.npu), len(placed.cpu), placed.subgraphs, share, sides, ops)


def _npu_macs_share(file: Examined, inputs: Mapping[str, Any]) -> float | None:
    """The NPU's part of the multiply-accumulates; None where shapes are not known, or nothing multiplies."""
    shapes = file.shapes_for(inputs)
    if shapes is None:
        return None
    done = {"npu": 0, "cpu": 0}
    for op in file.placement.ops:
        at = shapes.get((op.node.block, op.node.index), {})
        done["npu" if op.on_npu else "cpu"] += macs(file.model, op.node.op, at)
    total = sum(done.values())
    return done["npu"] / total if total else None


def findings(model: nb.Model, target: Target | None) -> tuple[LintFinding, ...]:
    """Lint, as it stands in a report."""
    return tuple(
        LintFinding(item.code, "info" if item.severity == "note" else item.severity, item.op, item.why, item.fix)
        for item in lint(model, target, None, covered(target) if target is not None else None)
    )

"""Stage 4: execute the .nb's own bytes on the host and say how far it is from the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from edgeflow.core.drift import METRIC_DROP, Drift, agreeing, broken, measure
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.metrics import loss
from edgeflow.core.progress import counted
from edgeflow.core.samples import Array, batches, joined
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.statistics import CONFIDENCE, Decision, binomial_interval, decide_share, more_for_share
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.emulate.examined import Examined
from edgeflow.project.reference import Reference
from edgeflow.verify.scores import AMPLIFIED, SAFETY, Scores, amplified, axis_of_classes, decided_by_rounding, score

HOST_ONLY = "the device itself: nothing ran on it"
PROBES = 3
"""Samples on which batches are tried for a file with a fixed batch of one."""

ELEMENTS_A_CALL = 1 << 20
"""Input elements fed at once where the batch is open: large enough for speed, small enough for memory."""


@dataclass(frozen=True, slots=True)
class OutputDrift:
    """Drift of one output, which the reference knows by its position."""

    index: int
    name: str
    drift: Drift


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one comparison showed. `broken` lists the limits that do not hold; `decision` judges the metric's drop by
    statistics.

    `judged` is false where no limit could be held against anything. `arrays` are the candidate's outputs, all
    samples together.
    `undecided`: why nothing can be said of a limit, as sentences.
    """

    outputs: tuple[OutputDrift, ...]
    samples: int
    runner: str
    broken: tuple[str, ...]
    metric: str | None = None
    metric_reference: float | None = None
    metric_candidate: float | None = None
    not_checked: tuple[str, ...] = ()
    decision: Decision | None = None
    judged: bool = True
    arrays: tuple[Array, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT JUDGED"]:
        """FAIL where a limit is broken, INCONCLUSIVE where samples or metric cannot tell, else PASS."""
        if self.broken:
            return "FAIL"
        if self.undecided or (self.decision is not None and self.decision.verdict == "INCONCLUSIVE"):
            return "INCONCLUSIVE"
        return "PASS" if self.judged else "NOT JUDGED"

    @property
    def passed(self) -> bool:
        """Every limit holds, and the samples suffice to say so: INCONCLUSIVE and NOT JUDGED have not passed."""
        return self.verdict == "PASS"


class Runner(Protocol):
    """One loaded model, whatever runs it. Inputs and outputs are keyed by tensor name."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: every input by name, every output by name."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a runner made of the reference's inputs, all samples together; `names` are those of the outputs."""

    outputs: tuple[Array, ...]
    names: tuple[str, ...]
    runner: str
    not_checked: tuple[str, ...] = ()


def run_with(runner: Runner, reference: Reference, not_checked: Sequence[str] = ()) -> Ran:
    """Run whatever a runner holds on the reference's inputs.

    Raises:
        DataError: the reference belongs to another model.
    """
    return Ran(tuple(outputs_of(runner, reference)), tuple(runner.outputs), runner.name, tuple(not_checked))


def run_here(file: Examined, reference: Reference, npu: str = "float32", on: str = "emulator") -> Ran:
    """Execute a .nb on this machine.

    Args:
        npu: arithmetic of NNAdapter subgraphs, from the target.
        on: `emulator`, or `paddle-lite` for its real x86 runtime.

    Raises:
        NbError, UnsupportedOps: the file cannot be run here.
        DataError: the reference belongs to another model.
    """
    if on == "paddle-lite":
        from edgeflow.deploy.paddle_lite import PaddleLite

        with PaddleLite(file.path, file.model) as real:
            return run_with(real, reference, (HOST_ONLY,))
    notes = [HOST_ONLY]
    if file.placement.subgraphs:
        notes.append(
            f"NPU subgraphs were computed in {npu} on the host, an approximation: vendors' rounding is not public"
        )
    with Emulator(file.model, npu=npu) as emulator:
        return run_with(emulator, reference, notes)


def outputs_of(runner: Runner, reference: Reference) -> list[Array]:
    """What a runner makes of the reference's inputs, all samples together, by position.

    Raises:
        DataError: the reference's inputs or outputs are not this model's.
    """
    if len(reference.outputs) != len(runner.outputs):
        raise DataError(
            f"the model has {len(runner.outputs)} outputs, the reference {len(reference.outputs)}: "
            "it belongs to another model"
        )
    wanted = {spec.name for spec in runner.inputs}
    if wanted != set(reference.inputs):
        raise DataError(
            f"the model's inputs are {', '.join(sorted(wanted))}, the reference's "
            f"{', '.join(sorted(reference.inputs))}: it belongs to another model"
        )
    per_sample = sum(int(np.prod(array.shape[1:])) for array in reference.inputs.values())
    most = max(ELEMENTS_A_CALL // max(per_sample, 1), 1)
    free = getattr(runner, "takes_samples", False) or (
        isinstance(runner, Emulator) and takes_batches(runner, reference)
    )
    return _joined(runner, batches(dict(reference.inputs), runner.inputs, most, free=free))


def takes_batches(runner: Runner, reference: Reference) -> bool:
    """A file made for one sample a run gives the same for several at once: tried on the first few, not assumed."""
    if any(spec.shape[:1] != (1,) for spec in runner.inputs):
        return False
    one_by_one = batches({name: array[:PROBES] for name, array in reference.inputs.items()}, runner.inputs, 1)
    if len(one_by_one) < PROBES:
        return False
    try:
        together = _joined(runner, [{name: array[:PROBES] for name, array in reference.inputs.items()}])
    except EdgeflowError:
        return False  # the graph has the batch written into it
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(together, _joined(runner, one_by_one), strict=True)
    )


def _joined(runner: Runner, feeds: Sequence[Mapping[str, Array]]) -> list[Array]:
    found = joined(
        [runner.infer(feed) for feed in counted(feeds, "batches")], [len(next(iter(feed.values()))) for feed in feeds]
    )
    return [found[name] for name in runner.outputs]  # by name: a file may fetch one variable twice


def judge(reference: Reference, ran: Ran, settings: VerifySettings, folder: Path | None = None) -> Verdict:
    """Compare outputs with the reference's; what produced them does not matter here.

    Args:
        folder: where a metric named `file.py:function` is looked for.
    """
    outputs = ran.outputs
    axes = [axis_of_classes(settings.metric, k, array, reference.labels) for k, array in enumerate(reference.outputs)]
    drifts = tuple(
        OutputDrift(k, name, measure(a, b, axis))
        for k, (name, a, b, axis) in enumerate(zip(ran.names, reference.outputs, outputs, axes, strict=True))
    )
    limits = settings.limits
    far = amplified(reference, outputs, settings.precision)
    found: list[str] = []
    undecided: list[str] = []
    for item, wanted, got in zip(drifts, reference.outputs, outputs, strict=True):
        prefix = f"output {item.index}: " if len(drifts) > 1 else ""
        found += [prefix + text for text in broken(item.drift, replace(limits, top1_agreement_min=None), None)]
        if _is_constant(got) and not _is_constant(wanted):
            found.append(f"{prefix}is the same for every sample, and the reference's is not")
        word, text = _agreement(wanted, got, axes[item.index], limits.top1_agreement_min, [a[item.index] for a in far])
        (found if word == "FAIL" else undecided).extend([prefix + text] if text else [])
    scores, notes = _scored(settings, reference, outputs, far, folder)
    decision = None if scores is None else scores.decision
    if scores is not None:
        undecided += scores.doubts
        found += _metric_broken(scores, settings)
    scored = any(item.drift.top1_agreement is not None for item in drifts)
    judged = replace(limits, metric_drop_max=None, top1_agreement_min=None) != DriftLimits()
    judged |= limits.metric_drop_max is not None and scores is not None
    judged |= limits.top1_agreement_min is not None and scored
    if limits == DriftLimits():
        notes.append("no limit was given, so nothing was judged")
    if limits.metric_drop_max is not None and scores is None:
        notes.append("the limit on the metric's drop: there is no metric to measure it with")
    if limits.top1_agreement_min is not None and not scored:
        notes.append("the limit on top-1 agreement: no output looks like scores")
    return Verdict(
        drifts,
        reference.samples,
        ran.runner,
        tuple(dict.fromkeys(found)),
        settings.metric,
        None if scores is None else scores.reference,
        None if scores is None else scores.candidate,
        (*ran.not_checked, *notes),
        decision,
        judged,
        outputs,
        tuple(dict.fromkeys(undecided)),
    )


def _scored(
    settings: VerifySettings,
    reference: Reference,
    outputs: Sequence[Array],
    far: Sequence[Sequence[Array]],
    folder: Path | None,
) -> tuple[Scores | None, list[str]]:
    """The metric with its decision, where there is one, and what is to be said beside it."""
    name = settings.metric
    if name is None:
        return None, []
    scores, note = score(name, reference, outputs, folder, settings.limits.metric_drop_max, doubted=True)
    if scores is None:
        return None, [note]
    if scores.decision is not None:
        decision = decided_by_rounding(scores.decision, name, reference, far, folder)
        scores = replace(scores, decision=decision)
    if settings.expected is not None:
        return scores, []
    return scores, [
        "the reference's own score: nobody said what it should be ([metric] expected), so wrong weights or "
        "pre-processing would show in no figure here"
    ]


def _metric_broken(scores: Scores, settings: VerifySettings) -> list[str]:
    """The limit on the metric's drop as a sentence, where it does not hold."""
    bound, decision = settings.limits.metric_drop_max, scores.decision
    if decision is not None:
        return [METRIC_DROP.sentence(decision.drop, decision.budget)] if decision.verdict == "FAIL" else []
    if bound is None or settings.metric is None:
        return []
    # No interval can be had: the plain difference has to do.
    lost = loss(settings.metric, scores.reference, scores.candidate)
    return [] if METRIC_DROP.holds(lost, bound) else [METRIC_DROP.sentence(lost, bound)]


def _agreement(
    wanted: Array, got: Array, axis: int | None, least: float | None, far: Sequence[Array]
) -> tuple[Literal["PASS", "FAIL", "INCONCLUSIVE"], str]:
    """Whether the samples show that the answers agree often enough, with the sentence where they do not."""
    kept = agreeing(wanted, got, axis)
    if kept is None or least is None:
        return "PASS", ""
    count, changed = len(kept), float((1 - kept).sum())
    word = decide_share(changed, count, least)
    said = f"top-1 agreement {1 - changed / count:.4g}, limit >= {least:.4g}"
    if word != "INCONCLUSIVE":
        return word, said if word == "FAIL" else ""
    if far and 1 - changed / count >= least:
        most = 0.0
        for array in far:
            same = agreeing(wanted, array, axis)
            lost = 0.0 if same is None else float((1 - same).sum())
            most = max(most, binomial_interval(math.ceil(lost), count, CONFIDENCE)[1] * SAFETY / AMPLIFIED)
        if most <= 1 - least:
            return "PASS", ""
    more = more_for_share(changed, count, least)
    return word, f"{said}: {count} samples cannot tell" + (f"; about {more} more would" if more else "")


def _is_constant(array: Array) -> bool:
    """Several samples, and not one of them differs."""
    return array.ndim > 0 and len(array) > 1 and bool(np.all(array == array[:1]))

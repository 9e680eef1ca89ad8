"""Stage 4: execute the .nb's own bytes on the host and say how far it is from the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from edgeflow.core.agreement import Agreement, agreement
from edgeflow.core.box_drift import BoxDrift
from edgeflow.core.drift import LIMITS, METRIC_DROP, Drift, broken
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.metrics import loss
from edgeflow.core.output_drift import AGREEMENTS, Compared, PartDrift, agreement_limit, compare
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.progress import counted
from edgeflow.core.samples import Array, batches, joined
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.statistics import (
    CONFIDENCE,
    Decision,
    binomial_interval,
    decide_mean,
    decide_share,
    more_for_share,
)
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.emulate.examined import Examined
from edgeflow.emulate.held import unheld
from edgeflow.project.reference import Reference
from edgeflow.report.record_parts import ClassFigure
from edgeflow.verify.exactness import Exactness, exactness, inexact
from edgeflow.verify.output_kinds import kinds_of
from edgeflow.verify.scores import (
    AMPLIFIED,
    SAFETY,
    Scores,
    amplified,
    class_figures,
    decided_by_rounding,
    score,
)

HOST_ONLY = "the device itself: nothing ran on it"
PROBES = 3
"""Samples on which batches are tried for a file with a fixed batch of one."""

ELEMENTS_A_CALL = 1 << 20
"""Input elements fed at once where the batch is open: large enough for speed, small enough for memory."""


@dataclass(frozen=True, slots=True)
class OutputDrift:
    """Drift of one output, which the reference knows by its position, judged as what it is."""

    index: int
    name: str
    drift: Drift
    kind: OutputKind = OutputKind()
    parts: tuple[PartDrift, ...] = ()
    boxes: BoxDrift | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one comparison showed. `broken` lists the limits that do not hold; `decision` judges the metric's drop by
    statistics.

    `judged` is false where no limit could be held against anything. `arrays` are the candidate's outputs, all
    samples together.
    `undecided`: why nothing can be said of a limit, as sentences. `exact`: how exactly the file gives what the
    compressed program gives, of each output, where that was looked at.
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
    exact: tuple[Exactness, ...] = ()
    classes: tuple[ClassFigure, ...] = ()

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
    """What a runner made of the reference's inputs, all samples together; `names` are those of the outputs.

    `undecided`: why what it made says nothing of the device, as sentences.
    """

    outputs: tuple[Array, ...]
    names: tuple[str, ...]
    runner: str
    not_checked: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


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
        ran = run_with(emulator, reference, notes)
    if loose := unheld(file.model, file.shapes_for(reference.inputs)):
        why = f"half precision arithmetic that is not held to recorded outputs of the ARM kernels: {', '.join(loose)}"
        return replace(ran, undecided=(why,))
    return ran


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


@dataclass(frozen=True, slots=True)
class CompressedOutputs:
    """What the compressed program itself gives for the first samples, and how exactly the file gave it when built."""

    outputs: tuple[Array, ...]
    built: tuple[Exactness, ...] = ()


@dataclass(frozen=True, slots=True)
class Basis:
    """What a .nb is judged by; `npu` is the arithmetic of its NPU subgraphs, `folder` where a metric's file lies."""

    reference: Reference
    settings: VerifySettings
    npu: str
    folder: Path | None
    compressed: CompressedOutputs | None = None


def judge(
    reference: Reference,
    ran: Ran,
    settings: VerifySettings,
    folder: Path | None = None,
    compressed: CompressedOutputs | None = None,
) -> Verdict:
    """Compare outputs with the reference's; what produced them does not matter here.

    Args:
        folder: where a metric named `file.py:function` is looked for.
        compressed: of an int8 file for ARM, what its program gives: the file has to give the same, but for ties.
    """
    outputs, kinds = ran.outputs, kinds_of(reference, settings)
    seen = [compare(reference.outputs, outputs, kinds, k, reference.samples) for k in range(len(outputs))]
    drifts = tuple(
        OutputDrift(k, name, item.drift, kind, item.parts, item.boxes)
        for k, (name, item, kind) in enumerate(zip(ran.names, seen, kinds, strict=True))
    )
    limits = settings.limits
    far = amplified(reference, outputs, settings.precision)
    found: list[str] = []
    undecided = list(ran.undecided) if limits != DriftLimits() else []
    notes: list[str] = []
    for k, item in enumerate(seen):
        prefix = f"output {k}: " if len(drifts) > 1 else ""
        if item.apart is not None:
            continue
        found += [prefix + text for text in _output_broken(item, limits, reference.outputs[k], outputs[k])]
        word, text = _agreement(item, kinds[k], limits, reference.outputs[k], [arrays[k] for arrays in far])
        (found if word == "FAIL" else undecided).extend([prefix + text] if text else [])
        if not _is_limited(item, kinds[k], limits) and limits != DriftLimits():
            notes.append(f"{prefix}no limit holds for its kind, {kinds[k].kind}: {_limit_to_set(kinds[k], item.drift)}")
    exact: tuple[Exactness, ...] = ()
    if compressed is not None:
        exact = _exactness(reference, compressed, outputs)
        found += inexact(exact, compressed.built)
    scores, more = _scored(settings, reference, outputs, far, folder)
    notes += more
    decision = None if scores is None else scores.decision
    if scores is not None:
        undecided += scores.doubts
        found += _metric_broken(scores, settings)
    judged = any(_is_limited(item, kind, limits) for item, kind in zip(seen, kinds, strict=True))
    judged |= limits.metric_drop_max is not None and scores is not None
    if limits == DriftLimits():
        notes.append("no limit was given, so nothing was judged")
    if limits.metric_drop_max is not None and scores is None:
        notes.append("the limit on the metric's drop: there is no metric to measure it with")
    if limits.top1_agreement_min is not None and all(kind.kind == "tensor" for kind in kinds):
        notes.append("the limit on top-1 agreement: no output is known to be scores ([outputs.N] kind says it)")
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
        exact,
        () if scores is None else class_figures(settings.metric, reference, outputs),
    )


def _output_broken(item: Compared, limits: DriftLimits, wanted: Array, got: Array) -> list[str]:
    """The limits on distance that an output or one of its parts breaks, and what no longer moves."""
    plain = replace(limits, **{f"{name}_min": None for name in AGREEMENTS.values() if name != "landmark_error"})
    plain = replace(plain, landmark_error_max=None, metric_drop_max=None)
    said = broken(item.drift, plain, None)
    alike = replace(plain, max_abs_max=None, mean_abs_max=None)  # in the output's own unit: for the whole of it alone
    for part in item.parts:
        said += [f"{part.part.text}, a part of its own scale: {text}" for text in broken(part.drift, alike, None)]
    if item.boxes is None and _is_constant(got) and not _is_constant(wanted):
        said.append("is the same for every sample, and the reference's is not")
    return [*said, *item.frozen]


def _is_limited(item: Compared, kind: OutputKind, limits: DriftLimits) -> bool:
    """Some limit is held against a figure of this output."""
    if item.apart is not None:
        return False
    if any(
        limit.of_distance and getattr(item.drift, limit.drift) is not None and getattr(limits, limit.key) is not None
        for limit in LIMITS
    ):
        return True
    limit = agreement_limit(kind, item.drift)
    return limit is not None and item.agreed is not None and getattr(limits, limit.key) is not None


def _limit_to_set(kind: OutputKind, drift: Drift) -> str:
    limit = agreement_limit(kind, drift)
    return f"[drift] {'sqnr_db_min' if limit is None else limit.key}"


def _exactness(reference: Reference, compressed: CompressedOutputs, outputs: Sequence[Array]) -> tuple[Exactness, ...]:
    """How exactly the file gives what its program gives, on the samples that both have."""
    found = []
    for wanted, own, got in zip(reference.outputs, compressed.outputs, outputs, strict=True):
        if own.ndim == 0 or own.dtype.kind != "f" or wanted.shape != got.shape or own.shape[1:] != wanted.shape[1:]:
            continue
        many = min(len(own), len(wanted))
        found.append(exactness(wanted[:many], own[:many], got[:many], "int8"))
    return tuple(found)


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
    notes = [scores.left_out] if scores.left_out else []
    if settings.expected is not None:
        return scores, notes
    return scores, [
        *notes,
        "the reference's own score: nobody said what it should be ([metric] expected), so wrong weights or "
        "pre-processing would show in no figure here",
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
    item: Compared, kind: OutputKind, limits: DriftLimits, wanted: Array, far: Sequence[Array]
) -> tuple[Literal["PASS", "FAIL", "INCONCLUSIVE"], str]:
    """Whether the samples show that enough of the answers is kept, with the sentence where they do not."""
    agreed, limit = item.agreed, agreement_limit(kind, item.drift)
    bound = None if limit is None else getattr(limits, limit.key)
    if agreed is None or limit is None or bound is None:
        return "PASS", ""
    least = bound if limit.at_least else 1 - bound
    said = limit.sentence(agreed.share if limit.at_least else 1 - agreed.share, bound)
    count, changed = len(agreed.kept), float((1 - agreed.kept).sum())
    if agreed.counted:
        word = decide_share(changed, count, least)
    else:
        word = decide_mean(1 - agreed.kept, 1 - least)
    if word == "FAIL":
        return word, said
    if agreed.empty is not None:
        return "INCONCLUSIVE", f"{limit.what}: {agreed.empty}"
    if word == "PASS":
        return word, ""
    if agreed.counted and far and agreed.share >= least and _kept_even_amplified(wanted, kind, far, least):
        return "PASS", ""
    more = more_for_share(changed, count, least) if agreed.counted else None
    return word, f"{said}: {count} samples cannot tell" + (f"; about {more} more would" if more else "")


def _kept_even_amplified(wanted: Array, kind: OutputKind, far: Sequence[Array], least: float) -> bool:
    """Rounding a thousand times as large changes too few answers to matter; see `amplified`."""
    most = 0.0
    for array in far:
        same: Agreement | None = agreement(wanted, array, kind)
        lost = 0.0 if same is None else float((1 - same.kept).sum())
        most = max(most, binomial_interval(math.ceil(lost), len(wanted), CONFIDENCE)[1] * SAFETY / AMPLIFIED)
    return most <= 1 - least


def _is_constant(array: Array) -> bool:
    """Several samples, and not one of them differs."""
    return array.ndim > 0 and len(array) > 1 and bool(np.all(array == array[:1]))

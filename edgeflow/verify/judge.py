"""Stage 4: how far a candidate's outputs are from the reference's, and what the limits say of that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgeflow.core.agreement import Agreement, agreement
from edgeflow.core.box_drift import BoxDrift
from edgeflow.core.drift import LIMITS, METRIC_DROP, Drift, broken
from edgeflow.core.errors import DataError
from edgeflow.core.metrics import loss
from edgeflow.core.output_drift import Compared, PartDrift, agreement_limit, compare
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.samples import Array
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.statistics import (
    CONFIDENCE,
    Decision,
    binomial_interval,
    decide_mean,
    decide_share,
    more_for_share,
)
from edgeflow.nb import Model
from edgeflow.project.places import COMPRESSED, REFERENCE
from edgeflow.project.reference import Reference
from edgeflow.report.record_parts import ClassFigure
from edgeflow.verify.copies import first_of_each, only, within
from edgeflow.verify.decided import Ties, decided_outputs
from edgeflow.verify.exactness import Exactness, exactness, inexact
from edgeflow.verify.execute import Ran
from edgeflow.verify.output_kinds import kinds_of
from edgeflow.verify.scores import (
    AMPLIFIED,
    SAFETY,
    Scores,
    amplified,
    as_boxes,
    class_figures,
    decided_by_rounding,
    score,
)


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


@dataclass(frozen=True, slots=True)
class CompressedOutputs:
    """What the compressed program itself gives for the first samples, how exactly the file gave it when built, and how
    rounding ties fell in it.
    """

    outputs: tuple[Array, ...]
    built: tuple[Exactness, ...] = ()
    ties: Ties | None = None


def with_ties(ran: Ran, model: Model, given: Reference, compressed: CompressedOutputs | None) -> Ran:
    """What a file gives, and what it gives for the first samples with ties as they fell in the compressed program.

    Args:
        given: for the inputs that the file was run on.

    Raises:
        DataError: the recorded ties are another file's.
        NbError: the file does not run.
    """
    if compressed is None or compressed.ties is None:
        return ran
    return replace(ran, decided=decided_outputs(model, given, compressed.ties))


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
    *,
    doubted: bool = True,
) -> Verdict:
    """Compare outputs with the reference's; what produced them does not matter here.

    Args:
        folder: where a metric named `file.py:function` is looked for.
        compressed: of an int8 file for ARM, what its program gives: the file has to give the same, but for ties.
        doubted: ask too whether the reference's own score says anything.
    """
    kept = first_of_each(reference)
    some = None if kept is None else only(kept, reference, ran)
    if kept is None or some is None:
        return _judged((reference, ran), settings, folder, compressed, doubted=doubted)
    if compressed is not None:
        compressed = replace(compressed, outputs=tuple(within(kept, array) for array in compressed.outputs))
    found = _judged(some, settings, folder, compressed, doubted=doubted)
    copies = (
        f"{reference.samples - len(kept)} of {reference.samples} samples: they are copies of others, which count once"
    )
    return replace(found, arrays=ran.outputs, not_checked=(*found.not_checked, copies))


def _judged(
    sides: tuple[Reference, Ran],
    settings: VerifySettings,
    folder: Path | None,
    compressed: CompressedOutputs | None,
    *,
    doubted: bool,
) -> Verdict:
    reference, ran = sides
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
        exact = _exactness(reference, compressed, ran, kinds)
        found += inexact(exact, compressed.built)
    read, answers = as_boxes(settings.metric or "", reference, outputs, kinds)
    far = [as_boxes(settings.metric or "", reference, arrays, kinds)[1] for arrays in far]
    scores, more = _scored(settings, (read, answers), far, folder, doubted=doubted)
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
        () if scores is None else class_figures(settings.metric, read, answers),
    )


LAST_PLACE = 2.0**-23
"""Of an output's largest value: what float32 tells apart there. Seen: columns of an LSTM's state that reach 1e-5 of
the others, whose tanh of small numbers ARM takes from the difference of two exponentials.
"""


def _output_broken(item: Compared, limits: DriftLimits, wanted: Array, got: Array) -> list[str]:
    """The limits on distance that an output or one of its parts breaks, and what no longer moves."""
    plain = limits.without([METRIC_DROP.key, *(limit.key for limit in LIMITS if not limit.of_distance)])
    said = broken(item.drift, plain, None)
    alike = plain.without(("max_abs_max", "mean_abs_max"))  # in the output's own unit: for the whole of it alone
    size = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)) if item.parts else 0.0
    for part in item.parts:
        if part.drift.max_abs is not None and part.drift.max_abs <= LAST_PLACE * size:
            continue  # a state near zero beside others: sums with these are rounded so
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


def _exactness(
    reference: Reference, compressed: CompressedOutputs, ran: Ran, kinds: Sequence[OutputKind]
) -> tuple[Exactness, ...]:
    """How exactly the file gives what its program gives, on the samples that both have.

    Boxes that an NMS leaves are no samples, row by row: one that falls away moves all that come after it.

    Raises:
        DataError: the program's outputs are not as many as the reference's, or one of them is empty.
    """
    if len(compressed.outputs) != len(reference.outputs):
        raise DataError(
            f"{COMPRESSED}: holds {len(compressed.outputs)} outputs, and {REFERENCE} {len(reference.outputs)}",
            try_="run edgeflow build again",
        )
    found = []
    decided: Sequence[Array | None] = ran.decided or [None] * len(ran.outputs)
    every = zip(reference.outputs, compressed.outputs, ran.outputs, kinds, decided, strict=True)
    for wanted, own, got, kind, told in every:
        if kind.kind == "boxes" and (kind.counts is not None or not own.size):
            continue
        if own.ndim and not len(own):
            if wanted.size:
                raise DataError(f"{COMPRESSED}: has an output without a sample", try_="run edgeflow build again")
            continue
        if own.ndim == 0 or own.dtype.kind != "f" or wanted.shape != got.shape or own.shape[1:] != wanted.shape[1:]:
            continue
        many = min(len(own), len(wanted))
        found.append(exactness(wanted[:many], own[:many], got[:many], "int8", told))
    return tuple(found)


def _scored(
    settings: VerifySettings,
    sides: tuple[Reference, Sequence[Array]],
    far: Sequence[Sequence[Array]],
    folder: Path | None,
    *,
    doubted: bool,
) -> tuple[Scores | None, list[str]]:
    """The metric with its decision, where there is one, and what is to be said beside it."""
    (reference, outputs), name = sides, settings.metric
    if name is None:
        return None, []
    scores, note = score(name, reference, outputs, folder, settings.limits.metric_drop_max, doubted=doubted)
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

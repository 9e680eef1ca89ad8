"""The record of one verification: everything that was found, and the one verdict that every page and exit code shows.

`report.json` is its serialisation (report/exchange.py); docs/report.md explains every key. Nothing in a record is
trusted to be short or printable: names come from model files, and renderers escape them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgeflow.core.drift import LIMITS, METRIC_DROP, NOT_A_NUMBER, Limit
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.metrics import loss
from edgeflow.core.settings import DriftLimits
from edgeflow.core.statistics import Decision
from edgeflow.report.record_parts import (
    SHA256,
    ClassFigure,
    DeviceFacts,
    DeviceLook,
    FileFacts,
    FirstDrift,
    Hop,
    Layer,
    LintFinding,
    Output,
    Partition,
    PredictedLatency,
    PreprocessingFinding,
    ResidencyFinding,
    SelfTest,
    WorstInput,
)
from edgeflow.report.values import count, figure, plain, sentence

FORMAT = 2
Word = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT JUDGED"]
VERDICTS: tuple[Word, ...] = ("PASS", "FAIL", "INCONCLUSIVE", "NOT JUDGED")
State = Literal["holds", "broken", "undecided", "not checked"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One limit held against one output, or against the metric where `output` is empty."""

    output: str
    limit: Limit
    value: float | None
    bound: float
    state: State

    @property
    def text(self) -> str:
        """The check as a person reads it; a gain is no negative drop."""
        side = "≥" if self.limit.at_least else "≤"
        if self.limit is METRIC_DROP and self.value is not None and self.value < 0:
            return f"metric gain {figure(-self.value)}, limit of its drop {side} {figure(self.bound)}"
        return f"{self.limit.what} {figure(self.value)}, limit {side} {figure(self.bound)}"


@dataclass(frozen=True, slots=True)
class Record:
    """What one verification of a .nb found.

    However it is made, it never contradicts itself: whatever is known to be broken stands in `broken`, and then the
    verdict is FAIL; what the samples leave open is never a PASS.
    """

    verdict: Word
    name: str | None = None
    target: str | None = None
    precision: str | None = None
    compression: str | None = None
    broken: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    samples: int | None = None
    runner: str | None = None
    reference_device: str | None = None
    not_checked: tuple[str, ...] = ()
    limits: DriftLimits = DriftLimits()
    outputs: tuple[Output, ...] = ()
    metric: str | None = None
    metric_reference: float | None = None
    metric_candidate: float | None = None
    decision: Decision | None = None
    classes: tuple[ClassFigure, ...] = ()
    waterfall: tuple[Hop, ...] = ()
    layers: tuple[Layer, ...] = ()
    ranked: tuple[int, ...] = ()
    first_drift: FirstDrift | None = None
    partition: Partition | None = None
    worst: tuple[WorstInput, ...] = ()
    findings: tuple[LintFinding, ...] = ()
    self_test: SelfTest | None = None
    contract: PreprocessingFinding | None = None
    nb: FileFacts | None = None
    manifest_sha256: str | None = field(default=None, metadata=SHA256)
    tools: Mapping[str, str | None] = field(default_factory=dict)
    predicted_latency_ms: PredictedLatency | None = None
    library_notes: tuple[str, ...] = ()
    device: DeviceFacts | None = None
    residency: ResidencyFinding | None = None
    device_ties: str | None = None
    device_look: DeviceLook | None = None

    def __post_init__(self) -> None:
        """Complete `broken`, and hold the verdict to it."""
        found = [*self.broken, *self._broken_parts()]
        if self.verdict in ("PASS", "NOT JUDGED"):
            found += self._broken_values()
        object.__setattr__(self, "broken", tuple(dict.fromkeys(found)))
        decided = None if self.decision is None else self.decision.verdict
        if self.broken or (self.verdict in ("PASS", "NOT JUDGED") and decided == "FAIL"):
            object.__setattr__(self, "verdict", "FAIL")
        elif self.verdict in ("PASS", "NOT JUDGED") and (self.undecided or decided == "INCONCLUSIVE"):
            object.__setattr__(self, "verdict", "INCONCLUSIVE")

    def _broken_parts(self) -> list[str]:
        said = [part.broken for part in (self.contract, self.self_test) if part is not None]
        nan = any(output.is_not_a_number for output in self.outputs) and not any(
            NOT_A_NUMBER in text for text in self.broken
        )
        return [text for text in said if text] + ([NOT_A_NUMBER] if nan else [])

    def _broken_values(self) -> list[str]:
        """Values beyond their limits that a report which claims to have passed does not tell of."""
        return [
            judged.limit.sentence(judged.value, judged.bound)
            for judged in self.judgements
            if judged.value is not None
            and not judged.limit.holds(judged.value, judged.bound)
            and judged.state == "broken"
            and not any(judged.limit.what in text for text in self.broken)
        ]

    @property
    def passed(self) -> bool:
        """Every limit was held against samples that suffice, and holds."""
        return self.verdict == "PASS"

    @property
    def is_unverified(self) -> bool:
        """The file was built though nothing here can run it, so no output was ever looked at."""
        return self.verdict == "NOT JUDGED" and not self.outputs and bool(self.not_checked)

    @property
    def reason(self) -> str:
        """Why the verdict is what it is, in a sentence."""
        if self.verdict == "FAIL" and self.broken:
            more = f", and {len(self.broken) - 1} more" if len(self.broken) > 1 else ""
            return f"Broken: {sentence(self.broken[0])}{more}."
        if self.verdict == "INCONCLUSIVE" and self.undecided:
            return f"{sentence(self.undecided[0])}."
        if self.decision is not None and self.decision.sentence:
            return sentence(self.decision.sentence)
        if self.verdict == "FAIL":
            return "The comparison did not pass; this report does not say which limit is broken."
        if self.verdict == "INCONCLUSIVE":
            return "These samples cannot tell a loss within the budget from one beyond it."
        if self.is_unverified:
            return f"Not checked: {sentence(self.not_checked[0])}."
        if self.verdict == "NOT JUDGED":
            return "No limit was set, so the figures below are measured and not judged."
        return f"Every limit holds over {self.samples_text or 'the samples'}."

    @property
    def open_questions(self) -> tuple[str, ...]:
        """What the samples or the metric cannot tell, as sentences."""
        decided = self.decision
        left = (decided.sentence,) if decided is not None and decided.verdict == "INCONCLUSIVE" else ()
        return tuple(sentence(text) for text in (*self.undecided, *left))

    @property
    def title(self) -> str:
        """What was judged, in words."""
        return f"{plain(self.name) or 'model'} on {plain(self.target) or 'a target'}"

    @property
    def samples_text(self) -> str:
        """How many samples were compared; empty where that is not known."""
        return "" if self.samples is None else count(self.samples, "sample")

    @property
    def drop(self) -> float | None:
        """How much worse the metric got, by its own direction; below 0 for a gain."""
        if self.decision is not None:
            return self.decision.drop
        if self.metric is None or self.metric_reference is None or self.metric_candidate is None:
            return None
        try:
            return loss(self.metric, self.metric_reference, self.metric_candidate)
        except EdgeflowError:  # a metric that nobody knows, in a report from elsewhere
            return None

    @property
    def is_limited(self) -> bool:
        """At least one limit is set."""
        return self.limits != DriftLimits()

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """Every limit that is set, held against every output it applies to, and the metric's last."""
        found = []
        for output in self.outputs:
            for limit in LIMITS:
                bound: float | None = getattr(self.limits, limit.key)
                if bound is not None:
                    value: float | None = getattr(output, limit.drift)
                    found.append(Judgement(plain(output.name), limit, value, bound, self._state(limit, value, bound)))
        bound, lost = self.limits.metric_drop_max, self.drop
        if bound is not None and lost is not None:
            found.append(Judgement("", METRIC_DROP, lost, bound, self._state(METRIC_DROP, lost, bound)))
        return tuple(found)

    def _state(self, limit: Limit, value: float | None, bound: float) -> State:
        """One judgement for every page: a value beyond its limit is broken only where the verdict says so."""
        if value is None:
            return "not checked"
        if limit is METRIC_DROP and self.decision is not None:
            words: dict[str, State] = {"PASS": "holds", "FAIL": "broken"}
            return words.get(self.decision.verdict, "undecided")
        if any(limit.what in text for text in self.undecided):
            return "undecided"
        if limit.holds(value, bound):
            return "holds"
        named = any(limit.what in text for text in self.broken)
        if math.isnan(value) or named or self.verdict in ("PASS", "NOT JUDGED"):
            return "broken"
        return "undecided"

    def worst_layers(self, many: int) -> list[Layer]:
        """The first `many` of the ranked layers."""
        by_op = {layer.op: layer for layer in self.layers}
        return [by_op[op] for op in self.ranked if op in by_op][:many]

    @property
    def absent(self) -> tuple[str, ...]:
        """Parts that a full report has and this one lacks, as sentences for "what was not checked"."""
        parts: tuple[tuple[object, str], ...] = (
            (
                self.waterfall,
                "the drift waterfall: the stages between the reference and the .nb were not compared one by one",
            ),
            (self.decision, "the statistics: no test held the loss of the metric against a budget"),
            (self.layers, "the layers: only the outputs were compared"),
            (self.self_test, "the verdict itself: no fault was injected to see whether it would be noticed"),
            (self.contract, "the pre-processing: no input contract was compared"),
        )
        return tuple(text for held, text in parts if not held)

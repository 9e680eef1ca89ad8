"""What a report says in one word, one sentence and one list of checks: the same for every renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeflow.report.values import count, figure, finite, items, part, real, sentence, texts

VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE", "NOT JUDGED")

LIMITS = (
    ("max_abs_max", "max_abs", "max |diff|", "≤"),
    ("mean_abs_max", "mean_abs", "mean |diff|", "≤"),
    ("cosine_min", "cosine", "cosine", "≥"),
    ("sqnr_db_min", "sqnr_db", "SQNR (dB)", "≥"),
    ("top1_agreement_min", "top1_agreement", "top-1 agreement", "≥"),
)
"""Limit, the drift it bounds, how it is called, and which side is right."""


@dataclass(frozen=True, slots=True)
class Check:
    """One limit held against one output, or against the metric where `output` is empty."""

    output: str
    what: str
    value: Any
    side: str
    bound: Any
    holds: bool | None
    open: bool = False
    """Statistics cannot tell whether it holds."""

    @property
    def text(self) -> str:
        """The check as a person reads it."""
        return f"{self.what} {figure(self.value)}, limit {self.side} {figure(self.bound)}"


def verdict_of(report: Mapping[str, Any]) -> str:
    """One of VERDICTS. A report that contradicts itself never passes."""
    said, broken = report.get("verdict"), bool(report.get("broken"))
    if said not in VERDICTS:
        limited = any(value is not None for value in part(report, "limits").values())
        said = "FAIL" if not report.get("passed") else "PASS" if limited else "NOT JUDGED"
    if said in ("PASS", "NOT JUDGED") and (broken or report.get("passed") is False):
        return "FAIL"
    return str(said)


def reason(report: Mapping[str, Any]) -> str:
    """Why the verdict is what it is."""
    said, broken, decided = (
        verdict_of(report),
        texts(report, "broken"),
        sentence(part(report, "decision").get("sentence")),
    )
    if said == "FAIL" and broken:
        more = f", and {count(len(broken) - 1, 'more limit')}" if len(broken) > 1 else ""
        return f"A limit does not hold: {broken[0]}{more}."
    if said == "INCONCLUSIVE" and texts(report, "undecided"):
        return f"{texts(report, 'undecided')[0]}."
    if decided:
        return decided
    if said == "FAIL":
        return "The comparison did not pass; this report does not say which limit is broken."
    if said == "INCONCLUSIVE":
        return "These samples cannot tell a loss within the budget from one beyond it."
    if said == "NOT JUDGED":
        return "No limit was set, so the figures below are measured and not judged."
    return f"Every limit holds over {samples_of(report) or 'the samples'}."


def open_questions(report: Mapping[str, Any]) -> list[str]:
    """What the samples or the metric cannot tell, as sentences."""
    decided = part(report, "decision")
    tail = [sentence(decided.get("sentence"))] if decided.get("verdict") == "INCONCLUSIVE" else []
    return [*map(sentence, texts(report, "undecided")), *tail]


def samples_of(report: Mapping[str, Any]) -> str:
    """How many samples were compared; empty where that is not known."""
    samples = finite(report.get("samples"))
    return "" if samples is None else count(int(samples), "sample")


def drop(report: Mapping[str, Any]) -> float | None:
    """How much the metric lost: positive is worse."""
    decided = real(part(report, "decision").get("drop"))
    if decided is not None:
        return decided
    before, after = real(report.get("metric_reference")), real(report.get("metric_candidate"))
    return None if before is None or after is None else before - after


def checks(report: Mapping[str, Any]) -> list[Check]:
    """Every limit that is set, held against every output it applies to. NaN holds nothing; an absent value is not
    checked.
    """
    limits = part(report, "limits")
    found = []
    for output in items(report, "outputs"):
        for key, drift, what, side in LIMITS:
            if real(limits.get(key)) is not None:
                found.append(_check(str(output.get("name")), what, output.get(drift), side, limits[key]))
    if real(limits.get("metric_drop_max")) is not None and drop(report) is not None:
        found.append(_check("", "metric drop", drop(report), "≤", limits["metric_drop_max"]))
    return [replace(check, holds=None, open=True) if _is_open(report, check) else check for check in found]


def _is_open(report: Mapping[str, Any], check: Check) -> bool:
    """Statistics cannot tell: neither kept nor broken."""
    if check.what == "metric drop":
        return part(report, "decision").get("verdict") == "INCONCLUSIVE"
    return check.what == "top-1 agreement" and any(check.what in text for text in texts(report, "undecided"))


def _check(output: str, what: str, value: Any, side: str, bound: Any) -> Check:
    got, limit = real(value), real(bound)
    if got is None or limit is None:
        return Check(output, what, value, side, bound, None)
    return Check(output, what, value, side, bound, got >= limit if side == "≥" else got <= limit)


def worst_layers(report: Mapping[str, Any], many: int) -> list[Mapping[str, Any]]:
    """The first `many` of the ranked layers."""
    by_op = {layer.get("op"): layer for layer in items(report, "layers") if isinstance(layer.get("op"), int)}
    ranked = report.get("ranked")
    found = [by_op[op] for op in ranked if isinstance(op, int) and op in by_op] if isinstance(ranked, list) else []
    return found[:many]


def absent(report: Mapping[str, Any]) -> list[str]:
    """Parts that a full report has and this one lacks, as sentences for "what was not checked"."""
    parts = (
        ("waterfall", "the drift waterfall: the stages between the reference and the .nb were not compared one by one"),
        ("decision", "the statistics: no test held the loss of the metric against a budget"),
        ("layers", "the layers: only the outputs were compared"),
        ("self_test", "the verdict itself: no fault was injected to see whether it would be noticed"),
        ("contract", "the pre-processing: no input contract was compared"),
    )
    return [text for key, text in parts if not report.get(key)]

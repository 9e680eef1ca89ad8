"""A report as JUnit XML, as Jenkins and GitLab read it: one test case per limit, decision, fault and contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from edgeflow.report.judgement import checks, reason, verdict_of
from edgeflow.report.values import figure, items, part, plain, real, sentence, texts

Outcome = Literal["passed", "failure", "error", "skipped"]
"""`error` stands for INCONCLUSIVE: neither passed nor failed, and red in every dashboard."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test case: where it belongs, what it asks, how it ended, and why."""

    group: str
    name: str
    outcome: Outcome
    message: str = ""


def junit(report: Mapping[str, Any]) -> str:
    """The whole XML document of one report."""
    title = f"{plain(report.get('name')) or 'model'} on {plain(report.get('target')) or 'a target'}"
    cases = [*_limits(report), *_decision(report), *_faults(report), *_contract(report)]
    cases.append(_verdict(report))
    counts = {
        "tests": str(len(cases)),
        "failures": _many(cases, "failure"),
        "errors": _many(cases, "error"),
        "skipped": _many(cases, "skipped"),
        "time": "0",
    }
    root = ElementTree.Element(
        "testsuites", {"name": "edgeflow verify", **{k: v for k, v in counts.items() if k != "skipped"}}
    )
    suite = ElementTree.SubElement(root, "testsuite", {"name": title, **counts})
    _properties(suite, report)
    for case in cases:
        where = f"edgeflow.{_dotless(report.get('target'))}.{case.group}"
        element = ElementTree.SubElement(suite, "testcase", classname=where, name=case.name, time="0")
        if case.outcome != "passed":
            kind = (
                {}
                if case.outcome == "skipped"
                else {"type": verdict_of(report) if case.group == "verdict" else case.group}
            )
            ElementTree.SubElement(element, case.outcome, {"message": case.message, **kind}).text = case.message
    ElementTree.SubElement(suite, "system-out").text = "\n".join(
        f"not checked: {text}" for text in texts(report, "not_checked")
    )
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _many(cases: list[Case], outcome: Outcome) -> str:
    return str(sum(case.outcome == outcome for case in cases))


def _dotless(value: Any) -> str:
    """A class name's part: dots would split it into packages."""
    return plain(value).replace(".", "_") or "target"


def _properties(suite: ElementTree.Element, report: Mapping[str, Any]) -> None:
    known = (
        ("precision", report.get("precision")),
        ("runner", report.get("runner")),
        ("samples", report.get("samples")),
        ("reference_device", report.get("reference_device")),
        ("nb_sha256", part(report, "nb").get("sha256")),
        ("manifest_sha256", report.get("manifest_sha256")),
    )
    held = ElementTree.SubElement(suite, "properties")
    for name, value in known:
        if value is not None:
            ElementTree.SubElement(held, "property", name=name, value=plain(value))


def _limits(report: Mapping[str, Any]) -> list[Case]:
    found = []
    for check in checks(report):
        name = f"{plain(check.output)}: {check.what}" if check.output else check.what
        outcome: Outcome = "skipped" if check.holds is None else "passed" if check.holds else "failure"
        if check.open:
            outcome = "error"
        message = check.text if check.holds is not None or check.open else f"{check.what} does not apply here"
        found.append(Case("limits", name, outcome, message))
    for output in items(report, "outputs"):
        if all(real(output.get(key)) is None for key in ("max_abs", "cosine", "sqnr_db")):
            continue
        wrong = [key for key in ("max_abs", "cosine") if figure(output.get(key)) == "NaN"]
        message = f"{plain(output.get('name'))}: holds NaN ({', '.join(wrong)})" if wrong else ""
        found.append(Case("outputs", f"{plain(output.get('name'))}: no NaN", "failure" if wrong else "passed", message))
    return found


def _decision(report: Mapping[str, Any]) -> list[Case]:
    decided = part(report, "decision")
    if not decided:
        return []
    outcomes: dict[str, Outcome] = {"PASS": "passed", "FAIL": "failure", "INCONCLUSIVE": "error"}
    name = f"{plain(report.get('metric')) or 'metric'} within the budget of {figure(decided.get('budget'))}"
    return [
        Case("decision", name, outcomes.get(str(decided.get("verdict")), "error"), sentence(decided.get("sentence")))
    ]


def _faults(report: Mapping[str, Any]) -> list[Case]:
    """Each injected fault: one beyond the budget must be noticed; one within it may be."""
    tested, found = part(report, "self_test"), []
    for fault in items(tested, "faults"):
        what = f"{plain(fault.get('fault'))} at {plain(fault.get('where'))} ({plain(fault.get('size'))})"
        missed = bool(fault.get("beyond_budget")) and not fault.get("noticed")
        cost, budget = figure(fault.get("metric_drop")), figure(tested.get("budget"))
        message = f"not noticed, and costs {cost}: beyond the budget of {budget}"
        found.append(Case("self_test", what, "failure" if missed else "passed", message))
    alarms = real(tested.get("false_alarms"))
    if alarms is not None:
        copies = figure(tested.get("unchanged_copies"))
        outcome: Outcome = "passed" if alarms == 0 else "failure"
        found.append(
            Case("self_test", f"no false alarm on {copies} unchanged copies", outcome, f"{figure(alarms)} false alarms")
        )
    return found


def _contract(report: Mapping[str, Any]) -> list[Case]:
    found = part(report, "contract")
    if not found:
        return []
    outcomes: dict[str, Outcome] = {"same": "passed", "pre-processing differs": "failure"}
    return [
        Case(
            "contract",
            "pre-processing is the build's",
            outcomes.get(str(found.get("verdict")), "skipped"),
            sentence(found.get("why")) or "not checked",
        )
    ]


def _verdict(report: Mapping[str, Any]) -> Case:
    """The verdict itself, so that a file of passed cases never stands for a report that did not pass."""
    outcomes: dict[str, Outcome] = {
        "PASS": "passed",
        "FAIL": "failure",
        "INCONCLUSIVE": "error",
        "NOT JUDGED": "skipped",
    }
    return Case(
        "verdict", "verdict", outcomes[verdict_of(report)], "\n".join([reason(report), *texts(report, "broken")])
    )

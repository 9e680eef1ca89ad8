"""A report as JUnit XML, as Jenkins and GitLab read it: one test case per limit, decision, fault and contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from edgeflow.report.record import Record, State, Word
from edgeflow.report.values import count, figure, plain, sentence

Outcome = Literal["passed", "failure", "error", "skipped"]
"""`error` stands for INCONCLUSIVE: neither passed nor failed, and red in every dashboard."""

STATES: dict[State, Outcome] = {
    "holds": "passed",
    "broken": "failure",
    "undecided": "error",
    "not checked": "skipped",
}
WORDS: dict[Word, Outcome] = {"PASS": "passed", "FAIL": "failure", "INCONCLUSIVE": "error", "NOT JUDGED": "skipped"}


@dataclass(frozen=True, slots=True)
class Case:
    """One test case: where it belongs, what it asks, how it ended, and why."""

    group: str
    name: str
    outcome: Outcome
    message: str = ""


def junit(record: Record) -> str:
    """The whole XML document of one record. A case fails only where the verdict is FAIL."""
    cases = [*_limits(record), *_decision(record), *_faults(record), *_contract(record)]
    cases.append(Case("verdict", "verdict", WORDS[record.verdict], "\n".join([record.reason, *_texts(record.broken)])))
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
    suite = ElementTree.SubElement(root, "testsuite", {"name": record.title, **counts})
    _properties(suite, record)
    for case in cases:
        where = f"edgeflow.{_dotless(record.target)}.{case.group}"
        element = ElementTree.SubElement(suite, "testcase", classname=where, name=case.name, time="0")
        if case.outcome != "passed":
            kind = {"type": record.verdict if case.group == "verdict" else case.group}
            held = {} if case.outcome == "skipped" else kind
            ElementTree.SubElement(element, case.outcome, {"message": case.message, **held}).text = case.message
    ElementTree.SubElement(suite, "system-out").text = "\n".join(
        f"not checked: {text}" for text in _texts(record.not_checked)
    )
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _texts(found: tuple[str, ...]) -> list[str]:
    return [sentence(text) for text in found]


def _many(cases: list[Case], outcome: Outcome) -> str:
    return str(sum(case.outcome == outcome for case in cases))


def _dotless(value: object) -> str:
    """A class name's part: dots would split it into packages."""
    return plain(value).replace(".", "_") or "target"


def _properties(suite: ElementTree.Element, record: Record) -> None:
    known = (
        ("precision", record.precision),
        ("runner", record.runner),
        ("samples", record.samples),
        ("reference_device", record.reference_device),
        ("nb_sha256", record.nb.sha256 if record.nb else None),
        ("manifest_sha256", record.manifest_sha256),
    )
    held = ElementTree.SubElement(suite, "properties")
    for name, value in known:
        if value is not None:
            ElementTree.SubElement(held, "property", name=name, value=plain(value))


def _limits(record: Record) -> list[Case]:
    found = []
    for judged in record.judgements:
        name = f"{judged.output}: {judged.limit.what}" if judged.output else judged.limit.what
        undecided = f"{judged.text}: these samples cannot tell"
        skipped = f"{judged.limit.what} does not apply here"
        message = {"undecided": undecided, "not checked": skipped}.get(judged.state, judged.text)
        found.append(Case("limits", name, STATES[judged.state], message))
    for output in record.outputs:
        if output.max_abs is None and output.cosine is None and output.sqnr_db is None:
            continue
        wrong, name = output.is_not_a_number, plain(output.name)
        found.append(
            Case("outputs", f"{name}: no NaN", "failure" if wrong else "passed", f"{name}: holds NaN" if wrong else "")
        )
    return found


def _decision(record: Record) -> list[Case]:
    decided = record.decision
    if decided is None:
        return []
    name = f"{plain(record.metric) or 'metric'} within the budget of {figure(decided.budget)}"
    return [Case("decision", name, WORDS[decided.verdict], sentence(decided.sentence) or decided.verdict)]


def _faults(record: Record) -> list[Case]:
    """Each injected fault: one beyond the budget must be noticed; one within it may be. A false alarm says that the
    limits are tight for half of the samples, nothing against the file.
    """
    tested, found = record.self_test, []
    if tested is None:
        return []
    for fault in tested.faults:
        what = f"{plain(fault.fault)} at {plain(fault.where)} ({plain(fault.size)})"
        missed = bool(fault.beyond_budget) and not fault.noticed
        cost, budget = figure(fault.metric_drop), figure(tested.budget)
        message = f"not noticed, and costs {cost}: beyond the budget of {budget}"
        found.append(Case("self_test", what, "failure" if missed else "passed", message))
    if tested.false_alarms is not None:
        name = f"no false alarm on {figure(tested.unchanged_copies)} unchanged copies"
        outcome: Outcome = "skipped" if tested.false_alarms else "passed"
        found.append(Case("self_test", name, outcome, count(tested.false_alarms, "false alarm")))
    return found


def _contract(record: Record) -> list[Case]:
    found = record.contract
    if found is None:
        return []
    outcome: Outcome = "failure" if found.broken else "passed" if found.verdict == "same" else "skipped"
    return [Case("contract", "pre-processing is the build's", outcome, sentence(found.why) or "not checked")]

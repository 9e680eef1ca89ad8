"""The record: it never contradicts itself, every page agrees with it, and it comes back from any JSON."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.cli.tables import verdict
from edgeflow.cli.verify import exit_code
from edgeflow.core.errors import DataError
from edgeflow.core.metrics import loss
from edgeflow.core.settings import DriftLimits
from edgeflow.report.exchange import LOOKS, TEXT_MAX, dump, load_record, looks_sha256, read_record, schema, table
from edgeflow.report.html import page
from edgeflow.report.junit import junit
from edgeflow.report.markdown import markdown
from edgeflow.report.record import Record
from edgeflow.report.record_parts import FileFacts, InjectedFault, Output, PreprocessingFinding, SelfTest
from edgeflow.report.sarif import sarif
from tests.conftest import ROOT
from tests.report.reports import ALL, EXAMPLE, FULL, RECORDS, changed, record, undecided

FORMS = (page, junit, markdown, sarif, verdict)
ENDS = {"PASS": None, "FAIL": "failure", "INCONCLUSIVE": "error", "NOT JUDGED": "skipped"}
DIFFERS = {"verdict": "pre-processing differs", "why": "channels are swapped", "sha256": None}
MISSED = SelfTest(0.01, (InjectedFault("x", "y", "z", 0.5, beyond_budget=True, noticed=False),), 0, 1, 1, 0, 100)


def test_the_schema_is_the_dataclasses() -> None:
    """After a change of report/record.py: scripts/schema."""
    held = json.loads((ROOT / "edgeflow" / "report" / "report.schema.json").read_text(encoding="utf-8"))
    assert held == schema()


@pytest.mark.parametrize("name", ALL)
def test_a_record_comes_back_from_its_json(name: str) -> None:
    found = RECORDS[name]
    assert read_record(json.loads(dump(found))) == found or "NaN" in repr(found) or "nan" in repr(found)
    assert dump(read_record(json.loads(dump(found)))) == dump(found)
    assert looks_sha256(read_record(json.loads(dump(found)))) == looks_sha256(found)


def test_the_full_report_loses_nothing() -> None:
    assert table(FULL) == {**EXAMPLE, "passed": True}


@pytest.mark.parametrize("name", ALL)
def test_every_page_says_the_same(name: str) -> None:
    agree(RECORDS[name])


@pytest.mark.parametrize(
    "found",
    [
        record(contract=DIFFERS),
        replace(FULL, self_test=MISSED),
        replace(FULL, outputs=(replace(FULL.outputs[0], sqnr_db=3.0),)),
        replace(FULL, outputs=(replace(FULL.outputs[0], max_abs=float("nan")),)),
        replace(FULL, outputs=(replace(FULL.outputs[0], cosine=float("nan")),), limits=DriftLimits(), decision=None),
    ],
    ids=["pre-processing", "missed fault", "beyond a limit", "NaN", "NaN without limits"],
)
def test_what_is_broken_fails_everywhere(found: Record) -> None:
    assert found.verdict == "FAIL" and found.broken and not found.passed
    assert exit_code([found], judging=True) == exit_code([found], judging=False) == 3
    agree(found)


def agree(found: Record) -> None:
    """No case fails but under FAIL, none is undecided but under INCONCLUSIVE or FAIL, and each form names the word."""
    suite = ElementTree.fromstring(junit(found))
    ends = [case[0].tag if len(case) else None for case in suite.iter("testcase")]
    assert ends[-1] == ENDS[found.verdict]
    assert ("failure" in ends) == (found.verdict == "FAIL")
    assert found.verdict in ("INCONCLUSIVE", "FAIL") or "error" not in ends
    assert found.passed == (found.verdict == "PASS") == table(found)["passed"]
    assert found.verdict in markdown(found).split("\n")[0]
    assert found.verdict in page(found).partition("<main")[0]
    assert json.loads(sarif(found))["runs"][0]["properties"]["verdict"] == found.verdict
    assert found.verdict in verdict(found).split("\n")[-1]
    assert ("broken</span>" in page(found)) <= (found.verdict == "FAIL")


def test_an_undecided_limit_is_broken_nowhere() -> None:
    """49 of 50 right where 49.5 are asked: the statistics cannot tell, and so no page may."""
    drop = undecided()
    drop["decision"]["drop"] = 0.5
    agreement = changed(verdict="INCONCLUSIVE", decision=None, limits={"top1_agreement_min": 0.999})
    for found in (read_record(drop), read_record(agreement)):
        assert found.verdict == "INCONCLUSIVE" and "undecided" in {check.state for check in found.judgements}
        assert "broken" not in {check.state for check in found.judgements}
        assert exit_code([found], judging=True) == 4
        for form in FORMS:
            assert "broken" not in form(found).partition("<style>")[0].replace("broken:", "")
        agree(found)


def test_exit_codes() -> None:
    unjudged = RECORDS["not judged"]
    assert exit_code([FULL], judging=True) == 0
    assert exit_code([unjudged], judging=True) == 4
    assert exit_code([unjudged], judging=False) == 0
    assert exit_code([FULL, unjudged, RECORDS["fail"]], judging=True) == 3
    assert exit_code([FULL, RECORDS["undecided"]], judging=False) == 4


def test_the_direction_of_a_metric_is_asked_of_the_metric() -> None:
    """An error rate that rises is a loss."""
    found = Record("PASS", metric="cer", metric_reference=0.05, metric_candidate=0.60)
    assert found.drop == loss("cer", 0.05, 0.60) == pytest.approx(0.55)
    limited = replace(found, limits=DriftLimits(metric_drop_max=0.1))
    assert limited.verdict == "FAIL" and limited.broken == ("metric drop 0.55, limit <= 0.1",)
    assert replace(found, metric="wer:x").drop is None, "a metric that nobody knows"
    assert "loss 0.55" in page(found)
    assert "gain 0.55" in page(replace(found, metric="top1"))


def test_a_gain_is_no_negative_drop() -> None:
    gained = changed(metric_candidate=1.0)
    gained["decision"] |= {"drop": -0.0066, "interval": [-0.01, -0.0]}
    found = read_record(gained)
    for form in FORMS:
        said = form(found)
        assert "drop -0" not in said and "drop −0" not in said
        assert "−0<" not in said and "-0," not in said and "−0)" not in said
    assert "metric gain 0.0066" in page(found)


def test_a_relative_error_is_a_share() -> None:
    latency = {"value": 1.42, "error": 0.082, "chip": "X", "threads": 1}
    assert "± 8.2 %" in page(record(predicted_latency_ms=latency))
    assert "± " not in page(record(predicted_latency_ms={**latency, "error": None}))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["inf", "PASS"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(EXAMPLE)), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = places(EXAMPLE)[1:]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), values), min_size=1, max_size=4))
def test_no_json_breaks_reader_or_renderers(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    report = copy.deepcopy(EXAMPLE)
    for path, value in changes:
        held: Any = report
        for key in path[:-1]:
            # An earlier change may have put something else, or less, where the path leads.
            there = key in held if isinstance(held, dict) else isinstance(key, int) and key < len(held)
            held = held[key] if there else {}
            if not isinstance(held, (dict, list)):
                held = {}
        if isinstance(held, dict) or (isinstance(path[-1], int) and path[-1] < len(held)):
            held[path[-1]] = value
    found = read_record(report)
    for form in FORMS:
        assert form(found)
    agree(found)


@pytest.mark.parametrize("value", [None, 3, "x", [], [{}], {"layers": [[]] * 3, "outputs": {"a": 1}}])
def test_anything_is_read(value: object) -> None:
    assert read_record(value).verdict == "FAIL"


def test_sizes_are_bounded() -> None:
    found = record(name="x" * 10**6, metric="y" * 10**6, samples=10**400, nb={"bytes": 10**400, "sha256": "z" * 64})
    assert found.name is not None and len(found.name) == TEXT_MAX
    assert found.samples is None and found.nb == FileFacts()


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 10**5, '{"a": ' + "9" * 5000 + "}"])
def test_files_that_are_no_report(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    try:
        assert load_record(path).verdict == "FAIL"
    except DataError as err:
        assert "report.json: " in str(err)


def test_looks_are_the_parts_of_a_record() -> None:
    assert set(LOOKS) < {field.name for field in fields(Record)}
    other = replace(FULL, layers=FULL.layers[1:])
    assert looks_sha256(other) != looks_sha256(FULL)
    assert looks_sha256(replace(FULL, name="x", self_test=None, contract=PreprocessingFinding())) == looks_sha256(FULL)
    assert read_record({"outputs": [{"name": "y", "max_abs": "inf"}, 3]}).outputs == (
        Output(name="y", max_abs=float("inf")),
    )

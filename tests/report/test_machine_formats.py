"""JUnit XML, Markdown, SARIF and the terminal: well-formed, escaped, and of one mind with the verdict."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from edgeflow.cli.tables import verdict
from edgeflow.core.errors import DataError
from edgeflow.report.exchange import read_record
from edgeflow.report.junit import junit
from edgeflow.report.markdown import markdown, name, text
from edgeflow.report.record import Record
from edgeflow.report.sarif import sarif
from tests.report.reports import ALL, FULL, HOSTILE, RECORDS, changed, record

ENDS = {"PASS": None, "FAIL": "failure", "INCONCLUSIVE": "error", "NOT JUDGED": "skipped"}


def cases(found: Record) -> dict[str, str | None]:
    """How each test case ended."""
    suite = ElementTree.fromstring(junit(found)).find("testsuite")
    assert suite is not None
    return {
        f"{case.get('classname', '').split('.')[-1]}/{case.get('name')}": case[0].tag if len(case) else None
        for case in suite.iter("testcase")
    }


@pytest.mark.parametrize("key", ALL)
def test_junit_is_what_dashboards_read(key: str) -> None:
    """Source: the order and attributes of Jenkins' junit-10.xsd."""
    root = ElementTree.fromstring(junit(RECORDS[key]))
    assert root.tag == "testsuites"
    assert set(root.attrib) == {"name", "tests", "failures", "errors", "time"}
    (suite,) = root
    assert suite.tag == "testsuite"
    order = [child.tag for child in suite]
    assert order == ["properties", *["testcase"] * (len(order) - 2), "system-out"]
    found = [case[0].tag if len(case) else None for case in suite.iter("testcase")]
    assert {
        "failures": found.count("failure"),
        "errors": found.count("error"),
        "skipped": found.count("skipped"),
        "tests": len(found),
    } == {key: int(suite.get(key, "")) for key in ("failures", "errors", "skipped", "tests")}
    for case in suite.iter("testcase"):
        assert case.get("name")
        assert re.fullmatch(r"edgeflow\.[^.]+\.[a-z_]+", case.get("classname", "")), case.get("classname")
        assert all(ending.get("message") for ending in case)
    assert found[-1] == ENDS[RECORDS[key].verdict]


def test_junit_cases() -> None:
    good = cases(FULL)
    assert set(good.values()) == {None}
    assert "limits/softmax_0.tmp_0: SQNR (dB)" in good
    assert "self_test/no false alarm on 100 unchanged copies" in good
    bad = cases(RECORDS["fail"])
    assert {key for key, end in bad.items() if end} == {
        "limits/softmax_0.tmp_0: SQNR (dB)",
        "limits/metric drop",
        "decision/top1 within the budget of 0.02",
        "verdict/verdict",
    }
    assert [end for end in cases(RECORDS["undecided"]).values() if end] == [
        "error"
    ] * 3  # the limit, its decision, the verdict
    fault = changed()
    fault["self_test"]["faults"][1]["noticed"] = False
    fault["self_test"]["false_alarms"] = 2  # said, and nothing against the file
    fault["contract"]["verdict"] = "pre-processing differs"
    assert sum(end == "failure" for end in cases(read_record(fault)).values()) == 3  # fault, pre-processing, verdict
    nan = changed()
    nan["outputs"][0] |= {"max_abs": "nan", "cosine": "nan", "sqnr_db": "nan"}
    assert [key for key, end in cases(read_record(nan)).items() if end == "failure"] == [
        "limits/softmax_0.tmp_0: cosine",
        "limits/softmax_0.tmp_0: SQNR (dB)",
        "outputs/softmax_0.tmp_0: no NaN",
        "verdict/verdict",
    ]


@pytest.mark.parametrize("key", ALL)
def test_markdown(key: str) -> None:
    said = markdown(RECORDS[key])
    assert RECORDS[key].verdict in said.split("\n")[0]
    assert len(said) < 65_536
    assert said.count("<details>") == said.count("</details>")
    for line in said.split("\n"):
        outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line.replace("\\`", ""))
        assert set(re.findall(r"<[^>]*>", outside)) <= {
            "<details>",
            "<summary>",
            "</summary>",
            "</details>",
            "<sub>",
            "</sub>",
        }
        assert not re.search(r"@\w", outside)
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5, 6, 7)


def test_markdown_holds_what_a_reviewer_asks() -> None:
    said = markdown(RECORDS["fail"])
    for part in (
        "FAIL: digits",
        "0.9933 → 0.9633",
        "op 6 `conv2d_3.w_0`: range clipped",
        "- broken: SQNR (dB) 12.1",
        "85.1 %",
        "no device was given",
        "| 6 `conv2d_3.w_0` | 24.2 |",
        "NB105 `op 12 (relu)`",
        "nothing ran on it",
    ):
        assert part in said, part
    assert len(said.split("<details>")[0].split("\n")) < 20


def test_markdown_escapes() -> None:
    assert text("a_b *c* [x](y) <b> `d` x@GRAD #3") == "a\\_b \\*c\\* \\[x\\](y) &lt;b&gt; \\`d\\` x@\u200bGRAD \\#3"
    assert "://" not in text("see https:" + "//example.com")
    assert name("a") == "`a`"
    assert name("`a``b") == "``` `a``b ```"
    many = record(
        broken=[HOSTILE] * 500,
        findings=[{"why": HOSTILE * 100, "fix": HOSTILE * 100, "op": "x" * 10**6}] * 500,
        passed=False,
    )
    assert len(markdown(many)) < 65_536
    assert "and 490 more" in markdown(many)


@pytest.mark.parametrize("key", ALL)
def test_sarif(key: str) -> None:
    log = json.loads(sarif(RECORDS[key], "build/arm64 int8/model.nb"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"] == {"uri": "build/arm64%20int8/model.nb", "index": 0}
        assert run["artifacts"][0]["location"]["uri"] == place["artifactLocation"]["uri"]


def test_sarif_says_what_and_how() -> None:
    (run,) = json.loads(sarif(FULL))["runs"]
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("NB105", "warning")
    assert first["message"]["text"] == (
        "op 12 (relu): could have been fused into op 11 (fc). "
        "Fix: build with edgeflow's own rewrites: remove canonicalise = false."
    )
    titles = {rule["id"]: rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]}
    assert titles["NB105"] == "conv + bias, batch_norm or activation that opt could have fused on ARM."


@pytest.mark.parametrize("path", ["/abs/model.nb", "../model.nb", "a/../../model.nb", "C:\\x\\model.nb", ""])
def test_sarif_stays_in_the_repository(path: str) -> None:
    with pytest.raises(DataError, match="within the repository"):
        sarif(FULL, path)


@pytest.mark.parametrize("key", ALL)
def test_terminal(key: str) -> None:
    said = verdict(RECORDS[key])
    assert RECORDS[key].verdict in said.split("\n")[-1]
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_terminal_says_where_drift_comes_from() -> None:
    said = verdict(FULL)
    for part in (
        "the loss is within the budget of 0.02",
        "CPU fp32 -> compressed",
        "85.1 %",
        ".nb -> device: missing, no device was given",
        "op 6 conv2d_3.w_0            24.2       24.9    range clipped",
        "drift starts at op 6 conv2d_3.w_0, range clipped: 3.1 %",
        '  try: keep_float = ["conv2d_3.w_0"] under [compress]',
    ):
        assert part in said, part
    assert said.partition("differs on the device")[0].count("\nop ") == 5

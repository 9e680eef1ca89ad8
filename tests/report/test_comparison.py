"""Several builds on one page: which of them none beats, safe against hostile names, and one that the command writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgeflow.cli.main import edgeflow
from edgeflow.report.comparison import comparison
from edgeflow.report.front import front, standings
from edgeflow.report.record import Record
from tests.report.markup import ALLOWED, parsed
from tests.report.reports import RECORDS, changed, failing, record


def build(size: int, ms: float | None, candidate: float, **more: Any) -> Record:
    decision = {**changed()["decision"], "drop": 0.99 - candidate, "verdict": "PASS"}
    latency = None if ms is None else {"value": ms, "error": 0.1, "chip": "x", "threads": 1}
    return record(
        nb={"bytes": size}, predicted_latency_ms=latency, decision=decision, metric_candidate=candidate, **more
    )


def test_what_none_beats() -> None:
    small, fast, exact = build(10, 9, 0.95), build(50, 1, 0.96), build(60, 9, 0.99)
    beaten, twin = build(60, 9, 0.97), build(10, 9, 0.95)
    assert front([small, fast, exact, beaten, twin]) == [True, True, True, False, True]
    assert front([small, record(verdict="FAIL", broken=["x"], nb={"bytes": 1})]) == [True, False]


def test_a_build_without_a_figure_is_not_called_best() -> None:
    assert front([build(10, 5.0, 0.95), build(5, None, 0.99)]) == [True, False]
    assert front([build(10, None, 0.95), build(5, None, 0.99)]) == [False, True]


def test_without_a_common_metric_the_noise_counts() -> None:
    assert standings([RECORDS["full"], RECORDS["first format"]])[1] == "top1"
    found, metric = standings([RECORDS["full"], record(metric=None, metric_reference=None, decision=None)])
    assert metric == ""
    assert [one.loss for one in found] == [-32.7, -32.7]


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_can_stand_beside_another(name: str) -> None:
    text = comparison([("a", "./a/report.html", RECORDS["full"]), ("<b onload=x>", "", RECORDS[name])])
    found = parsed(text)
    assert {tag for tag, _ in found.tags} <= ALLOWED
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    for tag, attributes in found.tags:
        assert not any(key.startswith("on") or key == "style" for key in attributes), (tag, attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:,", "./"))
    assert "\x1b" not in text
    assert "://" not in text


def test_charts_hold_what_cannot_be_drawn() -> None:
    odd = [build(10, 1e300, 0.95), build(10, 1e300, 0.95), build(10, 0.0, 0.95 + 1e-17), build(10, 1e-300, 0.95)]
    text = comparison([(f"b{k}", "", one) for k, one in enumerate(odd)])
    assert not re.search(r"""=['"]?(nan|inf)|,nan|,inf""", text, re.I)


def test_the_command_writes_one_page_of_many_builds(tmp_path: Path) -> None:
    for target, report in (("kirin", changed(target="kirin")), ("b c", failing())):
        (tmp_path / "build" / target).mkdir(parents=True)
        (tmp_path / "build" / target / "report.json").write_text(json.dumps(report))
        (tmp_path / "build" / target / "model.nb").write_bytes(b"")
        (tmp_path / "build" / target / "report.html").write_bytes(b"")
    done = CliRunner().invoke(edgeflow, ["report", str(tmp_path / "build")])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "build" / "comparison.html").read_text(encoding="utf-8")
    assert "./b%20c/report.html" in text
    assert "2 builds side by side" in text
    assert "FAIL" in done.output
    one = CliRunner().invoke(edgeflow, ["report", str(tmp_path / "build" / "kirin" / "model.nb")])
    assert one.exit_code == 0, one.output
    assert "digits" in (tmp_path / "build" / "kirin" / "report.html").read_text(encoding="utf-8")
    none = CliRunner().invoke(edgeflow, ["report", str(tmp_path)])
    assert none.exit_code == 1
    assert "report.json" in none.output

"""What verify takes from a report that lies beside a .nb: only what the manifest vouches for, and never a traceback."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from edgeflow.cli.main import edgeflow
from edgeflow.files.arrays import save_npz
from edgeflow.files.atomic import sha256
from edgeflow.project.manifest import FORMAT
from edgeflow.report.exchange import dump, looks_sha256
from edgeflow.report.record import Record
from edgeflow.report.record_parts import FileFacts, Hop, SelfTest
from edgeflow.verify.recorded import UNHELD
from edgeflow.verify.stage import Against, verify_file
from tests.conftest import GOLDEN

LENET = GOLDEN / "net_lenet__int8_ptq_hist"
BUILT = Record("PASS", waterfall=(Hop(True, "a -> b", "a", "b", sqnr_db=30.0, share=1.0),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A .nb with its reference, and a manifest and report as a build of it would leave them."""
    shutil.copyfile(LENET / "model.nb", tmp_path / "model.nb")
    case = np.load(LENET / "case.npz")
    save_npz(tmp_path / "reference.npz", {"input/x": case["in_0"], "output/0": case["out_0"]})
    write(tmp_path, BUILT)
    return tmp_path


def write(folder: Path, record: Record, **changes: Any) -> None:
    table = {
        "format": FORMAT,
        "name": "lenet",
        "target": "arm64-int8",
        "compression": "post-training quantisation",
        "npu_arithmetic": None,
        "nb": {"sha256": sha256(folder / "model.nb"), "bytes": 3},
        "reference": {"sha256": sha256(folder / "reference.npz"), "device": "CPU (test)"},
        "settings": {"metric": None, "limits": {"cosine_min": 0.9}},
        "looks_sha256": looks_sha256(record),
    }
    (folder / "manifest.json").write_text(json.dumps({**table, **changes}))
    (folder / "report.json").write_bytes(dump(replace(record, nb=FileFacts(sha256(folder / "model.nb")))))


def verify(folder: Path) -> str:
    found = CliRunner().invoke(edgeflow, ["verify", str(folder / "model.nb")])
    assert found.exit_code == 0, found.output
    return found.output


def test_what_the_manifest_vouches_for_is_shown(folder: Path) -> None:
    assert verify_file(folder / "model.nb")[1].waterfall == BUILT.waterfall
    assert "a -> b" in verify(folder)


def test_a_forged_report_is_not(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    forged = {"injected": 100, "noticed": 100, "missed_beyond_budget": 0, "false_alarms": 0, "unchanged_copies": 100}
    (folder / "report.json").write_text(json.dumps({**report, "self_test": forged, "findings": [{"code": "NB1"}]}))
    record = verify_file(folder / "model.nb")[1]
    assert record.self_test is None and "NB1" not in {finding.code for finding in record.findings}
    assert record.waterfall == BUILT.waterfall, "these are the build's own"
    assert "self-test" not in verify(folder)
    report["waterfall"][0]["sqnr_db"] = 99.0
    (folder / "report.json").write_text(json.dumps(report))
    assert verify_file(folder / "model.nb")[1].waterfall == ()
    assert f"not checked: {UNHELD}" in verify(folder)
    (folder / "manifest.json").unlink()
    assert UNHELD in verify_file(folder / "model.nb")[1].not_checked


def test_a_self_test_of_an_earlier_run_is_not_repeated(folder: Path) -> None:
    write(folder, replace(BUILT, self_test=SelfTest(injected=100, noticed=100)))
    assert "self-test" not in verify(folder)


@pytest.mark.parametrize("key", ["waterfall", "layers", "first_drift", "ranked", "self_test", "outputs", "worst"])
@pytest.mark.parametrize("value", [3, "x", [1], [{}], [[]], {"op": 1}, [{"op": 1, "available": True, "sqnr_db": [1]}]])
def test_damaged_reports_end_in_no_traceback(folder: Path, key: str, value: Any) -> None:
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps({**report, key: value}))
    verify(folder)


@pytest.mark.parametrize("text", ["", "[1]", "nonsense", "[" * 10**5])
def test_files_that_are_no_report(folder: Path, text: str) -> None:
    (folder / "report.json").write_text(text)
    verify(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ["x"], "tools": 3, "data": [1], "target": {"a": 1}},
        {"reference": {"sha256": None, "device": [1]}},
        {"nb": [], "settings": {"limits": []}},
        {"nb": 3},
        {"settings": 3},
        {"reference": "x"},
        {"data": {"evaluation_sha256": [1], "calibration_sha256": [1]}},
    ],
)
def test_damaged_manifests_end_in_an_error_or_a_verdict(folder: Path, changes: dict[str, Any]) -> None:
    write(folder, BUILT, **changes)
    found = CliRunner().invoke(edgeflow, ["verify", str(folder / "model.nb")])
    assert (found.exit_code in (0, 1) and found.exception is None) or isinstance(found.exception, SystemExit)


def test_evaluation_data_that_the_model_was_fitted_to(folder: Path) -> None:
    same = {"evaluation_sha256": "a", "calibration_sha256": "a", "training_sha256": "b"}
    write(folder, BUILT, data=same)
    assert "not checked: unseen data: the evaluation data are the calibration data" in verify(folder)
    write(folder, BUILT, data={**same, "training_sha256": "a"})
    assert verify(folder).count("unseen data") == 2
    for data in ({**same, "calibration_sha256": "c"}, {"evaluation_sha256": None, "calibration_sha256": None}):
        write(folder, BUILT, data=data)
        assert "unseen data" not in verify(folder)
    write(folder, BUILT, data=same, compression="none")
    assert "unseen data" not in verify(folder), "a float model was fitted to nothing here"


def test_a_verdict_with_no_limits_is_no_pass(folder: Path) -> None:
    verdict, record = verify_file(folder / "model.nb", Against(own_limits=False))
    assert verdict.verdict == record.verdict == "NOT JUDGED" and not verdict.passed and not record.passed

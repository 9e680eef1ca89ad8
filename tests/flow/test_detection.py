"""The example of a detector, hardly trained: pictures in, boxes out, one subgraph, bundled for `detect`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeflow
from edgeflow.deploy.stage import deploy_to
from tests.conftest import ROOT
from tests.docs.tutorial import follow
from tests.projects import edit

pytestmark = [pytest.mark.build, pytest.mark.machine]


def test_the_detector_is_trained_built_and_bundled(tmp_path: Path) -> None:
    project = tmp_path / "detection"
    shutil.copytree(
        ROOT / "examples" / "detection",
        project,
        ignore=shutil.ignore_patterns("build", "export", "*.pdparams", "__pycache__"),
    )
    edit(project, "data.py", "EVALUATION = 3000, 640", "EVALUATION = 3000, 6")
    edit(project, "data.py", "pictures(64, SEED_TRAINING)", "pictures(8, SEED_TRAINING)")
    edit(project, "model.py", '"score_threshold": 0.05', '"score_threshold": 0.0')
    done = subprocess.run(
        [sys.executable, "train.py", "--epochs", "1", "--pictures", "32"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-2].startswith("mAP on pictures never seen: 0.")
    (built,) = edgeflow.build(project, targets=["verisilicon-timvx"])
    report = json.loads((built.folder / "report.json").read_text())
    assert [output["kind"] for output in report["outputs"]] == ["boxes", "ids"]
    assert {row["subgraph"] for row in report["partition"]["ops"]} == {None, 0}
    where = {row["op_type"]: row["place"] for row in report["partition"]["ops"]}
    assert where["softmax"] != "npu" and where["sigmoid"] == "npu"
    assert report["metric"] == "map"
    bundle = tmp_path / "bundle"
    deploy_to(built.folder, str(bundle))
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract["task"] == "detect" and contract["inputs"][0]["preprocess"]["resize"] == "letterbox"
    assert (bundle / "labels.txt").read_text().split() == ["disc", "square", "triangle", "cross"]
    follow(
        "detect", project, without=["python"], accepted=(0, 3, 4)
    )  # hardly trained, so what the verdict is does not matter

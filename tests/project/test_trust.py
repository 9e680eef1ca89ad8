"""Whose code runs without being asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeflow.project.trust import is_own, is_unchanged, trust


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "project"
    (folder / "package").mkdir(parents=True)
    (folder / "edgeflow.toml").write_text("[metric]\nname = 'helper.py:score'\n")
    (folder / "helper.py").write_text("VALUE = 1\n")
    (folder / "package" / "inner.py").write_text("VALUE = 1\n")
    return folder


def test_nothing_is_trusted_at_first(folder: Path) -> None:
    assert not is_own(folder)
    assert not is_unchanged(folder)
    trust(folder)
    assert is_own(folder)
    assert is_unchanged(folder)
    assert is_unchanged(folder / "package" / "..")


def test_results_and_data_may_change(folder: Path) -> None:
    trust(folder)
    (folder / "build" / "arm64").mkdir(parents=True)
    (folder / "build" / "arm64" / "x.py").touch()
    (folder / "data.npz").touch()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "helper.pyc").touch()
    assert is_unchanged(folder)


@pytest.mark.parametrize(
    "name", ["helper.py", "package/inner.py", "numpy.py", "edgeflow.toml", "helper.pyc", "package/x.so", "new/a.py"]
)
def test_changed_code_is_not_what_ran(folder: Path, name: str) -> None:
    trust(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("VALUE = 2\n")
    assert is_own(folder)
    assert not is_unchanged(folder)
    trust(folder)
    assert is_unchanged(folder)


def test_a_copy_is_another_folder(folder: Path, tmp_path: Path) -> None:
    trust(folder)
    shutil.copytree(folder, tmp_path / "copy")
    assert not is_own(tmp_path / "copy")
    folder.rename(tmp_path / "moved")
    (tmp_path / "copy").rename(folder)
    assert not is_own(folder), "another folder in its place"


def test_a_record_that_cannot_be_kept_or_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(folder)
    (record,) = (tmp_path / "state" / "edgeflow" / "trusted").iterdir()
    for text in ("", "[]", "{}", '{"code": 1}', "null"):
        record.write_text(text)
        assert not is_own(folder)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    trust(folder)
    assert not is_own(folder)

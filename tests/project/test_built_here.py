"""What this machine knows of manifests: those that its own builds wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeflow.project import built_here
from edgeflow.project.built_here import remember, was_built_here

A, B, C = "a" * 64, "b" * 64, "c" * 64


def test_only_what_was_built_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert was_built_here(A) is False
    monkeypatch.setattr(built_here, "KEPT", 2)
    for age, name in enumerate((A, B, C)):
        remember(name)
        os.utime(tmp_path / "state" / "edgeflow" / "built" / name, (age, age))
    remember(C)
    assert (was_built_here(A), was_built_here(B), was_built_here(C)) == (False, True, True)


def test_nothing_is_said_where_nothing_can_be_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    remember(A)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root writes everywhere
    assert was_built_here(A) is None

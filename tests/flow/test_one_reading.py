"""What lies in a build is read once: a .nb is parsed, and a reference and a program loaded, as often as there are processes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

import edgeflow
from edgeflow.cli.main import edgeflow as command

pytestmark = pytest.mark.build

PARSERS = {"read": "nb/read.py", "load_npz": "files/arrays.py", "load": "graph/program.py"}
"""Functions that make something of a file's bytes; hashes and copies read them too, and count for nothing here."""

counted: list[Counter[str]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not counted:
        return
    name = Path(str(arguments[0])).name
    if name not in ("model.nb", "reference.npz", "source.pdmodel"):
        return
    frame = sys._getframe(1)
    for _ in range(12):
        code = frame.f_code
        if code.co_name in PARSERS and code.co_filename.endswith(PARSERS[code.co_name]):
            counted[-1][name] += 1
            return
        if frame.f_back is None:
            return
        frame = frame.f_back


sys.addaudithook(_audit)


def test_a_build_parses_each_file_once(project: Path) -> None:
    counted.append(Counter())
    edgeflow.build(project, targets=["arm64-int8"])
    found = counted.pop()
    assert found["model.nb"] == 1
    assert found["source.pdmodel"] == 1
    assert found["reference.npz"] <= 2, (
        "once to hold it to what the recipe expects, before the work, and once to verify"
    )


def test_a_verification_parses_the_file_once(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.chdir(built)
    counted.append(Counter())
    done = CliRunner().invoke(command, ["verify", "build/arm64-int8/model.nb"])
    found = counted.pop()
    assert done.exit_code in (0, 4), done.output
    assert (found["model.nb"], found["reference.npz"]) == (1, 1)

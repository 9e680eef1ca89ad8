"""Every bench of scripts/bench runs, on the smallest thing it can: what it measures is not looked at here.

Where a bench starts edgeflow or a script, this process does (worker processes are forks of tests/warm.py), or a fork.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.projects import run

pytestmark = pytest.mark.build


def _script(folder: Path, path: Path, arguments: tuple[str, ...]) -> None:
    os.chdir(folder)
    sys.path[:0] = [str(folder), str(ROOT / "scripts"), str(ROOT)]
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")


def _code(code: str, arguments: list[str]) -> None:
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})


@pytest.fixture
def benches(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package, with the built digits in place of a training and of new interpreters."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from benches import clock, example, table, verify

    from edgeflow.flow.workers import Workers

    def trained_copy(folder: Path) -> Path:
        shutil.copytree(built, folder)
        return folder

    def edgeflow(folder: Path, *arguments: str, fine: tuple[int, ...] = (0,)) -> None:
        done = run(folder, *arguments)
        assert done.returncode in fine, done.stderr

    def script(folder: Path, path: Path, *arguments: str) -> None:
        with Workers(1, ()) as workers:
            workers.run(_script, folder, path, arguments)

    def process_cost(command: list[str], folder: Path) -> tuple[float, float, float]:
        if command[1] != "-c":
            return clock.process_cost(command, folder)
        with Workers(1, ()) as workers:
            workers.run(_code, command[2], command[3:])
        return 1.0, 1.0, 1.0

    for name, function in (("trained_copy", trained_copy), ("edgeflow", edgeflow), ("script", script)):
        monkeypatch.setattr(example, name, function)
    monkeypatch.setattr(verify, "process_cost", process_cost)
    yield table


@pytest.mark.parametrize(
    "name", ["build", "nb", "emulate", "graph", "sensitivity", "compress", "verify", "large", "cluster"]
)
def test_a_bench_runs_and_its_rows_are_a_table(benches: Any, name: str) -> None:
    """One that nobody ran ended in a TypeError for weeks."""
    rows = list(benches.measured(name, small=True))
    assert rows
    assert all(len(benches.as_line(name, row)) < 132 for row in rows)
    assert all(row.judged == row.judged for row in rows), "a figure is no number"


def test_every_bench_is_tried_here(benches: Any) -> None:
    tried = test_a_bench_runs_and_its_rows_are_a_table.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert sorted(tried) == sorted(benches.BENCHES)
    assert sorted(benches.BENCHES) == sorted(
        path.stem for path in (ROOT / "scripts" / "benches").glob("*.py") if "def rows(" in path.read_text()
    )


def test_a_rebuild_of_files_brings_neither_paddle_nor_the_emulator(built: Path, tmp_path: Path) -> None:
    """A build that keeps everything takes a third of a second because of what it does not import."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from benches.build import as_files
    finally:
        sys.path.pop(0)
    files = as_files(built, tmp_path / "files")
    assert run(files, "build", "-t", "arm64").returncode == 0
    code = (
        "import sys; sys.argv[1:] = ['build', '-t', 'arm64']\nfrom edgeflow.cli.main import edgeflow\n"
        "try:\n    edgeflow()\nfinally:\n"
        "    print('brought', [m for m in ('onnx', 'onnxruntime', 'paddle', 'loky', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=files, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "brought []" in done.stdout

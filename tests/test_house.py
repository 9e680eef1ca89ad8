"""The floor plan, kept by a test: imports only go down, heavy packages stay in their room, nothing names this machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FLOORS = ("core", "nb", ("graph", "emulate", "backends", "report"), "stages", "pipeline", "cli")
MODULES = sorted((ROOT / "edgeflow").rglob("*.py"))
HOMES = {"paddle": ("backends/paddle.py",), "paddleslim": ("backends/slim.py",), "paddlelite": ("backends/opt_child.py", "backends/paddle_lite_child.py"),
         "onnxruntime": ("emulate/runner.py",), "loky": ("pipeline/workers.py",)}
LINES_MAX = 400


def floor_of(module: str) -> tuple[int, str] | None:
    room = module.split(".")[1] if module.count(".") else ""
    for level, rooms in enumerate(FLOORS):
        if room in ((rooms,) if isinstance(rooms, str) else rooms):
            return level, room
    return None


def imported(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "edgeflow" else [node.module]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    own = floor_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if own is None:
        return
    for name in imported(path):
        if name.startswith("edgeflow."):
            other = floor_of(name)
            assert other is None or other[0] < own[0] or other[1] == own[1], f"{path.name} reaches {name}"


@pytest.mark.parametrize("package", HOMES)
def test_heavy_packages_stay_in_their_room(package: str) -> None:
    for path in MODULES:
        names = {name.split(".")[0] for name in imported(path)}
        if package in names:
            assert path.relative_to(ROOT / "edgeflow").as_posix() in HOMES[package], path


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("statement", ["import edgeflow", "from edgeflow.cli.main import edgeflow; edgeflow(['--help'], standalone_mode=False)"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = (f"import sys\n{statement}\n"
            "heavy = {'paddle', 'paddleslim', 'paddlelite', 'onnx', 'onnxruntime', 'numpy', 'rich', 'loky'} & set(sys.modules)\n"
            "assert not heavy, heavy")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_names_a_machine_or_a_host() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"/work/|/root/|/opt/pypi|pypi\.org/simple|registry\.npmjs|deb\.debian\.org")
    own = "tests/test_house.py"
    for name in listed:
        path = ROOT / name
        if name != own and path.suffix in (".py", ".toml", ".md", ".txt", "") and path.is_file():
            assert not pattern.search(path.read_text(errors="replace")), name

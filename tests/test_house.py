"""The floor plan, kept by a test: imports only go down, heavy packages stay in their room, nothing names this
machine.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

FLOORS = (
    "core",
    "files",
    "nb",
    ("graph", "emulate"),
    "paddle",
    "project",
    ("ingest", "compress", "convert", "deploy", "report"),
    "verify",
    "flow",
    "cluster",
    "pipelines",
    "tuning",
    "cli",
)
"""Rooms from the ground up. `verify` stands above `deploy`, though it comes earlier in the flow: it runs files on
devices. `pipelines` stands above `flow`, which builds each of their models.
"""

MODULES = sorted((ROOT / "edgeflow").rglob("*.py"))
HOMES = {
    "paddle": ("paddle/session.py",),
    "paddleslim": ("compress/slim.py",),
    "paddlelite": ("convert/opt_child.py", "deploy/paddle_lite_child.py"),
    "onnxruntime": (
        "emulate/runner.py",
        "emulate/integer_kernels.py",
        "ingest/onnx_import/origin.py",
    ),
    "jinja2": ("report/html.py",),
    "loky": ("flow/workers.py",),
    "tokenizers": ("core/tokenizer.py",),
}
LINES_MAX = 480


def floor_of(module: str) -> tuple[int, str] | None:
    room = module.split(".")[1] if module.count(".") else ""
    for level, rooms in enumerate(FLOORS):
        if room in ((rooms,) if isinstance(rooms, str) else rooms):
            return level, room
    return None


def name_of(path: Path) -> str:
    """The dotted name of a module's file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}


@cache
def imported(path: Path) -> list[str]:
    """Modules that a file imports, also inside functions; what only a type checker sees is left out."""
    tree = ast.parse(path.read_text())
    unseen = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            found += (
                [name if name in NAMES else node.module for name in below]
                if node.module.startswith("edgeflow")
                else [node.module]
            )
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    own = floor_of(name_of(path))
    if own is None:
        return
    for name in imported(path):
        if name.startswith("edgeflow."):
            other = floor_of(name)
            assert other is None or other[0] < own[0] or other[1] == own[1], f"{path.name} reaches {name}"


def test_no_two_files_import_each_other() -> None:
    """Circles between files, through any number of others and lazy imports too."""
    graph = {
        name: [other for other in imported(path) if other in NAMES and other != name] for name, path in NAMES.items()
    }
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in graph[name]:
                walk(other, (*way, name))
            done.add(name)

    for name in graph:
        walk(name, ())


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


@pytest.mark.parametrize(
    "statement",
    ["import edgeflow", "from edgeflow.cli.main import edgeflow; edgeflow(['--help'], standalone_mode=False)"],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = (
        f"import sys\n{statement}\n"
        "heavy = {'paddle', 'paddleslim', 'paddlelite', 'onnx', 'onnxruntime', 'numpy', 'rich', 'loky', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_tests_import_no_other_test() -> None:
    """What several tests need lies in conftest.py or in a module named after what is in it."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found = [name for name in names if any(part.startswith("test_") for part in name.split(".")[1:])]
            assert not (found and found[0].startswith("tests.")), f"{path.name} imports {found[0]}"


def test_nothing_names_a_machine_or_a_host() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"/work/|/root/|/opt/pypi|pypi\.org/simple|registry\.npmjs|deb\.debian\.org")
    own = "tests/test_house.py"
    for name in listed:
        path = ROOT / name
        if name != own and path.suffix in (".py", ".toml", ".md", ".txt", "") and path.is_file():
            assert not pattern.search(path.read_text(errors="replace")), name

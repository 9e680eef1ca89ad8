"""Shared fixtures: golden cases, a trained digits network, and what is missing when a test is skipped."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"
WHOLE = Path(os.environ.get("EDGEFLOW_GOLDEN", ROOT.parent / "shared" / "golden"))
WILD = WHOLE.parent / "wild"

os.environ["LANGUAGE"] = "en"  # what commands print is compared in English, whatever the locale is

settings.register_profile("busy", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("busy")


@dataclass(frozen=True)
class Case:
    """A .nb with inputs and the outputs it should have."""

    name: str
    model: Path
    precision: str
    kind: str
    suspect: bool
    on_arm: bool

    def arrays(self) -> dict[str, np.ndarray]:
        packed = self.model.parent / "case.npz"
        if packed.exists():
            return dict(np.load(packed))
        return {p.stem: np.load(p) for p in self.model.parent.glob("*.npy")}

    def inputs(self) -> list[np.ndarray]:
        return _numbered(self.arrays(), "in")

    def outputs(self) -> list[np.ndarray]:
        return _numbered(self.arrays(), "out" if self.on_arm else "ref")


def _numbered(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    return [arrays[f"{prefix}_{k}"] for k in range(sum(name.startswith(f"{prefix}_") for name in arrays))]


def golden_cases() -> list[Case]:
    """The committed cases, and the whole set where it lies beside the checkout."""
    index = json.loads((GOLDEN / "index.json").read_text())
    cases = [
        Case(
            name,
            GOLDEN / name / "model.nb",
            facts["precision"],
            facts["kind"],
            facts["suspect"],
            facts["outputs_from"] == "arm_runtime",
        )
        for name, facts in index.items()
    ]
    if (WHOLE / "INDEX.json").exists():
        for facts in json.loads((WHOLE / "INDEX.json").read_text())["list"]:
            if facts["name"] not in index:
                folder = WHOLE / facts["name"]
                cases.append(
                    Case(
                        facts["name"],
                        folder / "model.nb",
                        facts["precision"],
                        facts["kind"],
                        bool(facts["suspect"]),
                        (folder / "out_0.npy").exists(),
                    )
                )
    return cases


HAS_BUILD = all(importlib.util.find_spec(name) for name in ("paddle", "paddleslim", "paddlelite"))


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What edgeflow remembers of its user, for all test processes alike and apart from the person who tests."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.getbasetemp().parent / "state")


MACHINES = {"machine", "ssh_device", "adb_server", "browser", "digits"}
"""Fixtures that compile programs, start servers or a browser, or train a network."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skip(reason="edgeflow[build] is not installed: needs paddlepaddle, paddleslim and paddlelite")
    for item in items:
        if MACHINES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.machine)
        if item.get_closest_marker("build") and not HAS_BUILD:
            item.add_marker(missing)


@pytest.fixture(scope="session", autouse=True)
def warm_workers() -> Iterator[None]:
    """Worker processes of builds in this process are forks of one that has imported Paddle (tests/warm.py)."""
    if not HAS_BUILD or not sys.platform.startswith("linux") or os.environ.get("EDGEFLOW_COLD_WORKERS"):
        yield
        return
    from loky.backend import fork_exec

    from tests.warm import Template

    template, original = Template(), fork_exec.fork_exec
    fork_exec.fork_exec = template.instead_of(original)
    yield
    fork_exec.fork_exec = original
    template.close()


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/digits, trained once for all test processes; copy it before writing into it."""
    if not HAS_BUILD:
        pytest.skip("edgeflow[build] is not installed")
    from edgeflow.files.atomic import lock

    example = ROOT / "examples" / "digits"
    sources = [path.read_bytes() for path in sorted(example.glob("*")) if path.suffix in (".py", ".toml", ".npz")]
    shared = (
        tmp_path_factory.getbasetemp().parent / f"edgeflow-digits-{hashlib.sha256(b''.join(sources)).hexdigest()[:16]}"
    )
    with lock(shared.with_suffix(".lock")):
        if not (shared / "accuracy").exists():
            shutil.rmtree(shared, ignore_errors=True)
            shutil.copytree(
                ROOT / "examples" / "digits",
                shared,
                ignore=shutil.ignore_patterns("build", "export", "*.pdparams", "__pycache__"),
            )
            done = subprocess.run(
                [sys.executable, "train.py", "--epochs", "20"], cwd=shared, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr[-2000:]
            line = next(line for line in done.stdout.splitlines() if line.startswith("accuracy"))
            (shared / "accuracy").write_text(line.split()[-1])
    return shared


@pytest.fixture
def project(digits: Path, tmp_path: Path) -> Path:
    """A private copy of the trained example."""
    folder = tmp_path / "project"
    shutil.copytree(digits, folder, ignore=shutil.ignore_patterns("build", "__pycache__"))
    return folder


@pytest.fixture(scope="session")
def built(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example built for kirin, arm64-int8, arm64 and x86, once for all test processes of the same sources."""
    from edgeflow.core.versions import code_version
    from edgeflow.files.atomic import lock

    shared = tmp_path_factory.getbasetemp().parent / f"edgeflow-built-{code_version()}"
    with lock(shared.with_suffix(".lock")):
        if not (shared / "done").exists():
            shutil.rmtree(shared, ignore_errors=True)
            shutil.copytree(digits, shared)
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "edgeflow",
                    "build",
                    "-t",
                    "kirin",
                    "-t",
                    "arm64-int8",
                    "-t",
                    "arm64",
                    "-t",
                    "x86",
                ],
                cwd=shared,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            (shared / "done").touch()
    return shared

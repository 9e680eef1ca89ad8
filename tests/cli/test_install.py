"""The base install in an environment of its own: no Paddle, and everything that needs none works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GOLDEN, ROOT

PYTHONS = ["python3.11", "python3.12", "python3.13"]


def find_python() -> str:
    """A newer Python where there is one, for the claim is `>= 3.10`."""
    folders = [
        *Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin"),
        *map(Path, os.get_exec_path()),
    ]
    for name in PYTHONS:
        for folder in folders:
            candidate = folder / name
            if (
                candidate.exists()
                and subprocess.run([candidate, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0
            ):
                return str(candidate)
    return sys.executable


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "venv"
    subprocess.run([find_python(), "-m", "venv", "--without-pip", str(folder)], check=True)
    # What is run is compiled when it is; the rest of what comes along never.
    own = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check"]
    done = subprocess.run([*own, "install", "--quiet", "--no-compile", str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "bin"


def run(base: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([base / "edgeflow", *arguments], capture_output=True, text=True, cwd=cwd)


@pytest.mark.slow
@pytest.mark.build
def test_base_install(base: Path, built: Path, tmp_path: Path) -> None:
    listing = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    listed = subprocess.run([base / "python", "-c", listing], capture_output=True, text=True, check=True).stdout
    names = {name.lower() for name in json.loads(listed)}
    assert "edgeflow" in names and not {name for name in names if "paddle" in name}
    assert "kirin" in run(base, "targets", cwd=tmp_path).stdout
    assert "MACs" in run(base, "inspect", str(GOLDEN / "net_lenet__fp32" / "model.nb"), cwd=tmp_path).stdout
    shutil.copytree(built / "build" / "kirin", tmp_path / "kirin")
    verified = run(base, "verify", "kirin/model.nb", cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr
    assert "PASS" in verified.stdout
    import numpy as np

    np.save(tmp_path / "in.npy", np.zeros((1, 1, 8, 8), np.float32))
    ran = run(base, "run", "kirin/model.nb", "--input", "image=in.npy", "--output-dir", "out", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    fresh = tmp_path / "fresh"
    shutil.copytree(built, fresh, ignore=shutil.ignore_patterns("build"))
    refused = run(base, "build", "--target", "arm64", cwd=fresh)
    assert refused.returncode == 1
    assert "pip install 'edgeflow[build]'" in refused.stderr
    code = "import sys, edgeflow.emulate; assert not {m for m in sys.modules if m.startswith('paddle')}"
    assert subprocess.run([base / "python", "-c", code]).returncode == 0

"""What installing edgeflow brings: every package pinned, none that nobody uses, each licence listed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import subprocess
import sys
from types import ModuleType

import pytest
import tomli

from tests.conftest import ROOT

UNWANTED = {"opencv-python", "swig", "opencv-contrib-python"}
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALL = re.compile(r"pip install\b[^\n|`]*")


def script(name: str) -> ModuleType:
    """A Python program of scripts/, loaded as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def brought() -> set[str]:
    """Every package that scripts/setup installs, edgeflow apart."""
    extras = PROJECT["optional-dependencies"]
    asked = [
        *PROJECT["dependencies"],
        *(
            line
            for extra in ("build-lean", "metrics", "text", "http", "s3", "hdfs", "cluster", "docs", "dev")
            for line in extras[extra]
        ),
    ]
    return {*script("licences").closure(asked, set()), "paddleslim"}


@pytest.mark.build
def test_every_package_is_pinned() -> None:
    plain = script("licences").plain
    pinned = {plain(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert brought() - pinned == set()
    assert pinned - brought() == set(), "pinned, and nothing asks for it"


@pytest.mark.build
def test_paddleslim_does_not_bring_what_nobody_uses() -> None:
    assert not brought() & UNWANTED
    assert "paddleslim" in "".join(PROJECT["optional-dependencies"]["build"]), "one command installs everything"
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('cv2', 'swig', 'sklearn')))\n"  # as if they were not there
        "import zlib, edgeflow.compress.stage, edgeflow.compress.slim\n"
        "from edgeflow.core.need import need\n"
        "for name in ('quant', 'prune', 'analysis', 'dist', 'core', 'common.recover_program', 'prune.prune_worker'):\n"
        "    need(f'paddleslim.{name}', 'build')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.build
def test_licences_are_listed() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "licences", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "docs" / "licences.md").read_text()
    table = page.partition("| --- | --- | --- |")[2]
    assert "not said" not in table
    assert "GPL" not in table.replace("LGPL", "")


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "docs/device.md"])
def test_shown_installs_are_pinned(path: str) -> None:
    shown = INSTALL.findall((ROOT / path).read_text())
    assert all("-c constraints.txt" in line for line in shown), shown
    assert shown or path != "README.md"


def test_without_python_3_10_a_build_install_ends_at_once_and_says_why() -> None:
    """pip compiles nothing before: the requirement that cannot be met has no file, and its name is the sentence."""
    from packaging.requirements import Requirement

    asked = [Requirement(line) for line in PROJECT["optional-dependencies"]["build-lean"]]
    for version in ("3.11", "3.12", "3.13", "3.14"):
        here = {"python_version": version, "python_full_version": f"{version}.0"}
        wanted = [one for one in asked if one.marker is None or one.marker.evaluate(here)]
        assert any("needs.python.3.10" in str(one.specifier) for one in wanted)
        assert not any(one.name in ("numpy", "onnx") for one in wanted), "an older NumPy would be compiled"
    own = [one for one in asked if one.marker is None or one.marker.evaluate({"python_version": "3.10"})]
    assert [str(one.specifier) for one in own if one.name == "paddlelite"] == ["==2.13rc0"]

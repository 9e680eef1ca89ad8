"""The README is held to the code: its commands run, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.projects import run

README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Lines of the blocks marked `sh` that call edgeflow."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("edgeflow ")]


def test_first_screen_names_both_commands() -> None:
    screen = "\n".join(README.splitlines()[:40])
    assert "scripts/quickstart" in screen
    assert "scripts/test" in screen


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


@pytest.mark.build
@pytest.mark.slow
def test_commands_run(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "readme"
    shutil.copytree(built, folder)
    np.save(folder / "in.npy", np.zeros((1, 1, 8, 8), np.float32))
    library = next(Path(sys.prefix).rglob("paddlelite/lite.so"))
    shutil.copyfile(library, folder / "libpaddle_light_api_shared.so")
    found = commands()
    assert len(found) >= 10
    for line in found:
        words = shlex.split(line.replace("--budget 30m", "--budget 8s"))  # what stops the search does not matter here
        done = run(folder, *words[1:])
        assert done.returncode in (0, 3, 4), (line, done.stderr)
        if done.returncode:
            assert words[1] in ("diff", "match", "search", "verify"), line

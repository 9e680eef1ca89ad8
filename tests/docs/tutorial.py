"""Run the commands of a tutorial, in its own folder, as its reader would."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from tests.conftest import ROOT
from tests.projects import run

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


def commands(name: str) -> list[list[str]]:
    """The commands of docs/tutorials/NAME.md, comments taken away."""
    text = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text(encoding="utf-8")
    return [shlex.split(line, comments=True) for block in BLOCK.findall(text) for line in block.splitlines() if line]


def follow(name: str, folder: Path, *, without: Iterable[str], accepted: Iterable[int] = (0,)) -> list[str]:
    """Run every edgeflow command of a tutorial in `folder` and return what each said on stdout.

    Args:
        without: commands that the caller has run before, or leaves out: `python`, or `build` of edgeflow.
        accepted: exit codes that count as done.
    """
    said = []
    for command in commands(name):
        if command[0] in without or command[1] in without:
            continue
        assert command[0] == "edgeflow", command
        words = [match for word in command[1:] for match in (sorted(map(str, _found(folder, word))) or [word])]
        done = run(folder, *words)
        assert done.returncode in accepted, f"{shlex.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
    assert said
    return said


def _found(folder: Path, word: str) -> list[Path]:
    """What the shell makes of a word with a star."""
    return [path.relative_to(folder) for path in folder.glob(word)] if "*" in word else []

"""A project in a folder, as tests use one: run edgeflow in it, edit its files, hash what lies there."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from click.testing import CliRunner


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a folder, in this process: a new interpreter for each call would import everything anew."""
    from edgeflow.cli.main import edgeflow

    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(edgeflow, list(arguments), prog_name="edgeflow")
    finally:
        os.chdir(before)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(list(arguments), done.exit_code, done.stdout, done.stderr)


def edit(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

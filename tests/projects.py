"""A project in a folder, as tests use one: run edgeflow in it, edit its files, hash what lies there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edgeflow", *arguments], cwd=folder, capture_output=True, text=True)


def edit(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

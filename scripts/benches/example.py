"""A private copy of the trained digits example, and the commands that benches run in it."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def trained_copy(folder: Path) -> Path:
    """Copy examples/digits to `folder`, trained first where it is not yet."""
    example = ROOT / "examples" / "digits"
    if not (example / "digits.pdparams").exists():
        subprocess.run([sys.executable, "train.py"], cwd=example, check=True)
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("build", "export", "__pycache__"))
    return folder


def edgeflow(folder: Path, *arguments: str, fine: Sequence[int] = (0,)) -> None:
    """The command line in a folder; `fine`: exit codes that are no failure."""
    call([sys.executable, "-m", "edgeflow", *arguments], folder, fine)


def script(folder: Path, path: Path, *arguments: str) -> None:
    """A Python script in a folder, with the benches and edgeflow at hand."""
    call([sys.executable, str(path), *arguments], folder)


def call(command: Sequence[str], folder: Path, fine: Sequence[int] = (0,)) -> None:
    """Any command; ends the bench where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode not in fine:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")

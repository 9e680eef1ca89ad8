"""A private copy of the trained digits example."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def trained_copy(folder: Path) -> Path:
    """Copy examples/digits to `folder`, trained first where it is not yet."""
    example = ROOT / "examples" / "digits"
    if not (example / "digits.pdparams").exists():
        subprocess.run([sys.executable, "train.py"], cwd=example, check=True)
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("build", "export", "__pycache__"))
    return folder

"""Files in a build's folder that are not the build's: whoever put them there keeps them."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeflow.files.atomic import sha256


def keep_others(place: Path, folder: Path, ours: set[str]) -> None:
    """Copy what is not ours, golden/ included: whoever put it here keeps it."""
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(other.startswith(f"{name}/") for other in ours):
                (folder / name).mkdir()
        elif name not in ours:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy2(path, folder / name, follow_symlinks=False)


def same_content(a: Path, b: Path) -> bool:
    """Both files are there and hold the same."""
    try:
        return a.stat().st_size == b.stat().st_size and sha256(a) == sha256(b)
    except OSError:
        return False

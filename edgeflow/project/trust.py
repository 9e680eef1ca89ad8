"""Whose code may run without being asked for: folders that the user built, or whose programs were compiled, here.

A folder from somebody else names its own Python files and device programs, so nothing in it can say that they may run.
The record lies outside, in the user's state folder, and is of this folder (path and inode) with this code in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import json
import os
from collections.abc import Iterator
from pathlib import Path

from edgeflow.core.errors import StorageError
from edgeflow.files.atomic import sha256, write_atomic
from edgeflow.files.user_state import state_folder

SETTINGS = (".toml", "runtime.json")
"""What says which code runs: a recipe names its functions, a runtime folder its programs and their hashes."""
SUFFIXES = tuple(importlib.machinery.all_suffixes())
SKIPPED = ("__pycache__", "build")


def trust(folder: Path) -> None:
    """Remember that the user had this folder's code run; where nothing can be remembered, --trust has to say it."""
    with contextlib.suppress(OSError, StorageError):
        record = json.dumps({**_identity(folder), "code": _code(folder)}).encode()
        if not _record(folder).is_file() or _record(folder).read_bytes() != record:
            write_atomic(_record(folder), record)


def is_own(folder: Path) -> bool:
    """The user had this folder's code run here, whatever it has become since."""
    return _remembered(folder) is not None


def is_unchanged(folder: Path) -> bool:
    """This very code was run here by the user's wish."""
    known = _remembered(folder)
    try:
        return known is not None and known == _code(folder)
    except OSError:
        return False


def _remembered(folder: Path) -> str | None:
    try:
        known = json.loads(_record(folder).read_bytes())
        return str(known.pop("code")) if {**known, "code": ""} == {**_identity(folder), "code": ""} else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None


def _record(folder: Path) -> Path:
    return state_folder("trusted") / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()


def _identity(folder: Path) -> dict[str, object]:
    return {"path": str(folder.resolve()), "inode": folder.stat().st_ino}


def _code(folder: Path) -> str:
    """One hash of all that Python may import from a folder, and of what says which of it runs."""
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        digest.update(f"{path.relative_to(folder)}\0{sha256(path)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for at, below, names in os.walk(folder):
        # Results, hidden folders and virtual environments hold much, and no file of the user's.
        below[:] = [
            name
            for name in below
            if name not in SKIPPED and not name.startswith(".") and not (Path(at) / name / "pyvenv.cfg").exists()
        ]
        for name in names:
            path = Path(at) / name
            if (name.endswith(SUFFIXES) or (path.parent == folder and name.endswith(SETTINGS))) and path.is_file():
                yield path

"""Which manifests builds on this machine wrote: nothing signs a folder, so one from elsewhere has its own word alone.

The record lies outside of every folder, in the user's state folder: an empty file for each manifest, named by its hash.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from edgeflow.files.user_state import state_folder

KEPT = 10_000
"""A build that is made again leaves the same manifest; older ones than these many go."""

HASH = re.compile(r"[0-9a-f]{64}\Z")


def remember(manifest_sha256: str) -> None:
    """Note that a build here wrote a manifest; where nothing can be noted, nothing is."""
    folder = _folder()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / manifest_sha256).touch()
        names = [entry for entry in os.scandir(folder) if HASH.match(entry.name)]
        for entry in sorted(names, key=lambda entry: entry.stat().st_mtime)[:-KEPT]:
            os.unlink(entry.path)


def was_built_here(manifest_sha256: str) -> bool | None:
    """A build of this user on this machine wrote the manifest; None where no build could have noted it."""
    folder = _folder()
    try:
        if (folder / manifest_sha256).is_file():
            return True
    except OSError:
        return None
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    return False if os.access(there, os.W_OK) else None


def _folder() -> Path:
    return state_folder("built")

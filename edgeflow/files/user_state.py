"""What edgeflow remembers of this user from one call to the next, outside of every project."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder(name: str) -> Path:
    """A folder for one kind of record; it may not exist yet.

    Source: XDG Base Directory Specification 0.8, XDG_STATE_HOME, of which a relative path counts as unset.
    """
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    base = given if given.is_absolute() else Path.home() / ".local" / "state"
    return base / "edgeflow" / name

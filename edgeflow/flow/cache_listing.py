"""What the cache of a build folder holds, and what of it goes by age."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from edgeflow.core.errors import StorageError
from edgeflow.files.atomic import folder_half_made, is_in_use, sweep
from edgeflow.files.sealed import FACTS
from edgeflow.flow.cache import SEEN


@dataclass(frozen=True, slots=True)
class Entry:
    """One result of a stage, or a table that a command keeps; `used` (seconds since 1970): when it was last taken."""

    stage: str
    name: str
    bytes: int
    used: float
    path: Path


def entries(cache: Path) -> list[Entry]:
    """Everything that a cache holds, what was used last first."""
    found = []
    for stage in sorted(cache.iterdir()) if cache.is_dir() else ():
        if stage.is_file() and stage.suffix == ".json" and not stage.name.startswith("."):
            found.append(_entry(stage.name.partition("-")[0], stage, stage))
        for path in sorted(stage.iterdir()) if stage.is_dir() and not stage.is_symlink() else ():
            if path.is_dir() and not path.is_symlink() and path.name != SEEN and not path.name.startswith("."):
                found.append(_entry(stage.name, path, path / FACTS))
    return sorted(found, key=lambda entry: (-entry.used, entry.stage, entry.name))


def prune(cache: Path, older_than_s: float, now: float | None = None) -> list[Entry]:
    """Remove what no build took for so long, and what killed builds left half made; returns what went.

    Raises:
        StorageError: a build is at work, or the folder is not writable.
    """
    stages = [path for path in cache.glob("*/") if path.is_dir()]
    for stage in stages:
        sweep(stage)
        if is_in_use(stage):
            raise StorageError(f"{cache}: a build is at work here", try_="wait until it is done, then run it again")
    limit = (time.time() if now is None else now) - older_than_s
    gone = [entry for entry in entries(cache) if entry.used <= limit]
    for entry in gone:
        with folder_half_made(entry.path) as half:  # out of sight in one step, then removed with it
            entry.path.rename(half / entry.path.name)
    for record in cache.glob(f"*/{SEEN}/*/*.json"):
        if not (record.parents[2] / _result(record)).is_dir():
            record.unlink(missing_ok=True)
    return gone


def _result(record: Path) -> str:
    try:
        return Path(str(json.loads(record.read_text(encoding="utf-8"))["result"])).name or "none"
    except (OSError, ValueError, KeyError, TypeError):
        return "none"


def _entry(stage: str, path: Path, dated: Path) -> Entry:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    try:
        used = dated.stat().st_mtime
    except OSError:
        used = 0.0  # no facts: nothing that a build would take
    return Entry(stage, path.stem, sum(file.stat().st_size for file in files), used, path)

"""What a result of stage 1 depended on, and whether that still is as it was.

Files that edgeflow reads itself are all known: programs, arrays and pictures, by what they hold and not by their
dates, links followed, folders with the names in them. What a user's function depends on nobody can list: files of any
name, or their absence, opened by any library or process, the environment, the network. So it has no such record; it
runs again, and what it gives is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgeflow.core.settings import IngestSettings
from edgeflow.core.versions import key_of
from edgeflow.files.atomic import sha256

ABSENT = "absent"


def runs_code(settings: IngestSettings) -> bool:
    """The model or some of its data comes from a user's function."""
    return settings.factory is not None or any(".py:" in source for source in _data(settings))


def look(settings: IngestSettings, folder: Path, read: Iterable[str] = ()) -> dict[str, str]:
    """What files and folders hold now: those that the settings name, and `read`, which the named ones led to."""
    found = {str(path): _state(path) for path in (*_named(settings, folder), *map(Path, read))}
    return dict(sorted(found.items()))


def metric_code(folder: Path, name: str) -> dict[str, str]:
    """Content of the file that a user's metric lies in, and of every Python file beside it that it may import."""
    beside = (folder / name.partition(":")[0]).parent
    return {path.name: sha256(path) for path in sorted(beside.glob("*.py"))} if ".py:" in name else {}


def holds(seen: Mapping[str, str]) -> bool:
    """All of what was looked at is as it was; nothing looked at says nothing."""
    return bool(seen) and all(_state(Path(path)) == known for path, known in seen.items())


def _data(settings: IngestSettings) -> list[str]:
    return [s for s in (settings.evaluation, settings.calibration, settings.training) if s is not None]


def _named(settings: IngestSettings, folder: Path) -> list[Path]:
    named = [folder / source for source in (*_data(settings), *filter(None, [settings.annotations]))]
    if settings.program is not None:
        program = folder / settings.program
        named += [program, folder / settings.params if settings.params else program.with_suffix(".pdiparams")]
    named += [folder / rules.vocab for rules in settings.tokenize.values()]
    return named


def _state(path: Path) -> str:
    """Content of a file, or of a folder and its sub-folders, which is as deep as data lie."""
    try:
        if not path.is_dir():
            return sha256(path) if path.is_file() else ABSENT
        entries: list[Any] = []
        for entry in sorted(path.iterdir()):
            inner = sorted(entry.iterdir()) if entry.is_dir() else None
            if inner is None:
                entries.append((entry.name, _file(entry)))
            else:
                entries.append((entry.name, [(one.name, _file(one)) for one in inner]))
        return key_of("folder", entries)
    except OSError:
        return ABSENT


def _file(path: Path) -> str:
    return sha256(path) if path.is_file() else "folder" if path.is_dir() else ABSENT

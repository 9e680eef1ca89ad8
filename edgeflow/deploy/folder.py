"""Bundles in folders of this machine: one step from the old to the new, nothing of others lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.core.errors import DataError, StorageError
from edgeflow.deploy.bundle import Bundle
from edgeflow.files.atomic import folder_atomic, sha256, sweep, write_atomic
from edgeflow.files.user_state import state_folder

SHOWN = 5
CACHE = "cache/"
"""Compiled NPU programs, which the bundle's own programs keep there: they stay, and nobody need be told."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of a folder: `changed` is false where the bundle lay there already; `kept` are files of others."""

    changed: bool
    kept: tuple[str, ...] = ()


def to_folder(bundle: Bundle, folder: Path) -> Placed:
    """Write a folder that appears whole. What edgeflow wrote there before goes; all else stays.

    What edgeflow wrote is known by its own record of paths and hashes, in the user's state folder: a bundle.json may
    come from anywhere. A file in the way of a new one is kept as NAME.kept.

    Raises:
        DataError: files lie there and edgeflow wrote none of them.
        StorageError: disk full or folder not writable.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is no folder, and is not replaced", try_="--to another folder")
    folder = folder.resolve()
    new = {name: hashlib.sha256(data).hexdigest() for name, data in bundle.files.items()}
    found = dict(_found(folder))
    if all(found.get(name) == known for name, known in new.items()):
        sweep(folder.parent, folder.name)  # a process killed after the exchange left the older one beside it
        _remember(folder, new, {})
        return Placed(False)
    old = _remembered(folder)
    foreign = sorted(name for name, known in found.items() if known != new.get(name) and known not in old.get(name, ()))
    if foreign and not old:
        names = ", ".join(map(_shown, foreign[:SHOWN])) + (" …" if len(foreign) > SHOWN else "")
        raise DataError(
            f"{folder}: holds {names}, which edgeflow did not write there, and is no bundle of its own, so it is not "
            "replaced",
            try_=f"--to {shlex.quote(str(folder / bundle.name))}, or move these files away",
        )
    with folder_atomic(folder) as work:
        for name, data in bundle.files.items():
            _write(work / name, data, 0o755 if name in bundle.executable else 0o644)
        kept = tuple(_carry(folder, work, name) for name in foreign)
        _remember(folder, new, old)  # before the step and after it, the record holds for what lies there
    _remember(folder, new, {})
    return Placed(True, tuple(name for name in kept if not name.startswith(CACHE)))


def _found(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file below a folder with its hash; an empty one for what is no regular file, links among them."""
    for at, below, names in os.walk(folder):
        for name in [*names, *(name for name in below if (Path(at) / name).is_symlink())]:
            path = Path(at) / name
            is_file = path.is_file() and not path.is_symlink()
            yield path.relative_to(folder).as_posix(), sha256(path) if is_file else ""


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())  # a power cut after the exchange must not find empty files
    path.chmod(mode)


def _carry(folder: Path, work: Path, name: str) -> str:
    """Have another's file in the new folder too, under a name that is free there."""
    place = work
    parts = Path(name).parts
    for k, part in enumerate(parts):
        place = place / part
        while os.path.lexists(place) and (k == len(parts) - 1 or not place.is_dir() or place.is_symlink()):
            place = place.with_name(f"{place.name}.kept")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(folder / name, place, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(folder / name, place, follow_symlinks=False)
    return place.relative_to(work).as_posix()


def _record(folder: Path) -> Path:
    return state_folder("deployed") / hashlib.sha256(os.fsencode(folder)).hexdigest()


def _remembered(folder: Path) -> dict[str, list[str]]:
    """Hashes of what edgeflow wrote at each path of a folder."""
    try:
        known = json.loads(_record(folder).read_bytes())
        return {str(name): [str(item) for item in hashes] for name, hashes in known.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _remember(folder: Path, new: Mapping[str, str], old: Mapping[str, list[str]]) -> None:
    table = {name: [*([new[name]] if name in new else []), *old.get(name, [])] for name in sorted({*new, *old})}
    data = json.dumps(table).encode()
    with contextlib.suppress(OSError, StorageError):  # without a record, the next deploy asks for another folder
        if not _record(folder).is_file() or _record(folder).read_bytes() != data:
            write_atomic(_record(folder), data)

"""Files and folders by content: named by a hash, packed to travel, and kept by whoever gets them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgeflow.core.errors import StorageError
from edgeflow.core.versions import key_of
from edgeflow.files.atomic import folder_half_made, publish, sha256

PIECE_BYTES = 8 << 20
"""Sent in one message: Dask warns of larger ones."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file or a folder: its name, and the hash of each of its files by relative name."""

    name: str
    is_folder: bool
    files: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        return key_of("content", self.name, self.is_folder, self.files)


def content_of(path: Path) -> Content:
    """What lies at a path now."""
    if path.is_dir():
        inner = sorted(file for file in path.rglob("*") if file.is_file())
        return Content(path.name, True, tuple((file.relative_to(path).as_posix(), sha256(file)) for file in inner))
    return Content(path.name, False, ((path.name, sha256(path)),))


def blob(store: Path, digest: str) -> Path:
    """Where a file with this hash is kept."""
    return store / "blobs" / digest[:2] / digest


def missing(store: Path, contents: list[Content]) -> list[str]:
    """Hashes of files that are not here and whose content is not laid out either."""
    absent = {
        digest
        for one in contents
        if not laid_out(store, one).exists()
        for _, digest in one.files
        if not blob(store, digest).is_file()
    }
    return sorted(absent)


def laid_out(store: Path, content: Content) -> Path:
    """Where a content lies under its own name."""
    return store / "content" / content.key / content.name


def lay_out(store: Path, content: Content) -> Path:
    """Put the files of a content under their names, once.

    Raises:
        StorageError: a file is not what its hash says.
    """
    place = laid_out(store, content)
    if place.exists():
        return place
    with folder_half_made(place.parent) as half:
        for name, digest in content.files:
            if sha256(blob(store, digest)) != digest:
                blob(store, digest).unlink()
                raise StorageError(f"{store}: {content.name} came damaged", try_="run it again")
            inside = half / content.name / name if content.is_folder else half / name
            if not inside.resolve().is_relative_to(half.resolve()) or ".." in PurePosixPath(name).parts:
                raise StorageError(f"{store}: {name[:80]!r} leads out of its folder")
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.hardlink_to(blob(store, digest))
        (half / content.name).mkdir(exist_ok=True) if content.is_folder else None
        publish(half, place.parent)
    return place


def take_piece(store: Path, digest: str, at: int, piece: bytes, *, last: bool) -> None:
    """Write a piece of a file that comes in several; the last one names it."""
    part = blob(store, digest).with_suffix(f".{hashlib.sha256(str(store).encode()).hexdigest()[:8]}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("r+b" if at else "wb") as stream:
        stream.seek(at)
        stream.write(piece)
    if last:
        part.replace(blob(store, digest))

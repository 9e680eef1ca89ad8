"""Files that appear whole or not at all, and what they contain as one hash.

What is half made lies beside its final place, as `.NAME.XXXXXXXX.tmp`, and its maker holds a lock on
`.NAME.XXXXXXXX.tmp.lock` for as long as it lives. A lock says that in every container and, where the file system has
locks, on every machine that sees the folder; a process number would say it in one.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.core.errors import StorageError
from edgeflow.files.inside import open_regular

if TYPE_CHECKING:
    from filelock import BaseFileLock

CHUNK_BYTES = 1 << 20
HALF = ".tmp"
LOCK = ".lock"
SWEEPING = ".sweep.lock"


def sha256(path: Path, folder: Path | None = None) -> str:
    """Hash a regular file's bytes as hexadecimal SHA-256.

    Args:
        folder: the file must lie in it once every link is followed.

    Raises:
        OSError: see open_regular.
    """
    digest = hashlib.sha256()
    with open_regular(path, folder) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write under `path` into a StorageError."""
    try:
        yield
    except OSError as err:
        if err.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise StorageError(
                f"{path}: the disk is full", try_=f"free some space under {path}, then run it again"
            ) from err
        if err.errno in (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOTDIR,
            errno.EEXIST,
            errno.EISDIR,
            errno.EFBIG,
        ):
            raise StorageError(
                f"{path}: cannot be written ({err.strerror})",
                try_="choose another folder with --build-dir, or correct its permissions",
            ) from err
        raise


def write_new(folder: Path, files: Mapping[str, bytes], try_: str) -> list[Path]:
    """Write files into a folder, each whole; none where one of them is there already.

    Args:
        try_: what to do then.

    Raises:
        StorageError: a file exists already, or the folder is not writable.
    """
    for name in files:
        if (folder / name).exists():
            raise StorageError(f"{folder / name}: exists already, and is not overwritten", try_=try_)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomic(folder / name, content)
    return [folder / name for name in files]


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a killed writer, never leaves half of it.

    Raises:
        StorageError: disk full or folder not writable; an older file is left as it was.
    """
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        with _claimed(path) as half:
            with half.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            half.chmod(0o644)
            half.replace(path)


@contextlib.contextmanager
def folder_half_made(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`, which is gone after the block unless `publish` put it somewhere.

    Raises:
        StorageError: disk full or parent not writable.
    """
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _claimed(path) as half:
            half.mkdir(0o755)
            yield half


def publish(half: Path, path: Path) -> None:
    """Put a filled folder at `path` of the same file system; what was there is then at `half`.

    Its files reach the disk first: after a power cut a name never stands for half of what it names.
    """
    for folder, _, names in os.walk(half):
        for name in names:
            _to_disk(Path(folder, name))
        _to_disk(Path(folder))
    _exchange(half, path)
    _to_disk(path.parent)


@contextlib.contextmanager
def folder_atomic(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `path` when the block ends well.

    Raises:
        StorageError: disk full or parent not writable; an older folder is left as it was.
    """
    with folder_half_made(path) as half:
        yield half
        publish(half, path)


def sweep(folder: Path, name: str = "") -> None:
    """Remove what killed processes left half made, of one name or of all; a folder that nobody may write is let be."""
    if not _half_made(folder, name):
        return
    # One sweeper at a time, which lists afresh: see _claimed.
    with contextlib.suppress(OSError), _held(folder / SWEEPING) as mine:
        for half in _half_made(folder, name) if mine else ():
            gate = half.with_name(half.name + LOCK)
            with _held(gate) as free:
                if free:
                    _remove(half)
                    gate.unlink(missing_ok=True)
        if mine:
            (folder / SWEEPING).unlink(missing_ok=True)  # filelock takes no lock on a file that is gone


def is_in_use(folder: Path) -> bool:
    """Somebody who lives is making something in the folder."""
    for half in _half_made(folder, ""):
        with _held(half.with_name(half.name + LOCK)) as free:
            if not free:
                return True
    return False


def _half_made(folder: Path, name: str) -> list[Path]:
    """What is half made in a folder, or the lock of it is there."""
    pattern = f".{glob.escape(name)}.????????{HALF}" if name else f".*{HALF}"
    found = [*folder.glob(pattern), *folder.glob(pattern + LOCK)]
    return sorted({path.with_name(path.name.removesuffix(LOCK)) for path in found})


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock file; the kernel frees it when the process dies, however it dies."""
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        gate = _gate(path)
        gate.acquire()
    try:
        yield
    finally:
        gate.release()


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[Path]:
    """Give a name beside `path` that nobody else uses, held to a lock; what lies there afterwards is removed.

    A sweeper may take a new lock file before its maker locks it, and removes it then. The maker sees that it is gone
    and takes another name. Nobody makes it anew meanwhile: there is one sweeper, and it knows names of files that are
    there.
    """
    while True:
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}{HALF}")
        file = half.with_name(half.name + LOCK)
        gate = _gate(file)
        gate.acquire()
        if file.exists():
            break
        gate.release()
    try:
        yield half
    finally:
        _remove(half)
        with contextlib.suppress(OSError):
            file.unlink()
        gate.release()


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold a lock if it is free."""
    from filelock import Timeout

    gate = _gate(path)
    try:
        gate.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        gate.release()


def _gate(path: Path) -> BaseFileLock:
    from filelock import FileLock

    return FileLock(path, thread_local=False)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _to_disk(path: Path) -> None:
    """Some file systems know no fsync of folders, and Windows none at all; they are asked all the same."""
    with contextlib.suppress(OSError):
        # Opened without waiting: somebody may have put a pipe there.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exchange(half: Path, path: Path) -> None:
    """Put `half` at `path`; what was at `path` is then at `half`."""
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            try:
                half.rename(path)
                return
            except OSError as err:
                if err.errno != errno.ENOTEMPTY:
                    raise
    if _swapped(half, path):
        return
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    path.rename(old)
    half.rename(path)
    old.rename(half)


def _swapped(one: Path, other: Path) -> bool:
    """Swap two names in one step, where the system can.

    Source: renameat2(2), RENAME_EXCHANGE = 2, AT_FDCWD = -100.
    """
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError):
        return False
    return bool(swap(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0)

"""Files that appear whole or not at all, and what they contain as one hash."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgeflow.core.errors import StorageError
from edgeflow.files.inside import open_regular

CHUNK_BYTES = 1 << 20


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
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
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


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a killed writer, never leaves half of it.

    Raises:
        StorageError: disk full or folder not writable; an older file is left as it was.
    """
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


@contextlib.contextmanager
def folder_atomic(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `path` when the block ends well.

    Raises:
        StorageError: disk full or parent not writable; an older folder is left as it was.
    """
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp", dir=path.parent))
        try:
            yield work
            os.chmod(work, 0o755)
            _exchange(work, path)
        finally:
            # Holds what was replaced, or what the block left behind when it failed.
            shutil.rmtree(work, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half done: folders of `folder_atomic` whose process is gone."""
    for path in folder.glob(".*.tmp"):
        pid = path.name.split(".")[-3] if path.name.count(".") >= 4 else ""
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)


def _exchange(work: Path, path: Path) -> None:
    """Put `work` at `path`; what was at `path` is then at `work`."""
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            try:
                os.rename(work, path)
                return
            except OSError as err:
                if err.errno != errno.ENOTEMPTY:
                    raise
    # Linux swaps two names in one step; Source: renameat2(2), RENAME_EXCHANGE = 2, AT_FDCWD = -100.
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 and renameat2(-100, os.fsencode(work), -100, os.fsencode(path), 2) == 0:
        return
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    os.rename(path, old)
    os.rename(work, path)
    os.rename(old, work)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock file; the kernel frees it when the process dies, however it dies."""
    with storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

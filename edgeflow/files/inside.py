"""Reading files that a stranger may have laid or named: regular ones only, of bounded size, inside their folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from edgeflow.core.errors import DataError, EdgeflowError

NAME_MAX = 4095
"""Linux opens no longer path; Source: limits.h, PATH_MAX."""


def plain_name(name: str) -> bool:
    """A path that a terminal and the system take as it stands: not empty, not endless, no control characters."""
    return 0 < len(name) <= NAME_MAX and name.isprintable()


def open_regular(path: str | Path, folder: Path | None = None) -> BinaryIO:
    """Open a regular file for reading, as `open` does; a pipe, which would wait for ever, or a device is never opened.

    Args:
        folder: the file must lie in it once every link is followed.

    Raises:
        OSError: as open; EINVAL for what is no regular file, EXDEV for what lies outside.
    """
    seen = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(seen).st_mode):
            raise OSError(errno.EINVAL, "is no regular file, and should be one", str(path))
        own = f"/proc/self/fd/{seen}"  # what was looked at is what is opened: no link can be laid in between
        if folder is not None and not Path(own).readlink().is_relative_to(os.path.realpath(folder)):
            raise OSError(errno.EXDEV, f"leads out of {folder}, and should lie in it", str(path))
        return os.fdopen(os.open(own, os.O_RDONLY | os.O_CLOEXEC), "rb")
    finally:
        os.close(seen)


def read_inside(
    folder: Path, name: str, most_bytes: int, *, error: type[EdgeflowError] = DataError, try_: str = ""
) -> bytes:
    """Read a regular file of a folder, by a name that somebody else chose; links may not lead out.

    Args:
        error: what is raised; `try_` is its remedy.

    Raises:
        EdgeflowError: the name is no plain relative path, leads out of the folder, or names no regular file; the file
            cannot be read, or holds more than `most_bytes`.
    """
    if not plain_name(name):
        raise error(f"{folder}: the file name {name[:80]!r} should be a path without control characters", try_=try_)
    if Path(name).is_absolute():
        raise error(f"{name}: leads out of {folder}, and should lie in it", try_=try_)
    path = folder / name
    try:
        with open_regular(path, folder) as stream:
            data = stream.read(most_bytes + 1)
    except OSError as err:
        raise error(f"{path}: {_words(err)}", try_=try_) from err
    if len(data) > most_bytes:
        raise error(f"{path}: is larger than {most_bytes} bytes, which no such file is", try_=try_)
    return data


def _words(err: OSError) -> str:
    if err.errno in (errno.EINVAL, errno.EXDEV):
        return str(err.strerror)
    return f"cannot be read ({err.strerror or err})"

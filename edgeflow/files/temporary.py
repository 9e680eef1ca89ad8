"""Temporary folders that a killed process does not leave behind for ever."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

NAME = re.compile(r"(edgeflow|ef)\.[a-z0-9_]{8}\Z")
YOUNG_S = 60.0
"""A folder this young may be about to be locked by whoever made it."""
ENDS = (signal.SIGTERM, signal.SIGHUP)

_living: set[str] = set()


@contextlib.contextmanager
def scratch(prefix: str = "edgeflow.") -> Iterator[Path]:
    """A private folder, removed at the end of the block, by SIGTERM and SIGHUP too.

    What SIGKILL leaves is removed by the next process that asks for one: its maker's lock on it is free then.

    Args:
        prefix: `edgeflow.`, or `ef.` where the path must be short.
    """
    _sweep(Path(tempfile.gettempdir()))
    name = tempfile.mkdtemp(prefix=prefix)
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _living.add(name)
        _listen()
        yield Path(name)
    finally:
        _living.discard(name)
        shutil.rmtree(name, ignore_errors=True)
        os.close(handle)


def _listen() -> None:
    """Clean up when asked to end; whoever listens already, a test or a program that uses edgeflow, is left alone."""
    if threading.current_thread() is threading.main_thread():
        for number in ENDS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for name in list(_living):
        shutil.rmtree(name, ignore_errors=True)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _sweep(root: Path) -> None:
    for path in root.iterdir():
        if not NAME.match(path.name):
            continue
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                facts = os.fstat(handle)
                if facts.st_uid == os.geteuid() and time.time() - facts.st_mtime > YOUNG_S:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)

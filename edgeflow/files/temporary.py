"""Temporary folders that a killed process does not leave behind for ever."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

NAME = re.compile(r"(edgeflow|ef)\.[a-z0-9_]{8}\Z")
YOUNG_S = 60.0
"""A folder this young, without a lock, may be about to get one: older versions made folders first."""
ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
LOCK = ".lock"
"""Beside each folder, held by its maker for as long as it lives."""

_living: set[str] = set()


@contextlib.contextmanager
def scratch(prefix: str = "edgeflow.") -> Iterator[Path]:
    """A private folder, removed at the end of the block, by SIGTERM and SIGHUP too.

    What SIGKILL leaves is removed by the next process that asks for one: its maker's lock on it is free then.

    Args:
        prefix: `edgeflow.`, or `ef.` where the path must be short.
    """
    _sweep(Path(tempfile.gettempdir()))
    from filelock import FileLock

    while True:  # the lock first: a folder whose lock is free is a dead process's
        name = str(Path(tempfile.gettempdir()) / f"{prefix}{secrets.token_hex(4)}")
        gate = FileLock(name + LOCK, thread_local=False)
        gate.acquire()
        try:
            Path(name).mkdir(0o700)
            break
        except FileExistsError:
            gate.release()
    try:
        _living.add(name)
        _listen()
        yield Path(name)
    finally:
        _living.discard(name)
        _remove(name)
        gate.release()


def _remove(name: str) -> None:
    shutil.rmtree(name, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(name + LOCK)


def _listen() -> None:
    """Clean up when asked to end; whoever listens already, a test or a program that uses edgeflow, is left alone."""
    if threading.current_thread() is threading.main_thread():
        for number in ENDS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for name in list(_living):
        _remove(name)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _sweep(root: Path) -> None:
    from filelock import FileLock, Timeout

    own = os.geteuid() if hasattr(os, "geteuid") else None
    for path in root.iterdir():
        alone = path.name.endswith(LOCK)
        folder = path.with_name(path.name.removesuffix(LOCK))
        if not NAME.match(folder.name):
            continue
        with contextlib.suppress(OSError, Timeout):
            facts = path.lstat()
            is_own = own in (None, facts.st_uid) and (stat.S_ISREG if alone else stat.S_ISDIR)(facts.st_mode)
            if not is_own or (alone and folder.exists()):
                continue  # a link, or somebody else's; or the folder's turn comes
            if alone or Path(f"{path}{LOCK}").exists() or time.time() - facts.st_mtime > YOUNG_S:
                with FileLock(f"{folder}{LOCK}", timeout=0):
                    _remove(str(folder))

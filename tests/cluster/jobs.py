"""What tests have workers do."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from edgeflow.core.errors import DataError


def weigh(file: Path, factor: int) -> tuple[int, str]:
    """Needs its file there."""
    return len(file.read_bytes()) * factor, file.name


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def nothing(number: int) -> int:
    return number


def refuse() -> None:
    raise DataError("no such sample", try_="another one")


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_worker(once: str) -> int:
    """Kill the worker itself, the first time: this process is its child."""
    if not Path(once).exists():
        Path(once).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return os.getppid()


def kill_any_worker() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def sleep(started: str) -> None:
    Path(started).write_text(str(os.getpid()))
    time.sleep(600)

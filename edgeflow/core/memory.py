"""Memory that processes take, and what the machine has left.

Linux only: elsewhere nothing is known, and functions say so with None. Source: proc(5), and cgroups v2 as the kernel's
Documentation/admin-guide/cgroup-v2.rst has them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 0.1
"""How often it is looked at: a look at three processes takes 0.2 ms."""

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


@dataclass
class Watched:
    """Memory of this process and all its descendants, in bytes: as a block of work began, and at its peak."""

    first: int
    peak: int

    @property
    def growth(self) -> int:
        """What the work took beside what was there."""
        return self.peak - self.first


def resident() -> int | None:
    """Bytes that this process and its descendants take, pages that they share counted for each; None where unknown."""
    try:
        total, todo = 0, [os.getpid()]
        while todo:
            pid = todo.pop()
            with suppress(OSError, ValueError):  # it may be gone by now
                total += int((PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1])
                for task in (PROC / str(pid) / "task").iterdir():
                    todo += map(int, (task / "children").read_text(encoding="ascii").split())
        return total * os.sysconf("SC_PAGE_SIZE") or None
    except (AttributeError, OSError, ValueError):
        return None


def available() -> int | None:
    """Bytes that this machine, or the container around this process, can still give; None where unknown."""
    try:
        lines = (PROC / "meminfo").read_text(encoding="ascii").splitlines()
        found = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
    with suppress(OSError, ValueError):  # "max", or no such file: no limit
        most = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        found = min(found, most - int((CGROUP / "memory.current").read_text(encoding="ascii")))
    return max(found, 0)


@contextmanager
def watched() -> Iterator[Watched | None]:
    """Watch memory while a block runs; None where it is not known."""
    first = resident()
    if first is None:
        yield None
        return
    found, done = Watched(first, first), threading.Event()

    def look() -> None:
        while not done.wait(EVERY_S):
            found.peak = max(found.peak, resident() or 0)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()
        found.peak = max(found.peak, resident() or 0)

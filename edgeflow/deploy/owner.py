"""Whose work a folder on a device is: so that the next client can tell a dead client's folder from a living one's."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

TEXT = re.compile(r"([A-Za-z0-9]{6}) ([0-9a-f]{16}) (\d{1,10}) (\d{1,20})\Z")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: the machine since its last start with the process namespace in it, the number, and when it began."""

    place: str
    pid: int
    began: int

    def __str__(self) -> str:
        return f"{self.place} {self.pid} {self.began}"

    def is_dead(self) -> bool:
        """It ran here and is gone; of a process elsewhere nothing is known."""
        return self.place == _place() and _began(self.pid) != self.began


def this_process() -> Owner:
    """The owner of what this process leaves on devices."""
    return Owner(_place(), os.getpid(), _began(os.getpid()))


def read_owner(line: str) -> tuple[str, Owner] | None:
    """A line of a device's answer: a folder's own letters and its owner; None for any other line."""
    found = TEXT.match(line)
    return None if found is None else (found[1], Owner(found[2], int(found[3]), int(found[4])))


def _place() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    return hashlib.sha256(f"{boot} {Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:16]


def _began(pid: int) -> int:
    """When a process began, in ticks; 0 for none. Source: proc(5), /proc/pid/stat, field 22."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0

"""A process that may write in a few folders only: Landlock, where the kernel has it.

The second fence around programs from elsewhere; the first is the list of ops in graph/pure_ops.json. It holds for the
calling thread, the threads and the processes it starts from then on, and cannot be taken back.
Source: landlock(7); include/uapi/linux/landlock.h of Linux 6.6.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION = 1
PATH_BENEATH = 1
NO_NEW_PRIVS = 38
WRITES = (1 << 1) | sum(1 << bit for bit in range(4, 13))
"""WRITE_FILE, REMOVE_DIR, REMOVE_FILE and MAKE_*; reading and running stay as they are."""

REFER, TRUNCATE = 1 << 13, 1 << 14
"""From ABI 2 and ABI 3 on."""

FILES_ONLY = (1 << 1) | TRUNCATE
DEVICES = ("/dev/null", "/dev/zero", "/dev/shm")
"""Besides: Paddle's shared memory. GPUs are opened through /dev/nvidia*."""


def abi() -> int:
    """Landlock's version here; 0 where there is none."""
    return max(_call(CREATE_RULESET, None, 0, VERSION), 0) if sys.platform == "linux" else 0


def describe() -> str:
    """For `edgeflow doctor`: what keeps a program from elsewhere from writing."""
    version = abi()
    if version:
        return f"landlock ABI {version}"
    why = os.strerror(ctypes.get_errno()) if sys.platform == "linux" else f"{sys.platform} has no Landlock"
    return f"not available: {why}; programs are held to the list of ops alone"


def write_only_in(folders: Sequence[Path]) -> bool:
    """Let this thread and what it starts write below these folders and to devices, nowhere else.

    Returns:
        Whether the kernel does it.

    Raises:
        FileNotFoundError: one of the folders is not there: what is made in its place later would be closed.
    """
    version = abi()
    if not version:
        return False
    rights = WRITES | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("<Q", rights)
    ruleset = _call(CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        devices = [Path(name) for name in DEVICES] + sorted(Path("/dev").glob("nvidia*"))
        for path in (*folders, *(device for device in devices if device.exists())):
            _allow(ruleset, path, rights)
        if ctypes.CDLL(None).prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return _call(RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        below = rights if path.is_dir() else rights & FILES_ONLY
        _call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.c_char_p(struct.pack("<Qi", below, handle)), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(libc.syscall(ctypes.c_long(number), *given))

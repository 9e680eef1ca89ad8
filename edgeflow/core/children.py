"""Child processes that end with their parent, however it ends, and that leave Ctrl-C to it.

Linux only (prctl(2), PR_SET_PDEATHSIG); elsewhere a child that loses its parent goes on until it is done.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")
PARENT = "EDGEFLOW_PARENT"
"""Names the process that a grandchild should have for a parent."""

START = f"""
import ctypes, os, runpy, signal, sys
parent, name, sys.argv = int(sys.argv[1]), sys.argv[2], sys.argv[2:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    os.getppid() == parent or os._exit(1)
os.environ["{PARENT}"] = str(os.getpid())
if name.endswith(".py"):
    runpy.run_path(name, run_name="__main__")
else:
    runpy.run_module(name, run_name="__main__", alter_sys=True)
"""
"""The same as `die_with`, for a Python that cannot import edgeflow."""


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; at once where it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def command(*flags: str, program: str) -> list[str]:
    """The beginning of a command that runs a .py file or a module in a Python that ends with this process."""
    return [sys.executable, *flags, "-c", START, str(os.getpid()), program]


def started(function: Callable[[], T]) -> T:
    """Run what starts processes in a thread that lives as long as this process does, with Ctrl-C blocked.

    The kernel counts a child's parent as gone when the thread that started it ends; and a child inherits the signals
    that are blocked there, so that Ctrl-C reaches this process alone, which stops its children.
    """
    return _nursery(os.getpid()).submit(function).result()


@cache
def _nursery(_process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "children", initializer=_block)


def _block() -> None:
    assert threading.current_thread() is not threading.main_thread()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

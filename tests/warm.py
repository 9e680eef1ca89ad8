"""Paddle imported once for many tests: worker processes are forked from one that has imported it and done nothing else.

The product's pool, loky's protocol and everything a worker does stay as they are. Only the moment in which loky starts
`python -m loky.backend.popen_loky_posix` is another: a fork of the template runs that module instead of a new
interpreter, with the same arguments, environment, folder and open files, as a child of the process that asked for it.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

MODULE = "loky.backend.popen_loky_posix"
MODULES = ("zlib", "paddle", "edgeflow.ingest.stage", "edgeflow.compress.stage", "paddleslim.quant")
"""What workers import first, in their order."""

ENVIRONMENT = {"GLOG_minloglevel": "2", "MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE"}
"""What workers set before they import Paddle."""

LETTER_MAX = 1 << 20
PR_SET_CHILD_SUBREAPER = 36


class Template:
    """A process with Paddle imported, and the way to have it forked."""

    def __init__(self) -> None:
        self._here: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()

    def instead_of(self, fork_exec: Callable[..., int]) -> Callable[..., int]:
        """loky's function that starts processes, with its workers forked from here."""

        def fork(command: Sequence[str], keep: Sequence[int], env: dict[str, str] | None = None) -> int:
            if list(command[:3]) != [sys.executable, "-m", MODULE]:
                return fork_exec(command, keep, env)
            with self._guard:
                return self._fork(command[3:], [0, 1, 2, *keep], {**os.environ, **(env or {})})

        return fork

    def _fork(self, arguments: Sequence[str], numbers: list[int], environment: dict[str, str]) -> int:
        if self._here is None:
            self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LETTER_MAX)
            command = [sys.executable, "-m", "tests.warm", str(there.fileno())]
            self._process = subprocess.Popen(
                command,
                pass_fds=[there.fileno()],
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            there.close()
        letter = {
            "arguments": list(arguments),
            "numbers": numbers,
            "environment": environment,
            "folder": str(Path.cwd()),
            "parent": os.getpid(),
        }
        _adopt(True)  # the template forks twice, and the orphan becomes a child of this process
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))]
            self._here.sendmsg([json.dumps(letter).encode()], rights)
            answer = self._here.recv(64)
            if not answer:
                raise RuntimeError("the process with Paddle imported is gone; EDGEFLOW_COLD_WORKERS=1 does without it")
            return int(answer)
        finally:
            _adopt(False)

    def close(self) -> None:
        """Stop the template; its forks are on their own."""
        if self._here is not None and self._process is not None:
            self._here.close()
            self._process.wait(60)


def _adopt(on: bool) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def serve(here: socket.socket) -> None:
    """The template: import, then fork whenever asked."""
    for module in MODULES:
        __import__(module)
    while True:
        text, ancillary, _, _ = here.recvmsg(LETTER_MAX, socket.CMSG_SPACE(64 * 4))
        if not text:
            return
        letter = json.loads(text)
        received = array.array("i")
        received.frombytes(b"".join(data for _, _, data in ancillary))
        back, told = os.pipe()
        if (middle := os.fork()) == 0:
            if (child := os.fork()) == 0:
                _become(letter, received.tolist(), here)
            os.write(told, str(child).encode())
            os._exit(0)
        os.waitpid(middle, 0)  # from here on the child is an orphan, and adopted
        here.send(os.read(back, 64))
        for number in (*received, back, told):
            os.close(number)


def _become(letter: dict[str, object], received: list[int], here: socket.socket) -> None:
    """Turn a fork into what the command line asked for."""
    while os.getppid() != letter["parent"]:
        time.sleep(0.0005)
    here.close()
    import fcntl

    high = [fcntl.fcntl(number, fcntl.F_DUPFD, 512) for number in received]
    os.closerange(3, 512)
    for source, number in zip(high, letter["numbers"], strict=True):  # type: ignore[call-overload]
        os.dup2(source, number, inheritable=True)
    os.closerange(512, 1024)
    os.environ.clear()
    os.environ.update(letter["environment"])  # type: ignore[call-overload]
    os.chdir(str(letter["folder"]))
    sys.argv = [MODULE, *letter["arguments"]]  # type: ignore[misc]
    code = 1
    try:
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

"""A program of the system that speaks to a device (ssh, adb): run with bounds on time and on what it may answer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edgeflow.core.errors import TransportError

TEXT_MAX_BYTES = 1 << 20
"""More than any answer in words; a device that says more is not believed."""
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """How a local program ended. `out` and `err` are cut where their bounds are; `late` and `loud` say which bound
    broke.
    """

    status: int
    out: bytes
    err: bytes
    late: bool = False
    loud: bool = False

    @property
    def last_words(self) -> str:
        """The last line with something on it, of what it complained or else said."""
        for text in (self.err, self.out):
            if lines := [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]:
                return "".join(c if c.isprintable() else "?" for c in lines[-1].strip())[:300]
        return "without a word"


@dataclass(frozen=True, slots=True)
class Emulation:
    """How programs run that are not for the CPU they run on.

    `name`: the emulator and its version. `machine`, `bits`: what uname -m and getconf LONG_BIT say on such a device.
    `cpu`: the CPU model. `command`: words that stand before a program and its arguments. `triple`: of the compiler that
    brings the C library.
    """

    name: str
    machine: str
    bits: str
    cpu: str
    command: tuple[str, ...]
    triple: str


class Transport(Protocol):
    """A way to a device. Commands are one line for the device's /bin/sh; what is quoted in them, the caller has quoted.

    `roots` are folders for temporary work, `home` the folder for bundles; both may hold $HOME, and nothing else to
    expand. `emulation` says how programs run there; None where the device's own CPU runs them.
    """

    name: str
    roots: tuple[str, ...]
    home: str
    emulation: Emulation | None

    def call(self, command: str, *, timeout_s: float, out_bytes: int = TEXT_MAX_BYTES) -> Answer:
        """Run a command there, with nothing to read."""

    def append(self, local: Path, offset: int, remote: str, *, timeout_s: float) -> Answer:
        """Send a file's bytes from an offset on to the end of a file there."""

    def fetch(self, command: str, local: Path, *, out_bytes: int, timeout_s: float) -> Answer:
        """Write what a command there prints into a local file, byte for byte."""

    def revive(self) -> None:
        """What can be done after the connection broke; says nothing when it does not help."""

    def close(self) -> None:
        """End what is held open between calls."""

    def why(self, answer: Answer) -> tuple[str, str]:
        """What the program's complaint means, and what to do about it; empty where that is not known."""


def spawn(
    argv: Sequence[str],
    *,
    stdin: Path | None = None,
    offset: int = 0,
    stdout: Path | None = None,
    timeout_s: float,
    out_bytes: int = TEXT_MAX_BYTES,
    environment: Mapping[str, str] | None = None,
    lifeline: int | None = None,
) -> Answer:
    """Run a program of this machine within bounds; it is killed with its children when one breaks.

    Args:
        lifeline: a file descriptor that the program gets under the same number.

    Raises:
        TransportError: it is not installed.
    """
    with open(stdin or os.devnull, "rb") as source:
        source.seek(offset)
        try:
            process = subprocess.Popen(
                argv,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=None if environment is None else dict(environment),
                pass_fds=() if lifeline is None else (lifeline,),
            )
        except FileNotFoundError as err:
            raise TransportError(
                f"{argv[0]} is not installed, and should be to reach a device",
                try_=f"apt-get install {'openssh-client' if argv[0] == 'ssh' else argv[0]}",
            ) from err
    assert process.stdout is not None
    assert process.stderr is not None
    out, said = _Sink(process.stdout, out_bytes, stdout), _Sink(process.stderr, TEXT_MAX_BYTES, None)
    late = False
    with process:
        try:
            for sink in (out, said):
                sink.start(process)
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            if late or process.poll() is None:
                _kill(process)
            process.wait()
            # A child that outlives its parent may hold the pipe open: what came until then is what counts.
            if [sink for sink in (out, said) if not sink.join(2.0)]:
                _kill(process)
    return Answer(process.returncode, out.data, said.data, late, out.loud)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Sink:
    """Reads one pipe to its end, keeps what fits, and ends the process when more comes than was allowed."""

    def __init__(self, pipe: IO[bytes], most: int, path: Path | None) -> None:
        self.loud = False
        self._pipe, self._most, self._path, self._parts = pipe, most, path, [b""]
        self._thread: threading.Thread | None = None

    @property
    def data(self) -> bytes:
        return b"".join(self._parts)

    def start(self, process: subprocess.Popen[bytes]) -> None:
        self._thread = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        assert self._thread is not None
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        left = self._most
        with open(self._path or os.devnull, "wb") as stream:
            while chunk := os.read(self._pipe.fileno(), CHUNK_BYTES):
                if len(chunk) > left:
                    self.loud = True
                    _kill(process)
                    break
                left -= len(chunk)
                if self._path is None:
                    self._parts.append(chunk)
                    continue
                try:
                    stream.write(chunk)
                except OSError:  # this machine's disk is full: the file stays too small, and whoever wanted it says so
                    _kill(process)
                    break

"""ARM programs on this machine, through qemu-user: a transport whose device is a temporary folder here."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from contextlib import ExitStack
from pathlib import Path

from edgeflow.core.errors import BackendMissing
from edgeflow.deploy.transport import TEXT_MAX_BYTES, Answer, Emulation, spawn
from edgeflow.files.temporary import scratch

QEMU = "qemu"
"""The word after --on."""
CPU_VARIABLE, PREFIX_VARIABLE = "QEMU_CPU", "QEMU_LD_PREFIX"
"""What qemu-user itself reads. Source: qemu 7.2, linux-user/main.c, arg_table."""
CPU = "max"
"""All that qemu can emulate, float16 and the dot product of int8 among it."""
MEMORY_BYTES = 12 << 30
"""Address space of one emulated program; for 32-bit ones qemu itself reserves 4 GiB of it."""
FILE_BYTES = 2 << 30
"""Largest file that a program may write; all outputs of a run may take half of it (see remote)."""
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG")
"""Variables that programs see: a library path or a preloaded library of this machine is none for ARM."""
VERSION = re.compile(r"version ([0-9][0-9A-Za-z.]{0,20})")
PACKAGE = "qemu-user"
MACHINES = {
    "aarch64": ("qemu-aarch64", "aarch64", "64", "ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
    "arm": ("qemu-arm", "armv7l", "32", "ld-linux-armhf.so.3", "arm-linux-gnueabihf"),
}
"""By the machine in runtime.json: qemu's program, what uname and getconf say, the loader, and Debian's folder in /usr
for cross compilers.
"""


class Qemu:
    """This machine as an ARM one. Shell commands run here as they are; `emulation.command` stands before programs.

    Args:
        machine: of the programs, as runtime.json spells it.

    Raises:
        BackendMissing: qemu-user, or the C library of that machine, is not installed; or the programs are not for ARM.
    """

    name = QEMU

    def __init__(self, machine: str) -> None:
        self.emulation: Emulation | None = emulation(machine)
        self._stack = ExitStack()
        folder = str(self._stack.enter_context(scratch()))
        # The writing end is this process's alone: it closes when the process ends, however that comes.
        self._lifeline, writing = os.pipe()
        self._stack.callback(os.close, self._lifeline)
        self._stack.callback(os.close, writing)
        self.roots: tuple[str, ...] = (folder,)
        self.home = folder
        self._environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def call(self, command: str, *, timeout_s: float, out_bytes: int = TEXT_MAX_BYTES) -> Answer:
        """Run a command in this machine's /bin/sh, with bounds on memory, on files and on core dumps."""
        return self._run(command, timeout_s=timeout_s, out_bytes=out_bytes)

    def _run(
        self,
        command: str,
        *,
        stdin: Path | None = None,
        offset: int = 0,
        stdout: Path | None = None,
        timeout_s: float,
        out_bytes: int = TEXT_MAX_BYTES,
    ) -> Answer:
        # In POSIX mode -f counts blocks of 512 bytes, -v everywhere KiB.
        bounds = f"ulimit -c 0; ulimit -f {FILE_BYTES // 512}; ulimit -v {MEMORY_BYTES // 1024}"
        # The shell leads a process group of its own, which ends with edgeflow even when that is killed.
        watch = f"( read -r x < /proc/self/fd/{self._lifeline}; kill -9 0 ) > /dev/null 2>&1 & life=$!"
        return spawn(
            ["/bin/sh", "-c", f"{bounds}; {watch}\n( {command} )\ns=$?; kill $life; exit $s"],
            stdin=stdin,
            offset=offset,
            stdout=stdout,
            timeout_s=timeout_s,
            out_bytes=out_bytes,
            environment=self._environment,
            lifeline=self._lifeline,
        )

    def append(self, local: Path, offset: int, remote: str, *, timeout_s: float) -> Answer:
        """Copy a file's bytes from an offset on."""
        return self._run(f"cat >> {shlex.quote(remote)}", stdin=local, offset=offset, timeout_s=timeout_s)

    def fetch(self, command: str, local: Path, *, out_bytes: int, timeout_s: float) -> Answer:
        """Write what a command prints into a file."""
        return self._run(command, stdout=local, out_bytes=out_bytes, timeout_s=timeout_s)

    def revive(self) -> None:
        """There is no connection."""

    def close(self) -> None:
        """Remove the folder."""
        self._stack.close()

    def why(self, answer: Answer) -> tuple[str, str]:
        """There is no connection that could break."""
        return "", ""


def emulation(machine: str) -> Emulation:
    """How programs for a machine run here.

    Raises:
        BackendMissing: see Qemu.
    """
    if machine not in MACHINES:
        raise BackendMissing(
            f"--on {QEMU}: the programs are for {machine}, and should be for {' or '.join(MACHINES)} with Linux",
            try_="edgeflow cross-compile arm64 --paddle-lite DIR, then --runtime with its folder",
        )
    name, uname, bits, loader, triple = MACHINES[machine]
    program = shutil.which(name) or shutil.which(f"{name}-static")
    if program is None:
        raise BackendMissing(
            f"--on {QEMU}: {name} is not installed, and should be to run programs for {machine} here",
            try_=f"apt install {PACKAGE}",
        )
    prefix = os.environ.get(PREFIX_VARIABLE) or f"/usr/{triple}"
    if not (Path(prefix) / "lib" / loader).exists():
        raise BackendMissing(
            f"--on {QEMU}: {prefix} holds no lib/{loader}, and should be a root with the C library for {machine}",
            try_=f"apt install g++-{triple}, or {PREFIX_VARIABLE}=FOLDER, the sysroot of the cross compiler",
        )
    cpu = os.environ.get(CPU_VARIABLE) or CPU
    said = spawn([program, "--version"], timeout_s=20.0).out.decode("utf-8", "replace")
    found = VERSION.search(said)
    return Emulation(
        f"{name} {found[1]}" if found else name, uname, bits, cpu, (program, "-L", prefix, "-cpu", cpu), triple
    )

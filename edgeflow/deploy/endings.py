"""What it means when a program on a device, or under an emulator, ends badly: in words, with what to do."""

from __future__ import annotations

from edgeflow.core.errors import ProgramDied, TransportError
from edgeflow.deploy.device import printable
from edgeflow.deploy.runtime import how_to_make
from edgeflow.deploy.transport import Transport

LATE, KILLED = 124, 137
NO_INSTRUCTION, ABORTED, FILE_TOO_LARGE = 132, 134, 153
"""128 and the number of SIGILL, SIGABRT and SIGXFSZ. Source: signal(7), x86 and ARM."""
OF_QEMU = "qemu: uncaught target signal"
NO_MEMORY = ("bad_alloc", "virtual memory", "annot allocate memory")
CRASHED = "edgeflow match, and edgeflow verify without --on"


def last_words(log: str) -> str:
    """The last line of a log that the program itself wrote."""
    return printable("\n".join(line for line in log.splitlines() if not line.startswith(OF_QEMU)))


def died(program: str, status: int, log: str, transport: Transport, target: str) -> TransportError:
    """The error for a program that ended with a status other than 0.

    Args:
        status: as the device's shell gives it; LATE when its time was up.
        target: of the runtime folder.
    """
    words, where = last_words(log), f"{transport.name}: {program}"
    if transport.emulation is not None and (error := _emulated(status, log, where, transport)):
        return error
    if status in (KILLED, 9):
        return TransportError(
            f"{where}: was killed by the device, as when its memory runs out ({words})",
            try_="fewer samples at once, or a smaller model; dmesg on the device says more",
        )
    if status in (126, 127) and ("xec format" in log or "not executable" in log):
        return TransportError(
            f"{where}: is for another architecture than the device's ({words})", try_=how_to_make(target)
        )
    if "GLIBC" in log and "not found" in log:
        return TransportError(
            f"{where}: was built for a newer C library than the device has ({words})",
            try_="CROSS_COMPILE=PREFIX of its vendor's compiler, then edgeflow cross-compile again",
        )
    if "libgomp" in log:
        return TransportError(
            f"{where}: misses a library there ({words})", try_="apt-get install libgomp1, on the device"
        )
    if status == 126:
        return TransportError(
            f"{where}: may not be executed there ({words})",
            try_=f"a folder that is not mounted noexec: {transport.name}/FOLDER",
        )
    if status == NO_INSTRUCTION:
        what = "crashed with signal 4, at an instruction that its CPU does not have"
        return TransportError(f"{where}: {what} ({words})", try_="a build without fp16 for this device; edgeflow match")
    if status == ABORTED:
        return ProgramDied(f"{where}: aborted, with signal 6 ({words})", try_=CRASHED)
    what = f"crashed with signal {status - 128}" if 128 < status < 160 else f"ended with status {status}"
    return ProgramDied(f"{where}: {what} ({words})", try_=CRASHED)


def _emulated(status: int, log: str, where: str, transport: Transport) -> TransportError | None:
    """What is different where the device is this machine; None for what is not."""
    emulation, words = transport.emulation, last_words(log)
    assert emulation is not None
    sysroot = (
        f"apt install g++-{emulation.triple}, or QEMU_LD_PREFIX=FOLDER, the sysroot of a cross compiler that has it"
    )
    if any(mark in log for mark in NO_MEMORY):
        return TransportError(
            f"{where}: asked for more memory than an emulated program may have ({words})",
            try_="fewer samples at once, or a smaller model",
        )
    if status in (KILLED, 9):
        return TransportError(
            f"{where}: was killed, as when this machine's memory runs out ({words})",
            try_="fewer samples at once, or a smaller model; dmesg says more",
        )
    if "error while loading shared libraries" in log:
        return TransportError(f"{where}: misses a library ({words})", try_=sysroot)
    if "GLIBC" in log and "not found" in log:
        return TransportError(f"{where}: was built for a newer C library than the sysroot's ({words})", try_=sysroot)
    if status == NO_INSTRUCTION:
        return TransportError(
            f"{where}: crashed with signal 4, at an instruction that the emulated CPU {emulation.cpu} does not have "
            f"({words})",
            try_="QEMU_CPU=max, or cortex-a76, which have float16",
        )
    if "unable to find CPU model" in log:
        return TransportError(
            f"{where}: {emulation.name} knows no CPU {emulation.cpu!r}", try_="QEMU_CPU=max, or none at all"
        )
    if status == FILE_TOO_LARGE:
        return TransportError(
            f"{where}: wrote more into a file than it may ({words})", try_="fewer samples at once, or a smaller model"
        )
    return None

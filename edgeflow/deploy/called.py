"""A program run on a device within its limit: what it said, and what it left behind that tells of it."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeflow.core.errors import ProgramDied, TransportError
from edgeflow.deploy.device import TRIES, Device, printable
from edgeflow.deploy.endings import LATE, died

LOG_BYTES = 1 << 19
"""Of what a program says, and of the end of its log."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is run: the program's place on the device with its arguments; where its libraries lie; `limit_s` bounds it
    there. `logs`: the runtime's log shows where ops run. `before`: a line of shell that comes first.
    """

    words: tuple[str, ...]
    libraries: tuple[str, ...]
    limit_s: float
    logs: bool = False
    before: str = "true"


@dataclass(frozen=True, slots=True)
class Traces:
    """What one run left behind that may show where its ops ran: the runtime's log, and model cache files by name."""

    log: str = ""
    cache_files: tuple[str, ...] = ()


def called(device: Device, call: Call, target: str, seen: Callable[[Traces], None] = lambda traces: None) -> str:
    """Run a program on a device, in the device's folder.

    Args:
        target: of the runtime folder that it is from.
        seen: told of its traces, also where it ended badly.

    Returns:
        Its standard output.

    Raises:
        ProgramDied: it took too long, or died by itself.
        TransportError: it ended with another status than 0, or the device is gone.
    """
    folders = ":".join(dict.fromkeys(path.rpartition("/")[0] for path in call.libraries))
    emulation = device.transport.emulation
    environment = f"LD_LIBRARY_PATH={shlex.quote(folders)}"
    line = " ".join(map(shlex.quote, call.words))
    if emulation is None:
        line = f"{environment} {line}"
    else:  # the emulator itself is a program of this machine, and must not look among the libraries
        line = f"{' '.join(map(shlex.quote, emulation.command))} -E {environment} {line}"
    limit = max(int(call.limit_s), 1)
    mark = f"edgeflow-{secrets.token_hex(8)}"
    # The program's output goes to files: what it leaves running cannot hold the connection open.
    command = (
        f"cd {shlex.quote(device.folder)} && {call.before} && mkdir -p cache && rm -f late; "
        # A run whose connection broke may still be at it, in the way of this one.
        f"[ -f pid ] && kill -9 $(cat pid) 2> /dev/null; GLOG_v={5 if call.logs else 0} {line} "
        "> said 2> log < /dev/null & p=$!; echo $p > pid; "
        f'( sleep {limit} & z=$!; trap "kill $z; exit" TERM; wait $z; : > {shlex.quote(device.folder)}/late; '
        "kill -9 $p ) > /dev/null 2>&1 < /dev/null & w=$!; "
        f"wait $p; s=$?; kill $w 2> /dev/null; cd {shlex.quote(device.folder)}; rm -f pid; [ -e late ] && s={LATE}; "
        f"find cache -name '*.nnc' | head -n 256; echo {mark}; head -c {LOG_BYTES} said; echo; echo {mark}; "
        f"tail -c {LOG_BYTES} log; exit $s"
    )
    reply = device.shell(command, timeout_s=limit + 60.0, tries=TRIES, out_bytes=3 * LOG_BYTES)
    files, said, text = [*reply.text.split(f"{mark}\n", 2), "", ""][:3]
    seen(Traces(text, tuple(sorted(file.rpartition("/")[2] for file in files.split() if file.endswith(".nnc")))))
    if reply.status:
        program = call.words[0].rpartition("/")[2]
        if reply.status == LATE:
            raise ProgramDied(
                f"{device.name}: {program}: was still running after {call.limit_s:g} s, and was ended",
                try_="--limit-s with more seconds, or a smaller model",
            )
        raise died(program, reply.status, text or reply.complaint, device.transport, target)
    return said


def json_line(text: str, where: str) -> dict[str, Any]:
    """The one line of JSON among whatever else a program and its runtime printed; the last that is a table."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            try:
                table = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(table, dict):
                return table
    raise TransportError(
        f"{where}: printed {printable(text)!r}, and should print one line of JSON",
        try_="the same program by hand on the device; edgeflow cross-compile makes it anew",
    )

"""A device over adb, through the system's own adb client and server."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import time
from dataclasses import replace
from pathlib import Path

from edgeflow.core.errors import TransportError
from edgeflow.deploy.transport import TEXT_MAX_BYTES, Answer, Emulation, spawn
from edgeflow.files.temporary import scratch

ADDRESS = re.compile(r"adb:(?P<serial>[A-Za-z0-9][A-Za-z0-9._:-]{0,127})(?P<path>/[A-Za-z0-9._/+@-]{0,200})?\Z")
PIECE_BYTES = 4 << 20
"""Files are pushed in pieces: adb removes what a broken push left behind, and so at most one piece is sent twice."""
REVIVE_S = 5.0


class Adb:
    """One device by its serial, as `adb devices` lists it; host:port for a device over TCP.

    Raises:
        TransportError: the address is none.
    """

    def __init__(self, address: str) -> None:
        found = ADDRESS.match(address)
        if found is None or ".." in (found["path"] or "").split("/"):
            raise TransportError(
                f"{address!r}: is no address of a device, and should be adb:SERIAL[/folder]",
                try_="adb devices, which lists the serials",
            )
        self.name = address
        self.emulation: Emulation | None = None
        self.folder = (found["path"] or "").rstrip("/")
        self.roots: tuple[str, ...] = (self.folder or "/data/local/tmp",)
        self.home: str = self.folder or "/data/local/tmp/edgeflow"
        self._serial = found["serial"]
        self._adb = ["adb", "-s", self._serial]

    def call(self, command: str, *, timeout_s: float, out_bytes: int = TEXT_MAX_BYTES) -> Answer:
        """Run a command in the device's shell, without a terminal."""
        return spawn([*self._adb, "shell", command], timeout_s=timeout_s, out_bytes=out_bytes)

    def append(self, local: Path, offset: int, remote: str, *, timeout_s: float) -> Answer:
        """Push pieces through the sync service, each put behind the others on the device once it is whole."""
        end = time.monotonic() + timeout_s
        piece, joined_mark = f"{remote}.piece", f"joined-{secrets.token_hex(8)}"
        with local.open("rb") as stream, scratch() as folder:
            stream.seek(offset)
            while data := stream.read(PIECE_BYTES):
                (folder / "piece").write_bytes(data)
                answer = self._push(folder / "piece", piece, end - time.monotonic())
                if answer.status or answer.late:
                    return answer
                quoted, target = shlex.quote(piece), shlex.quote(remote)
                joined = self.call(
                    f"cat {quoted} >> {target} && rm {quoted} && echo {joined_mark}",
                    timeout_s=max(end - time.monotonic(), 1.0),
                )
                if joined.late or joined_mark.encode() not in joined.out:
                    return Answer(joined.status or 1, joined.out, joined.err, joined.late, joined.loud)
        return Answer(0, b"", b"")

    def _push(self, source: Path, remote: str, timeout_s: float) -> Answer:
        answer = spawn([*self._adb, "push", str(source), remote], timeout_s=max(timeout_s, 1.0))
        complaint = b"\n".join(line for line in (answer.out + answer.err).splitlines() if b"error" in line)
        return replace(answer, out=b"", err=complaint or answer.err)

    def fetch(self, command: str, local: Path, *, out_bytes: int, timeout_s: float) -> Answer:
        """Write what a command there prints into a local file; exec-out hands bytes over as they are."""
        return spawn(
            [*self._adb, "exec-out", command],
            stdout=local,
            out_bytes=out_bytes,
            timeout_s=timeout_s,
        )

    def revive(self) -> None:
        """Connect again where the device is on the network, and wait until it is back."""
        with contextlib.suppress(TransportError):
            if ":" in self._serial:
                spawn(["adb", "connect", self._serial], timeout_s=REVIVE_S)
            spawn([*self._adb, "wait-for-device"], timeout_s=REVIVE_S)

    def close(self) -> None:
        """Nothing is held open: the adb server keeps the connection."""

    def why(self, answer: Answer) -> tuple[str, str]:
        """What adb said in other words, and what to do about it."""
        text = (answer.err + answer.out).decode("utf-8", "replace")
        server = (
            f" (server port {os.environ['ANDROID_ADB_SERVER_PORT']})" if "ANDROID_ADB_SERVER_PORT" in os.environ else ""
        )
        for mark, what, remedy in (
            ("unauthorized", "it has not allowed this computer", "unlock the phone and allow USB debugging"),
            ("offline", "it is offline", f"adb reconnect {self._serial}, or plug it in again"),
            ("not found", "adb does not see it", f"adb devices{server}, which lists what is there"),
            ("no devices", "adb does not see it", f"adb devices{server}, which lists what is there"),
        ):
            if mark in text:
                return what, remedy
        return "", ""

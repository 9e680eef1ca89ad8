"""The device's end of adb over TCP: shell (with and without v2), exec and sync, for Debian's real adb client and
server.

Source: Android platform/packages/modules/adb, protocol.txt, SYNC.TXT and shell_protocol.h.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import subprocess
import threading
from pathlib import Path
from queue import Queue

from tests.deploy.device.make import Machine

HEAD = struct.Struct("<6I")
CNXN, OPEN, OKAY, WRTE, CLSE, STLS, AUTH = (
    int.from_bytes(w, "little") for w in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"STLS", b"AUTH")
)
MAX_DATA = 1 << 16
FEATURES = b"shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir"


class Adbd:
    """One device on a port of loopback. `cut_after` bytes of one file it hangs up; `cuts` times in all."""

    def __init__(self, machine: Machine, root: Path, features: bytes = FEATURES) -> None:
        self.machine, self.root, self.features = machine, root, features
        self.cut_after, self.cuts, self.received, self.disk_bytes = 0, 0, 0, 1 << 40
        self.faults: dict[str, str] = {}
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                Connection(self, self._server.accept()[0])

    def path(self, name: str) -> Path:
        """Paths of the device lie under its root, as commands see them too."""
        return self.root / name.lstrip("/") if name.startswith("/data/") else Path(name)

    def start(self, command: str) -> subprocess.Popen[bytes]:
        text = re.sub(r"(?<![\w.])/data/local/tmp", str(self.path("/data/local/tmp")), command)
        return subprocess.Popen(
            ["/bin/sh", "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.machine.environment, **self.faults},
            cwd=self.root,
        )


class Connection:
    """One host's connection, with its streams."""

    def __init__(self, device: Adbd, wire: socket.socket) -> None:
        self.device, self.wire, self.lock = device, wire, threading.Lock()
        self.streams: dict[int, Stream] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        head = HEAD.pack(command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        with self.lock, contextlib.suppress(OSError):
            self.wire.sendall(head + data)

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.wire.recv(size - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data

    def _run(self) -> None:
        number = 0
        with contextlib.suppress(OSError):
            while True:
                command, first, second, size, _, _ = HEAD.unpack(self._take(HEAD.size))
                data = self._take(size)
                if command == CNXN:
                    banner = (
                        b"device::ro.product.name=peer;ro.product.model=peer;ro.product.device=peer;features="
                        + self.device.features
                    )
                    self.send(CNXN, 0x01000001, MAX_DATA, banner)
                elif command == OPEN:
                    number += 1
                    self.streams[number] = Stream(self, number, first, data.rstrip(b"\0").decode())
                elif command in (WRTE, OKAY, CLSE) and second in self.streams:
                    self.streams[second].take(command, data)
        self.hang_up()

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.wire.shutdown(socket.SHUT_RDWR)
        for stream in self.streams.values():
            stream.take(CLSE, b"")


class Stream:
    """One service, with a thread of its own."""

    def __init__(self, connection: Connection, own: int, other: int, service: str) -> None:
        self.connection, self.own, self.other = connection, own, other
        self.came: Queue[bytes | None] = Queue()
        self.ready = threading.Semaphore(0)
        self.closed, self.kept = False, b""
        connection.send(OKAY, own, other)
        threading.Thread(target=self._serve, args=(service,), daemon=True).start()

    def take(self, command: int, data: bytes) -> None:
        if command == WRTE:
            self.connection.send(OKAY, self.own, self.other)
            self.came.put(data)
        elif command == OKAY:
            self.ready.release()
        else:
            self.closed = True
            self.came.put(None)
            self.ready.release()

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), MAX_DATA):
            if self.closed:
                return
            self.connection.send(WRTE, self.own, self.other, data[at : at + MAX_DATA])
            self.ready.acquire()

    def read(self, size: int) -> bytes:
        while len(self.kept) < size:
            more = self.came.get()
            if more is None:
                raise EOFError
            self.kept += more
        data, self.kept = self.kept[:size], self.kept[size:]
        return data

    def _serve(self, service: str) -> None:
        with contextlib.suppress(EOFError):
            if service == "sync:":
                Sync(self).run()
            elif service.startswith("shell,v2"):
                self._shell_v2(service.partition(":")[2])
            elif service.startswith(("shell", "exec")):
                self._shell(service.partition(":")[2])
        self.connection.send(CLSE, self.own, self.other)

    def _shell(self, command: str) -> None:
        """Both outputs together, no status: what devices before Android 7 do."""
        process = self.connection.device.start(f"exec 2>&1; {command}")
        assert process.stdout is not None
        while (data := os.read(process.stdout.fileno(), 1 << 15)) and not self.closed:
            self.write(data)
        process.kill() if self.closed else process.wait()

    def _shell_v2(self, command: str) -> None:
        process = self.connection.device.start(command)
        turn = threading.Lock()

        def pump(number: int, pipe: object) -> None:
            while (data := os.read(pipe.fileno(), 1 << 15)) and not self.closed:  # type: ignore[attr-defined]
                with turn:
                    self.write(struct.pack("<BI", number, len(data)) + data)

        def feed() -> None:
            assert process.stdin is not None
            with contextlib.suppress(EOFError, OSError):
                while True:
                    number, size = struct.unpack("<BI", self.read(5))
                    data = self.read(size)
                    if number == 0:
                        process.stdin.write(data)
                        process.stdin.flush()
                    elif number == 3:
                        process.stdin.close()
            if self.closed:
                process.kill()

        pumps = [
            threading.Thread(target=pump, args=item, daemon=True) for item in ((1, process.stdout), (2, process.stderr))
        ]
        threading.Thread(target=feed, daemon=True).start()
        for thread in pumps:
            thread.start()
        for thread in pumps:
            thread.join()
        self.write(struct.pack("<BIB", 3, 1, process.wait() & 255))


class Sync:
    """The file service: STAT, SEND and RECV."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.device = stream, stream.connection.device

    def run(self) -> None:
        while True:
            word, size = struct.unpack("<4sI", self.stream.read(8))
            name = self.stream.read(size).decode()
            if word == b"QUIT":
                return
            if word in (b"STAT", b"LSTA"):
                self.stream.write(b"STAT" + struct.pack("<3I", *self._stat(name)))
            elif word in (b"STA2", b"LST2"):
                mode, bytes_, when = self._stat(name)
                self.stream.write(
                    struct.pack("<4sIQQIIIIQqqq", word, 0 if mode else 2, 0, 0, mode, 1, 0, 0, bytes_, when, when, when)
                )
            elif word == b"SEND":
                self._send(name)
            elif word == b"RECV":
                self._recv(name)
            else:
                self._fail(f"unknown request {word!r}")

    def _stat(self, name: str) -> tuple[int, int, int]:
        try:
            info = self.device.path(name).stat()
        except OSError:
            return 0, 0, 0
        return info.st_mode, info.st_size, int(info.st_mtime)

    def _fail(self, text: str) -> None:
        self.stream.write(b"FAIL" + struct.pack("<I", len(text)) + text.encode())

    def _send(self, name: str) -> None:
        path, refused, written = self.device.path(name.rpartition(",")[0]), "", 0
        try:
            path.touch()
        except OSError as err:
            path, refused = Path(os.devnull), f"couldn't create file: {err.strerror}"
        with path.open("wb") as stream:
            try:
                while True:
                    word, size = struct.unpack("<4sI", self.stream.read(8))
                    if word == b"DONE":
                        break
                    data = self.stream.read(size)
                    self.device.received += size
                    written += size
                    if written > self.device.disk_bytes:
                        refused = refused or "write failed: No space left on device"
                    if self.device.cuts and written > self.device.cut_after:
                        self.device.cuts -= 1
                        self.stream.connection.hang_up()
                    if not refused:
                        stream.write(data)
            except EOFError:
                path.is_file() and path.unlink()  # as adbd does with what a broken push left
                raise
        if refused:
            path.is_file() and path.unlink()
            self._fail(refused)
        else:
            self.stream.write(b"OKAY" + struct.pack("<I", 0))

    def _recv(self, name: str) -> None:
        try:
            data = self.device.path(name).read_bytes()
        except OSError as err:
            self._fail(f"open failed: {err.strerror}")
            return
        for at in range(0, len(data), MAX_DATA):
            part = data[at : at + MAX_DATA]
            self.stream.write(b"DATA" + struct.pack("<I", len(part)) + part)
        self.stream.write(b"DONE" + struct.pack("<I", 0))

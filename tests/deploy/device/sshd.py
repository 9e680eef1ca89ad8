"""A real sshd on loopback with keys of its own, and a wire before it that can be cut."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.device.make import Machine, run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Wire:
    """Carries bytes to a port of loopback. `cut_after` bytes towards it in one connection, it breaks; `cuts` times in
    all.
    """

    def __init__(self, port: int) -> None:
        self.target, self.cut_after, self.cuts, self.broken, self.carried = port, 0, 0, 0, 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 15):
                passed += len(data)
                self.carried += len(data) if up else 0
                if up and self.cuts and passed > self.cut_after:
                    self.cuts, self.broken = self.cuts - 1, self.broken + 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class SshDevice:
    """Where it listens, and the config file with which `ssh` knows its key."""

    address: str
    config: Path
    wire: Wire
    machine: Machine


@contextlib.contextmanager
def sshd(folder: Path, machine: Machine) -> Iterator[SshDevice]:
    """Start sshd."""
    folder.mkdir(parents=True)
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it for its unprivileged half, as Debian's unit makes it
    port, user = free_port(), getpass.getuser()
    command = machine.script(folder / "shell")
    (folder / "sshd_config").write_text(
        "\n".join(
            [
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {folder / 'host'}",
                f"AuthorizedKeysFile {folder / 'authorized'}",
                "StrictModes no",
                "UsePAM no",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "PermitRootLogin yes",
                f"PidFile {folder / 'pid'}",
                f"SetEnv HOME={machine.home}",
                f"ForceCommand {command}",
                "MaxStartups 50:30:100",
            ]
        )
        + "\n"
    )
    binary = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
    assert binary is not None
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([binary, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    wire = Wire(port)
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{wire.port} {host_key}\n")
    config = folder / "ssh_config"
    config.write_text(
        f"IdentityFile {folder / 'user'}\nIdentitiesOnly yes\nUserKnownHostsFile {folder / 'known_hosts'}\n"
        "GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking no\n"
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield SshDevice(f"ssh://{user}@127.0.0.1:{wire.port}", config, wire, machine)
    finally:
        wire.close()
        server.terminate()
        server.wait()

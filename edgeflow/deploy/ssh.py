"""A device over ssh, through the system's own ssh: the user's keys, config and known_hosts count."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import ExitStack
from pathlib import Path

from edgeflow.core.errors import TransportError
from edgeflow.deploy.transport import TEXT_MAX_BYTES, Answer, Emulation, spawn
from edgeflow.files.temporary import scratch

CONFIG = "EDGEFLOW_SSH_CONFIG"
"""Names an ssh config file to use instead of ~/.ssh/config, as `ssh -F` does."""
KEEP_S = 60
SOCKET_MAX = 80
ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]{0,63})@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,15})?\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._/+@-]{0,200})?\Z"
)
OPTIONS = (
    "-T",
    "-a",
    "-x",  # no terminal; neither agent nor display is lent to the device
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "-oServerAliveInterval=5",
    "-oServerAliveCountMax=3",
    "-oLogLevel=ERROR",
    "-oStrictHostKeyChecking=yes",
    "-oClearAllForwardings=yes",
    "-oPermitLocalCommand=no",
    "-oRemoteCommand=none",
)


class Ssh:
    """One host. All calls share one connection, which ssh makes anew when it broke; `close` ends it.

    Args:
        address: ssh://[user@]host[:port][/folder]; the folder is where work and bundles go.

    Raises:
        TransportError: the address is none.
    """

    def __init__(self, address: str) -> None:
        found = ADDRESS.match(address)
        if found is None or ".." in (found["path"] or "").split("/") or not 0 <= int(found["port"] or 22) < 1 << 16:
            raise TransportError(
                f"{address!r}: is no address of a device, and should be ssh://user@host[:port][/folder]",
                try_="ssh://pi@raspberrypi.local",
            )
        self.name = address
        self.emulation: Emulation | None = None
        self.folder = (found["path"] or "").rstrip("/")
        self.roots: tuple[str, ...] = (self.folder,) if self.folder else ("$HOME", "/var/tmp", "/tmp")
        self.home: str = self.folder or "$HOME/edgeflow"
        config = os.environ.get(CONFIG)
        host = found["host"].strip("[]")
        self._host = f"{found['user']}@{host}" if found["user"] else host
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(scratch("ef.")) / "s"
        # A socket's name has room for 108 bytes, and ssh adds 17 while it makes it.
        shared = (
            []
            if len(str(self._socket)) > SOCKET_MAX
            else [
                "-oControlMaster=auto",
                f"-oControlPath={str(self._socket).replace('%', '%%')}",
                f"-oControlPersist={KEEP_S}",
            ]
        )
        self._ssh = [
            "ssh",
            *(["-F", config] if config else []),
            *OPTIONS,
            *shared,
            *(["-p", found["port"]] if found["port"] else []),
        ]

    def call(self, command: str, *, timeout_s: float, out_bytes: int = TEXT_MAX_BYTES) -> Answer:
        """Run a command in the host's /bin/sh, whatever the login shell is."""
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
        return spawn(
            [*self._ssh, "--", self._host, f"exec /bin/sh -c {shlex.quote(command)}"],
            stdin=stdin,
            offset=offset,
            stdout=stdout,
            timeout_s=timeout_s,
            out_bytes=out_bytes,
        )

    def append(self, local: Path, offset: int, remote: str, *, timeout_s: float) -> Answer:
        """Send what is missing as standard input of `cat`: works on hosts without sftp too."""
        return self._run(f"cat >> {shlex.quote(remote)}", stdin=local, offset=offset, timeout_s=timeout_s)

    def fetch(self, command: str, local: Path, *, out_bytes: int, timeout_s: float) -> Answer:
        """Write what a command there prints into a local file."""
        return self._run(command, stdout=local, out_bytes=out_bytes, timeout_s=timeout_s)

    def revive(self) -> None:
        """The next call connects anew by itself."""

    def close(self) -> None:
        """End the shared connection."""
        if self._socket.exists():
            spawn([*self._ssh, "-O", "exit", "--", self._host], timeout_s=5.0)
        self._stack.close()

    def why(self, answer: Answer) -> tuple[str, str]:
        """What ssh said in other words, and what to do about it."""
        text = answer.err.decode("utf-8", "replace")
        target = self._host
        for mark, what, remedy in (
            (
                "Host key verification failed",
                "its host key is not known, or is another one than before",
                f"ssh {target}, once by hand, and compare the fingerprint; edgeflow never skips this check",
            ),
            ("No ED25519 host key is known", "its host key is not known", f"ssh {target}, once by hand"),
            (
                "Permission denied (",
                "it takes none of your keys",
                f"ssh-copy-id {target}, or ssh-add where the key has a passphrase",
            ),
            (
                "Could not resolve hostname",
                "its name cannot be resolved",
                "the device's IP address instead of its name",
            ),
            (
                "Connection refused",
                "nothing listens there",
                "start sshd on the device, or give its port: ssh://user@host:PORT",
            ),
            ("No route to host", "no route leads there", "the device's network cable, and its address"),
            ("timed out", "it does not answer", "the device's power and network, and its address"),
        ):
            if mark in text:
                return what, remedy
        return "", ""

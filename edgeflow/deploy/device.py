"""A device as a place for files and commands, over ssh or adb alike: bounded, checked, resumed when the line breaks."""

from __future__ import annotations

import re
import secrets
import shlex
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edgeflow.core.errors import Dropped, EdgeflowError, TransportError
from edgeflow.deploy.adb import Adb
from edgeflow.deploy.owner import read_owner, this_process
from edgeflow.deploy.qemu import QEMU, Qemu
from edgeflow.deploy.ssh import Ssh
from edgeflow.deploy.transport import CHUNK_BYTES, TEXT_MAX_BYTES, Answer, Transport
from edgeflow.files.atomic import sha256

TRIES = 4
"""Attempts in a row without progress, after which a device counts as gone."""
PAUSE_S = 0.3
COMMAND_S = 60.0
GREETING_MAX_BYTES = 1 << 16
"""What a login script may print around a file that is fetched."""
SLOWEST_BYTES_S = 50_000
"""Transfers slower than this are taken for dead."""
PLACE = re.compile(r"/[A-Za-z0-9._/+@ -]{1,300}\Z")
FULL = "No space left on device"
BIT_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command on the device answered."""

    status: int
    text: str
    complaint: str


def connect(address: str, machine: str | None = None) -> Transport:
    """The transport of an address: ssh://…, adb:…, or qemu for programs that are to run here.

    Args:
        machine: what the programs are for, as runtime.json spells it; only qemu needs it.

    Raises:
        TransportError: it is none of them.
        BackendMissing: what qemu needs is not installed.
    """
    if address == QEMU and machine is not None:
        return Qemu(machine)
    if address.startswith("ssh:"):
        return Ssh(address)
    if address.startswith("adb:"):
        return Adb(address)
    raise TransportError(f"{address!r}: is no device, and should be ssh://user@host[:port] or adb:SERIAL")


def posix_cksum(data: bytes | memoryview) -> int:
    """What POSIX `cksum` prints: for devices without sha256sum.

    Source: IEEE Std 1003.1, cksum. It is the CRC-32 of zlib with bits reversed, starting at 0, with the length behind
    the data.
    """
    crc, size = 0xFFFFFFFF, len(data)
    for at in range(0, size, 1 << 20):
        crc = zlib.crc32(bytes(data[at : at + (1 << 20)]).translate(BIT_REVERSED), crc)
    crc = zlib.crc32(size.to_bytes((size.bit_length() + 7) // 8, "little").translate(BIT_REVERSED), crc)
    return int(f"{crc:032b}"[::-1], 2)


class Device:
    """One device with a private folder of its own on it (mode 700), which is removed at the end.

    Files lie there by content, <hash>/<name>: what arrived whole is never sent twice.

    Args:
        say: told in one line of what takes time or is tried again.

    Raises:
        TransportError: it cannot be reached, or no folder can be made there.
    """

    def __init__(self, transport: Transport, *, say: Callable[[str], None] | None = None) -> None:
        self.transport = transport
        self.name = transport.name
        self.folder = ""
        self.owner = this_process()
        self._say = say or (lambda text: None)
        self._whole: set[str] = set()

    def __enter__(self) -> Device:
        try:
            self.folder = self._make_folder()
        except BaseException:
            self.transport.close()
            raise
        return self

    @property
    def letters(self) -> str:
        """What mktemp told this folder from others by."""
        return self.folder.rpartition(".")[2]

    def _make_folder(self) -> str:
        self._sweep()
        roots = " ".join(f'"{root}"' for root in self.transport.roots)  # $HOME is to be expanded there
        reply = self.shell(
            f'for r in {roots}; do [ -d "$r" ] || mkdir -p "$r" 2>/dev/null; [ -w "$r" ] || continue; umask 077; '
            f'd=$(mktemp -d "$r/.edgeflow.XXXXXX") && chmod 700 "$d" && echo "{self.owner}" > "$d/owner" && '
            'echo "folder=$d" && exit 0; done; exit 1',
            tries=2,
        )
        found = next((line[7:] for line in reply.text.splitlines() if line.startswith("folder=")), "")
        if reply.status or not PLACE.match(found) or ".edgeflow." not in found or "/../" in found:
            raise TransportError(
                f"{self.name}: no folder can be made under {' or '.join(self.transport.roots)} "
                f"({printable(reply.complaint)})",
                try_=f"{self.name}/FOLDER, one that its user may write to",
            )
        return found

    def _sweep(self) -> None:
        """Remove what dead clients left: at once where their process was one of this machine, else after two days.

        A bundle whose exchange was cut off between its two steps is put back first.
        """
        roots = " ".join(f'"{root}"' for root in dict.fromkeys((*self.transport.roots, self.transport.home)))

        def each(which: str, what: str) -> str:
            find = f'find "$r" -maxdepth 1 -type d -name ".*.??????" -user "$(id -u)" {which} 2>/dev/null'
            loop = f'while IFS= read -r d; do [ -f "$d/owner" ] || continue; {what}; done'
            return f"for r in {roots}; do {find}; done | {loop}"

        remove = (
            'n=${d##*/.}; [ ! -d "$d/old" ] || [ -e "${d%/*}/${n%.*}" ] || mv "$d/old" "${d%/*}/${n%.*}"; rm -rf "$d"'
        )
        tell = 'echo "${d##*.} $(head -c 100 "$d/owner")"'
        reply = self.shell(f"{each('-mtime +1', remove)}; {each('', tell)} | head -n 1000", tries=2)
        owners = filter(None, map(read_owner, reply.text.splitlines()))
        if dead := sorted({letters for letters, owner in owners if owner.is_dead()}):
            self.shell(each("", f"case ${{d##*.}} in {'|'.join(dead)}) {remove} ;; esac"), tries=2)

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.folder:
                self.shell(f"rm -rf {shlex.quote(self.folder)}", timeout_s=20.0, tries=2)
        except EdgeflowError:
            self._say(f"{self.name}: {self.folder} could not be removed; the next call does it")
        finally:
            self.transport.close()

    def shell(
        self, command: str, *, timeout_s: float = COMMAND_S, tries: int = 1, out_bytes: int = TEXT_MAX_BYTES
    ) -> Reply:
        """Run one line of shell there, and tell its own words and status from what else comes along.

        Args:
            tries: attempts while the connection breaks; only for commands that may run twice.

        Raises:
            Dropped: the connection broke each time.
            TransportError: it took too long, or answered with more than `out_bytes`.
        """
        for attempt in range(tries):
            try:
                return self._shell(command, timeout_s, out_bytes)
            except Dropped as err:
                if attempt + 1 == tries:
                    raise
                self._again(attempt, err)
        raise AssertionError("tries is at least 1")

    def _shell(self, command: str, timeout_s: float, out_bytes: int) -> Reply:
        mark = f"edgeflow-{secrets.token_hex(8)}"
        answer = self.transport.call(
            f"printf '\\n%s\\n' {mark}; ( {command} ); printf '\\n%s %s\\n' {mark} $?",
            timeout_s=timeout_s,
            out_bytes=out_bytes,
        )
        if answer.loud:
            raise TransportError(
                f"{self.name}: answered with more than {out_bytes} bytes, and should have said less",
                try_="look at what the device's login scripts print",
            )
        text = answer.out.decode("utf-8", "replace").replace("\r\n", "\n")
        _, began, rest = text.partition(f"\n{mark}\n")
        body, ended, status = rest.rpartition(f"\n{mark} ")
        if began and ended and status.strip().isdecimal() and len(status.strip()) <= 3:
            return Reply(int(status), body, answer.err.decode("utf-8", "replace"))
        if answer.late:
            raise TransportError(
                f"{self.name}: did not answer within {timeout_s:g} s, and should have",
                try_="the device's load and its connection, then again",
            )
        raise self._broken(answer)

    def _broken(self, answer: Answer) -> TransportError:
        what, remedy = self.transport.why(answer)
        if what and remedy.startswith(("ssh ", "ssh-copy-id", "unlock")):
            return TransportError(f"{self.name}: cannot be reached: {what} ({answer.last_words})", try_=remedy)
        return Dropped(
            f"{self.name}: {'cannot be reached: ' + what if what else 'the connection broke'} ({answer.last_words})",
            try_=remedy or "the device's cable or network, then again",
        )

    def _again(self, attempt: int, err: EdgeflowError) -> None:
        self._say(f"{err.what}; trying again")
        time.sleep(PAUSE_S * 2**attempt)
        self.transport.revive()

    def put(self, paths: Sequence[Path]) -> list[str]:
        """Send files, all that are not there yet; gives where each lies.

        Raises:
            TransportError: the disk there is full, or the bytes do not arrive as they were sent.
        """
        places = {path: f"{self.folder}/{sha256(path)}/{path.name}" for path in paths}
        missing = [path for path in dict.fromkeys(paths) if places[path] not in self._whole]
        if missing:
            folders = " ".join(sorted({shlex.quote(places[path].rpartition("/")[0]) for path in missing}))
            self.succeeded(self.shell(f"umask 077; mkdir -p {folders}", tries=TRIES), "mkdir")
        for path in missing:
            self.send(path, places[path])
            self._whole.add(places[path])
        return [places[path] for path in paths]

    def send(self, path: Path, place: str) -> None:
        """Send a file until it is whole at its place; after a broken connection only what is missing.

        Raises:
            TransportError: see put.
        """
        size, have, attempt, wrong = path.stat().st_size, 0, 0, 0
        while True:
            answer = self.transport.append(
                path, have, f"{place}.part", timeout_s=COMMAND_S + (size - have) / SLOWEST_BYTES_S
            )
            now = self._settle(path, place, size)
            if now == size:
                return
            if now < 0:
                wrong += 1
                if wrong == 2:
                    raise TransportError(
                        f"{self.name}: {path.name} arrives with other bytes than were sent",
                        try_="the device's storage and cable, then again",
                    )
                have, attempt = 0, 0
                continue
            if FULL in (answer.err + answer.out).decode("utf-8", "replace"):
                raise TransportError(
                    f"{self.name}: its disk is full: {now} of {size} bytes of {path.name} fit",
                    try_=f"free some space there, or another folder: {self.name}/FOLDER",
                )
            attempt = 0 if now > have else attempt + 1
            if attempt == TRIES:
                raise TransportError(
                    f"{self.name}: {path.name} does not get there: {now} of {size} bytes arrived ({answer.last_words})",
                    try_="the device's cable or network, then again",
                )
            have = now
            self._again(attempt, self._broken(answer))

    def _settle(self, path: Path, place: str, size: int) -> int:
        """How many bytes of a file arrived; when all did, it gets its name and is held to its hash, -1 when that
        differs.

        A sender that was cut off may go on while the next one writes: too many or wrong bytes are removed.
        """
        part, quoted = shlex.quote(f"{place}.part"), shlex.quote(place)
        reply = self.shell(
            f"n=$(wc -c < {part} 2>/dev/null || echo 0); if [ $n -eq {size} ] || [ -f {quoted} ]; then [ -f "
            f"{quoted} ] || "
            f"mv -f {part} {quoted}; chmod 700 {quoted}; {self._sum(place)}; else [ $n -gt {size} ] && rm -f "
            f"{part} && n=0; "
            f'echo "part $n"; fi',
            tries=TRIES,
        )
        if found := re.fullmatch(r"part +(\d{1,15})", reply.text.strip()):
            return int(found[1])
        if not _matches(reply.text, path):
            self.shell(f"rm -f {quoted}", tries=TRIES)
            return -1
        return size

    def _sum(self, place: str) -> str:
        quoted = shlex.quote(place)
        return f"sha256sum {quoted} 2>/dev/null || cksum {quoted}"

    def get(self, place: str, path: Path, least_bytes: int, most_bytes: int) -> None:
        """Fetch a file whose size is about known, as often as the connection needs, and hold it to the device's own
        hash of it.

        Raises:
            TransportError: it is not there, is larger or smaller, or changes on the way.
        """
        quoted, name = shlex.quote(place), place.rpartition("/")[2]
        reply = self.shell(
            f"if [ -f {quoted} ]; then wc -c < {quoted}; {self._sum(place)}; else echo 0; fi", tries=TRIES
        )
        first, _, rest = reply.text.strip().partition("\n")
        size = int(first) if first.strip().isdecimal() and len(first) <= 15 else 0
        if not least_bytes <= size <= most_bytes:
            raise TransportError(
                f"{self.name}: {name} takes {size} bytes there, and should take {least_bytes} to {most_bytes}",
                try_="the same program by hand on the device",
            )
        mark = f"edgeflow-{secrets.token_hex(8)}"
        command = f"printf '\\n%s\\n' {mark}; cat < {quoted}"
        for attempt in range(TRIES):
            answer = self.transport.fetch(
                command, path, out_bytes=size + GREETING_MAX_BYTES, timeout_s=COMMAND_S + size / SLOWEST_BYTES_S
            )
            came = _cut(path, f"\n{mark}\n".encode(), size)
            if came == size:
                break
            if answer.loud or attempt + 1 == TRIES:
                raise TransportError(
                    f"{self.name}: {name} came as {came} bytes, and should be {size} ({answer.last_words})",
                    try_="the device's cable or network, and what its login scripts print, then again",
                )
            self._again(attempt, self._broken(answer))
        if not _matches(rest, path):
            raise TransportError(
                f"{self.name}: {name} arrived with other bytes than lie there", try_="the device's cable, then again"
            )

    def drop(self, places: Sequence[str]) -> None:
        """Remove files or folders of this device's own folder."""
        own = [place for place in places if place.startswith(f"{self.folder}/")]
        self._whole.difference_update(own)
        self.shell(f"rm -rf {' '.join(map(shlex.quote, own))}", tries=TRIES)

    def succeeded(self, reply: Reply, what: str) -> None:
        """Raise for a command there that did not end well, in words that say what it was for."""
        if reply.status:
            full = FULL in reply.complaint + reply.text
            raise TransportError(
                f"{self.name}: {'its disk is full' if full else what + ' is refused'} "
                f"({printable(reply.complaint or reply.text)})",
                try_=f"free some space there, or another folder: {self.name}/FOLDER",
            )


def _cut(path: Path, mark: bytes, size: int) -> int:
    """Keep of a file what follows the mark: what login scripts print comes before it or after the `size` bytes.

    Returns:
        How many bytes are left; 0 where the mark did not come.
    """
    with path.open("r+b") as stream:
        start = stream.read(GREETING_MAX_BYTES + len(mark)).find(mark)
        begin = start + len(mark) if start >= 0 else path.stat().st_size
        length = min(size, path.stat().st_size - begin)
        for at in range(0, length, CHUNK_BYTES):
            stream.seek(begin + at)
            data = stream.read(min(CHUNK_BYTES, length - at))
            stream.seek(at)
            stream.write(data)
        stream.truncate(length)
    return length


def _matches(text: str, path: Path) -> bool:
    words = text.split()
    if words and len(words[0].lstrip("\\")) == 64:
        return words[0].lstrip("\\") == sha256(path)
    return len(words) >= 2 and words[:2] == [str(posix_cksum(path.read_bytes())), str(path.stat().st_size)]


def printable(text: str) -> str:
    """The last line of what a device said, without anything a terminal would obey."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in lines[-1])[:300] if lines else "without a word"

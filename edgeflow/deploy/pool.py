"""Pools of devices: a file that names them, and the one that is free, locked while it is used.

The lock is the kernel's, on the device itself: it holds between users and machines, and is gone when its holder is,
however that ends. A shell on the device holds it, and writes a dot a second: when nobody reads these any more, it ends.
"""

from __future__ import annotations

import getpass
import re
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgeflow.core.errors import DataError, EdgeflowError, ProgramDied, RecipeError, TransportError, near
from edgeflow.core.strict import strict
from edgeflow.core.targets import names, read_toml
from edgeflow.deploy.device import connect
from edgeflow.deploy.transport import Answer, Transport

T = TypeVar("T")
LOCK = "/tmp/edgeflow-pool"
ANDROID_LOCK = "/data/local/tmp/edgeflow-pool"
HELD_S = 6 * 3600.0
ASK_S = 20.0
AGAIN_S = 2.0
BUSY, LACKING = 9, 8
PLACE = re.compile(r"/[A-Za-z0-9._/-]{1,200}\Z")
POOL = re.compile(r"(?P<file>.+\.toml)(?::(?P<tags>[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*))?\Z")

HOLD = """
umask 0; d={place}
command -v flock >/dev/null || exit {lacking}
[ -d "$d" ] || mkdir -p "$d" || exit 1
[ -e "$d/lock" ] || : > "$d/lock"
exec 9< "$d/lock" || exit 1
flock -n 9 || exit {busy}
echo {who} > "$d/who"
: > "$d/{token}"
while [ -e "$d/{token}" ]; do sleep 1; echo . || break; done
rm -f "$d/{token}"
"""
"""Opened for reading, for a lock that another user made; the folder has no sticky bit, so that all may write `who`.
Source: proc(5), /proc/sys/fs/protected_regular.
"""


@dataclass(frozen=True, slots=True)
class PooledDevice:
    """[[device]]: what it is called, where it is, which targets it runs, and words by which it is chosen. `lock`: the
    folder on it in which its users lock it, the same for all of them.
    """

    name: str
    address: str
    targets: tuple[str, ...]
    tags: tuple[str, ...] = ()
    lock: str | None = None

    @property
    def place(self) -> str:
        return self.lock or (ANDROID_LOCK if self.address.startswith("adb:") else LOCK)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool.toml. `wait_s`: how long to wait where every device is busy."""

    device: tuple[PooledDevice, ...]
    wait_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What may be taken of a pool: devices for a target, with all of the tags."""

    pool: Pool
    devices: tuple[PooledDevice, ...]


class Busy(Exception):
    """Somebody else holds the device; says who."""


def is_pool(on: str) -> bool:
    """What stands after --on is a pool: FILE.toml, or FILE.toml:TAG,TAG."""
    return POOL.fullmatch(on) is not None


def load_pool(path: Path) -> Pool:
    """Read a pool.toml.

    Raises:
        RecipeError: an unknown key, no device, two of one name, an address or a target that is none.
    """
    pool = strict(Pool, read_toml(path, RecipeError), str(path), RecipeError)
    seen = [item.name for item in pool.device]
    if not seen:
        raise RecipeError(f"{path}: has no device", try_="[[device]] with name, address and targets")
    for item in pool.device:
        where = f"{path} [[device]] {item.name!r}"
        if seen.count(item.name) > 1 or not item.name.isprintable():
            raise RecipeError(f"{where}: the names of devices should differ, and be plain")
        if not item.address.startswith(("ssh://", "adb:")):
            raise RecipeError(f"{where}: address is {item.address!r}, and should be ssh://user@host or adb:SERIAL")
        if not PLACE.match(item.place) or ".." in item.place.split("/"):
            raise RecipeError(f"{where}: lock is {item.place!r}, and should be a folder on the device, such as {LOCK}")
        for target in item.targets:
            if target not in names():
                raise RecipeError(f"{where}: {target!r} is no target; {near(target, names(), 'targets')}")
    return pool


def chosen(on: str, target: str | None) -> Choice:
    """The devices of a pool that a file for a target may run on.

    Raises:
        DataError: nothing says the file's target, or no device is of the kind.
    """
    found = POOL.fullmatch(on)
    assert found is not None
    pool, tags = load_pool(Path(found["file"])), tuple((found["tags"] or "").split(",")) if found["tags"] else ()
    if target is None:
        raise DataError(
            f"{on}: a pool is asked for a target, and no manifest beside the file says which it is for",
            try_="--on with one device's address",
        )
    fit = tuple(item for item in pool.device if target in item.targets and set(tags) <= set(item.tags))
    if not fit:
        with_tags = f" with {', '.join(tags)}" if tags else ""
        listed = ", ".join(f"{item.name} ({'; '.join((*item.targets, *item.tags))})" for item in pool.device[:12])
        raise DataError(f"{on}: has no device for {target}{with_tags}; it has {listed}")
    return Choice(pool, fit)


def on_any(choice: Choice, work: Callable[[str], T], say: Callable[[str], None]) -> T:
    """Do work on a free device, given its address; waits where all are busy, and leaves out those that are sick.

    Raises:
        TransportError: every device is sick, or was busy for too long; all are named.
        EdgeflowError: what the work raised on a device that answers.
    """
    sick: dict[str, str] = {}
    until, told = time.monotonic() + choice.pool.wait_s, ""
    while True:
        busy: dict[str, str] = {}
        for item in choice.devices:
            if item.name in sick:
                continue
            try:
                with held(item):
                    say(f"{item.name} ({item.address})")
                    return work(item.address)
            except Busy as err:
                busy[item.name] = str(err)
            except TransportError as err:
                if isinstance(err, ProgramDied):  # the file or the runtime is at fault, on any device
                    raise
                sick[item.name] = err.what
                say(f"{item.name} is sick, and left out: {err.what}")
        if not busy:
            raise TransportError(
                "no device of the pool can be used", lines=[f"{name}: {why}" for name, why in sick.items()]
            )
        if time.monotonic() > until:
            raise TransportError(
                f"all devices were busy for {choice.pool.wait_s:g} s: {_listed(busy)}", try_="wait_s in the pool's file"
            )
        if _listed(busy) != told:
            told = _listed(busy)
            say(f"waiting for {told}")
        time.sleep(AGAIN_S)


@contextmanager
def held(item: PooledDevice) -> Iterator[None]:
    """Hold a device alone while the block runs.

    Raises:
        Busy: somebody else holds it.
        TransportError: it does not answer, or cannot be locked.
    """
    transport = connect(item.address)
    token, done = secrets.token_hex(8), list[Answer]()
    who = f"{getpass.getuser()}@{socket.gethostname()} {token}"
    command = HOLD.format(place=shlex.quote(item.place), lacking=LACKING, busy=BUSY, who=shlex.quote(who), token=token)
    thread = threading.Thread(
        target=lambda: done.append(transport.call(command, timeout_s=HELD_S)), daemon=True, name=f"lock of {item.name}"
    )
    try:
        thread.start()
        _wait(item, transport, token, done)
        yield
    finally:
        with suppress(EdgeflowError):
            transport.call(f"rm -f {shlex.quote(f'{item.place}/{token}')}", timeout_s=ASK_S)
        thread.join(ASK_S)
        transport.close()


def _wait(item: PooledDevice, transport: Transport, token: str, done: Sequence[Answer]) -> None:
    """Until the lock is held, or is known not to be."""
    until = time.monotonic() + ASK_S
    mark = shlex.quote(f"{item.place}/{token}")
    while time.monotonic() < until:
        if done:
            break
        if transport.call(f"[ -e {mark} ]", timeout_s=ASK_S).status == 0:
            return
        time.sleep(0.1)
    if not done:
        raise TransportError(f"{item.name}: does not answer within {ASK_S:g} s")
    status = done[0].status
    if status == BUSY:
        answer = transport.call(f"cat {shlex.quote(f'{item.place}/who')}", timeout_s=ASK_S)
        raise Busy(_plain(answer.out.decode("utf-8", "replace")) or "somebody")
    if status == LACKING:
        raise TransportError(f"{item.name}: has no flock, by which users of a pool keep out of each other's way")
    what, try_ = transport.why(done[0])
    raise TransportError(f"{item.name}: {what}", try_=try_)


def _plain(text: str) -> str:
    """The holder as the device names it, without what moves a terminal's cursor."""
    return "".join(c for c in text.split(" ")[0].strip() if c.isprintable())[:80]


def _listed(busy: dict[str, str]) -> str:
    return ", ".join(f"{name} ({who} has it)" for name, who in busy.items())

"""Bring a bundle to its place on a device: only what changed is sent, and it takes the old one's place in one step."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from edgeflow.core.errors import Dropped, TransportError
from edgeflow.deploy.bundle import BUNDLE, Bundle
from edgeflow.deploy.device import PLACE, TRIES, Device, posix_cksum, printable
from edgeflow.deploy.device_facts import Facts, validate_room
from edgeflow.files.temporary import scratch

NO_BUNDLE, NOT_OURS, UNKEPT, BUSY = 3, 4, 5, 6
SPARE_BYTES = 1 << 20
"""Room for folders, names and the record, beside the files themselves."""
RECORDS = ".bundles"
"""Beside the bundles: what edgeflow wrote into each, as the device's own sums of it."""
EXCHANGE = Path(__file__).with_name("exchange.sh")


def push(device: Device, bundle: Bundle, facts: Facts | None = None) -> tuple[str, bool, tuple[str, ...]]:
    """Lay a bundle beside its place and exchange the two; what was there goes only when the new one is whole.

    Returns:
        Where it lies on the device, False when it lay there already, and which files of others were kept.

    Raises:
        TransportError: the device has no room, holds other bytes than were sent, or the place holds files of others.
    """
    home = _home(device)
    place = f"{home}/{bundle.name}"
    there = _whole_files(device, place, bundle)
    if there == set(bundle.files):
        return place, False, ()
    if facts is not None:
        bytes_ = sum(len(data) for name, data in bundle.files.items() if name not in there)
        validate_room(device, facts, bytes_, spare_bytes=SPARE_BYTES)
    new = f"{home}/.{bundle.name}.{device.letters}"
    try:
        _lay(device, bundle, new, place, there)
        if _whole_files(device, f"{new}/{bundle.name}", bundle) != set(bundle.files):
            raise TransportError(
                f"{device.name}: the new bundle holds other bytes than were sent",
                try_="the device's storage, then again",
            )
        kept = _exchange(device, home, bundle.name, new)
    except Dropped:
        raise  # what was there before may lie beside: it is not removed by someone who cannot look
    except BaseException:
        device.shell(f"rm -rf {shlex.quote(new)}", tries=TRIES)
        raise
    device.shell(f"rm -rf {shlex.quote(new)}", tries=TRIES)
    return place, True, kept


def _lay(device: Device, bundle: Bundle, new: str, place: str, there: set[str]) -> None:
    """The whole new bundle beside the place: what lies there already as a second name of it, the rest sent."""
    beside, at = shlex.quote(f"{new}/{bundle.name}"), shlex.quote(place)
    folders = sorted({str(Path(name).parent) for name in bundle.files})
    script = [
        f"rm -rf {shlex.quote(new)}; mkdir {shlex.quote(new)} {beside} && cd {beside}",
        f"printf '%s\\n' {shlex.quote(str(device.owner))} > ../owner",
        f"mkdir -p {' '.join(map(shlex.quote, folders))}",
        *(f"{{ ln {at}/{q} {q} 2>/dev/null || cp -p {at}/{q} {q}; }}" for q in map(shlex.quote, sorted(there))),
    ]
    device.succeeded(device.shell(" && ".join(script), timeout_s=600.0, tries=TRIES), "the new bundle's folder")
    with scratch() as folder:
        for name in sorted(set(bundle.files) - there):
            path = folder / Path(name).name
            path.write_bytes(bundle.files[name])
            device.send(path, f"{new}/{bundle.name}/{name}")
            path.unlink()
    plain = " ".join(shlex.quote(name) for name in sorted(set(bundle.files) - bundle.executable))
    runs = " ".join(shlex.quote(name) for name in sorted(bundle.executable))
    modes = f"cd {beside} && find . -type d -exec chmod 755 {{}} + && chmod 644 {plain} && chmod 755 {runs}"
    device.succeeded(device.shell(modes, tries=TRIES), "chmod")


def _exchange(device: Device, home: str, name: str, new: str) -> tuple[str, ...]:
    """Put the new bundle at its place; told twice, after a broken connection, it does what is left to do."""
    words = {"HOME_": home, "NAME": name, "NEW": new, "RECORDS": RECORDS, "LISTING": BUNDLE}
    begin = " ".join(f"{key}={shlex.quote(value)}" for key, value in words.items())
    (script,) = device.put([EXCHANGE])
    done = device.shell(f"{begin} sh {shlex.quote(script)}", timeout_s=600.0, tries=TRIES)
    at = f"{home}/{name}"
    if done.status in (NO_BUNDLE, NOT_OURS):
        what = "it is no bundle" if done.status == NO_BUNDLE else "edgeflow did not write what is in it:"
        named = ", ".join(printable(line) for line in done.text.splitlines()[:5])
        raise TransportError(
            f"{device.name}: {at} is not replaced: {what} {named}".rstrip(),
            try_=f"another folder: {device.name}/FOLDER, or move {at} away on the device",
        )
    if done.status:
        what = {BUSY: "another deploy is at it", UNKEPT: "a file of others cannot be kept"}.get(done.status, "")
        raise TransportError(
            f"{device.name}: {at} cannot be replaced ({what or printable(done.complaint)})",
            try_=f"again later, or another folder: {device.name}/FOLDER",
        )
    return tuple(printable(line) for line in done.text.splitlines()[:100] if line.strip())


def _home(device: Device) -> str:
    root = device.transport.home
    reply = device.shell(f'mkdir -p "{root}" && cd "{root}" && pwd', tries=TRIES)
    home = reply.text.strip()
    if reply.status or not PLACE.match(home) or "/../" in home:
        raise TransportError(
            f"{device.name}: {root} cannot be made ({printable(reply.complaint or reply.text)})",
            try_=f"another folder: {device.name}/FOLDER",
        )
    return home.rstrip("/")


def _whole_files(device: Device, place: str, bundle: Bundle) -> set[str]:
    """Which files of a bundle lie at a place as they should, by the device's own count of their bytes."""
    names = " ".join(shlex.quote(name) for name in sorted(bundle.files))
    one = 'sha256sum "$f" 2>/dev/null || cksum "$f" 2>/dev/null'
    reply = device.shell(
        f'cd {shlex.quote(place)} 2>/dev/null && for f in {names}; do [ -f "$f" ] && [ ! -L "$f" ] && {{ {one}; }}; '
        "done; exit 0",
        timeout_s=600.0,
        tries=TRIES,
    )
    # busybox and coreutils put another mark between hash and name; a file's name here holds no space.
    found = {tuple(line.replace("*", " ").split()) for line in reply.text.splitlines()}
    return {
        name
        for name, data in bundle.files.items()
        if (hashlib.sha256(data).hexdigest(), name) in found or (str(posix_cksum(data)), str(len(data)), name) in found
    }

"""Put a bundle where it is wanted: a folder, an archive, or a device, where it takes the old one's place in one
step.
"""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeflow.core.errors import Dropped, TransportError
from edgeflow.deploy.bundle import BUNDLE, Bundle, deploy, tar, to_archive
from edgeflow.deploy.device import PLACE, TRIES, Device, connect, posix_cksum, printable
from edgeflow.deploy.folder import to_folder
from edgeflow.deploy.probe import check_room, probe, what_fits, why_not
from edgeflow.deploy.runners import find_runtime, is_device
from edgeflow.project.contract import load_contract
from edgeflow.project.places import CONTRACT


def deploy_to(
    build: Path, to: str, *, runtime: Path | None = None, trust: bool = False, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Bundle a build and bring it to `to`: ssh://…, adb:…, FILE.tar.gz or a folder.

    Returns:
        What --json prints: where the bundle lies, whether it was there already, and how to check it.

    Raises:
        DataError: see deploy.bundle; TransportError: the device.
    """
    contract = load_contract(build / CONTRACT)
    programs = find_runtime(build / contract.model.file, runtime, trust=trust)
    bundle = deploy(build, programs)
    table: dict[str, Any] = {
        "format": 1,
        "name": bundle.name,
        "to": to,
        "files": len(bundle.files),
        "bytes": sum(map(len, bundle.files.values())),
        "absent": list(bundle.absent),
    }
    if is_device(to):
        with Device(connect(to), say=say) as device:
            facts = probe(device)
            check_room(device, facts, 2 * table["bytes"])  # as it is sent, and unpacked
            if reason := why_not(facts, programs.abi):
                raise TransportError(f"{device.name}: wrong architecture: {reason}", try_=what_fits(facts))
            place, changed = push(device, bundle)
        return {**table, "place": place, "changed": changed, "check": f"{place}/run.sh --check"}
    path = Path(to)
    if path.name.endswith((".tar.gz", ".tgz")):
        return {
            **table,
            "place": str(path),
            "changed": to_archive(bundle, path),
            "check": f"tar xzf {path.name} && {bundle.name}/run.sh --check, on the device",
        }
    placed = to_folder(bundle, path)
    return {
        **table,
        "place": str(path),
        "changed": placed.changed,
        "kept": list(placed.kept),
        "check": f"{path}/run.sh --check, on the device",
    }


def push(device: Device, bundle: Bundle) -> tuple[str, bool]:
    """Unpack beside the place and rename; what was there goes only when the new one is whole.

    Returns:
        Where it lies on the device, and False when it lay there already.

    Raises:
        TransportError: the device has no tar, no room, or holds other bytes than were sent.
    """
    home = _home(device)
    place = f"{home}/{bundle.name}"
    at = shlex.quote(place)
    if _whole(device, place, bundle):
        return place, False
    with tempfile.TemporaryDirectory(prefix="edgeflow-") as name:
        path = Path(name) / "bundle.tar"
        path.write_bytes(tar(bundle))
        sent = device.put([path])[0]
    new = f"{home}/.{bundle.name}.{device.folder.rpartition('.')[2]}"
    beside = shlex.quote(new)
    reply = device.shell(
        f"rm -rf {beside} && mkdir {beside} && cd {beside} && tar xf {shlex.quote(sent)}", timeout_s=600.0, tries=TRIES
    )
    try:
        if reply.status:
            raise TransportError(
                f"{device.name}: the bundle cannot be unpacked ({printable(reply.complaint or reply.text)})",
                try_=f"free some space there, or another folder: {device.name}/FOLDER",
            )
        if not _whole(device, f"{new}/{bundle.name}", bundle):
            raise TransportError(
                f"{device.name}: the unpacked bundle holds other bytes than were sent",
                try_="the device's storage, then again",
            )
        _exchange(device, at, f"{new}/{bundle.name}", f"{new}/old")
    except Dropped:
        raise  # what was there before may lie beside: it is not removed by someone who cannot look
    except BaseException:
        device.shell(f"rm -rf {beside}", tries=TRIES)
        raise
    device.shell(f"rm -rf {beside}", tries=TRIES)
    return place, True


def _exchange(device: Device, at: str, new: str, old: str) -> None:
    """Put the new bundle at its place; told twice, after a broken connection, it does what is left to do."""
    whole, before = shlex.quote(new), shlex.quote(old)
    moved = device.shell(
        f"[ -e {whole} ] || exit 0; if [ -e {at} ]; then [ -f {at}/{BUNDLE} ] || "
        f"{{ echo it is no bundle >&2; exit 1; }}; "
        f"mv {at} {before} || exit 1; fi; mv {whole} {at} || {{ [ ! -e {before} ] || mv {before} {at}; exit 1; }}",
        tries=TRIES,
    )
    if moved.status:
        raise TransportError(
            f"{device.name}: {at} cannot be replaced ({printable(moved.complaint)})",
            try_=f"another folder: {device.name}/FOLDER",
        )


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


def _whole(device: Device, place: str, bundle: Bundle) -> bool:
    """Every file of a bundle lies there as it should, by the device's own count of its bytes."""
    names = " ".join(shlex.quote(name) for name in sorted(bundle.files))
    reply = device.shell(
        f"cd {shlex.quote(place)} 2>/dev/null && {{ sha256sum {names} 2>/dev/null || cksum {names}; }}",
        timeout_s=600.0,
        tries=TRIES,
    )
    # busybox and coreutils put another mark between hash and name; a file's name here holds no space.
    found = [tuple(line.replace("*", " ").split()) for line in reply.text.splitlines()]
    if reply.status or not found:
        return False
    if len(found[0]) == 2:
        return sorted(found) == sorted((hashlib.sha256(data).hexdigest(), name) for name, data in bundle.files.items())
    return sorted(found) == sorted(
        (str(posix_cksum(data)), str(len(data)), name) for name, data in bundle.files.items()
    )

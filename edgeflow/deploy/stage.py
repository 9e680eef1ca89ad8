"""Put a bundle where it is wanted: a folder, an archive, or a device, where it takes the old one's place in one
step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError, NotTrusted, TransportError
from edgeflow.deploy.bundle import Bundle, deploy, to_archive
from edgeflow.deploy.device import Device, connect
from edgeflow.deploy.device_facts import probe, what_fits, why_not
from edgeflow.deploy.folder import to_folder
from edgeflow.deploy.lengths import shorter_files
from edgeflow.deploy.push import push
from edgeflow.deploy.runners import find_runtime, is_device
from edgeflow.deploy.runtime import RuntimeFolder
from edgeflow.project.contract import load_contract
from edgeflow.project.places import CONTRACT


@dataclass(frozen=True, slots=True)
class Deployed:
    """A bundle at its place. `changed`: it was not there already; `kept`: files of others that stay beside it;
    `absent`: libraries that the device must have; `without`: why programs are missing; `check`: the command that
    replays its golden tensors, empty where it cannot.
    """

    name: str
    to: str
    files: int
    bytes: int
    absent: tuple[str, ...]
    without: str
    place: str
    changed: bool
    kept: tuple[str, ...] | None
    check: str

    def as_table(self) -> dict[str, Any]:
        """What --json prints; an archive keeps nothing, and says nothing of it."""
        found = {"format": 1, **asdict(self)}
        return found if self.kept is not None else {k: v for k, v in found.items() if k != "kept"}


def deploy_to(
    build: Path,
    to: str,
    *,
    runtime: Path | None = None,
    trust: bool = False,
    say: Callable[[str], None] | None = None,
    shorter: Sequence[Path] = (),
) -> Deployed:
    """Bundle a build and bring it to `to`: ssh://…, adb:…, FILE.tar.gz or a folder.

    Args:
        shorter: build folders of a text classifier for fewer tokens, which go with it.

    Raises:
        DataError: see deploy.bundle and deploy.lengths; TransportError: the device.
    """
    contract = load_contract(build / CONTRACT)
    programs, without = programs_for(build / contract.model.file, to, runtime, trust=trust)
    return place_bundle(deploy(build, programs, shorter_files(build, shorter)), programs, without, to, say)


def programs_for(
    model: Path, to: str, runtime: Path | None = None, *, trust: bool = False
) -> tuple[RuntimeFolder | None, str]:
    """The programs for a model's device, and, where a bundle has to do without them, why.

    Raises:
        DataError: there are none, and a device cannot do without; NotTrusted: somebody else made them.
    """
    try:
        return find_runtime(model, runtime, trust=trust), ""
    except NotTrusted:
        raise
    except DataError as err:
        if is_device(to) or runtime is not None:
            raise
        # A folder or an archive can do without: whoever unpacks it may have programs of their own.
        return None, f"bin/, lib/ and run.sh are missing: {err.what}; {err.try_}"


def place_bundle(
    bundle: Bundle, programs: RuntimeFolder | None, without: str, to: str, say: Callable[[str], None] | None = None
) -> Deployed:
    """Bring a bundle to `to`.

    Raises:
        TransportError: the device.
    """
    placed = partial(
        Deployed,
        name=bundle.name,
        to=to,
        files=len(bundle.files),
        bytes=sum(map(len, bundle.files.values())),
        absent=tuple(bundle.absent),
        without=without,
    )
    if is_device(to) and programs is not None:
        with Device(connect(to), say=say) as device:
            facts = probe(device)
            if reason := why_not(facts, programs.abi):
                raise TransportError(f"{device.name}: wrong architecture: {reason}", try_=what_fits(facts))
            place, changed, kept = push(device, bundle, facts)
        return placed(place=place, changed=changed, kept=tuple(kept), check=f"{place}/run.sh --check")
    path = Path(to)
    if path.name.endswith((".tar.gz", ".tgz")):
        unpack = f"tar xzf {path.name} && {bundle.name}/run.sh --check, on the device"
        changed = to_archive(bundle, path)
        return placed(place=str(path), changed=changed, kept=None, check="" if without else unpack)
    there = to_folder(bundle, path)
    check = "" if without else f"{path}/run.sh --check, on the device"
    return placed(place=str(path), changed=there.changed, kept=tuple(there.kept), check=check)

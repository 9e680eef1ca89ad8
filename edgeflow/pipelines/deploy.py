"""A built pipeline as one bundle: every .nb with its contract, the dictionary, golden pages, and the program."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edgeflow.deploy.bundle import Bundle, Entry, bundled
from edgeflow.deploy.runtime import RuntimeFolder
from edgeflow.deploy.stage import Deployed, place_bundle, programs_for
from edgeflow.pipelines.bundle import DICTIONARY, load_bundle
from edgeflow.project.contract import dump_contract, load_contract, read_named
from edgeflow.project.places import CONTRACT, MANIFEST, PIPELINE

ENTRY = Entry("ocr", "--pipeline", PIPELINE, "PICTURE or FOLDER [--json] [--draw OUT] [--times]")
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def pipeline_bundle(folder: Path, runtime: RuntimeFolder | None) -> Bundle:
    """Collect what a pipeline's build folder and a runtime folder give; without programs, what there is.

    Raises:
        DataError: something is missing, or is not what was built.
    """
    said = load_bundle(folder)
    names = [PIPELINE, *([DICTIONARY] if said.rules.dictionary else []), *(page.picture for page in said.golden)]
    files = {name: read_named(folder, name) for name in names}
    libraries: dict[str, None] = {}
    for file in said.files:
        place, part = file.path.parent, file.path.parent.relative_to(folder).as_posix()
        contract = load_contract(place / CONTRACT)
        libraries |= dict.fromkeys(contract.runtime.libraries)
        files[f"{part}/{CONTRACT}"] = dump_contract(contract)
        for name in contract.files():
            files[f"{part}/{name}"] = read_named(place, name)
        if (place / MANIFEST).is_file():
            files[f"{part}/{MANIFEST}"] = read_named(place, MANIFEST)
    name = UNSAFE.sub("-", said.name).strip("-.")[:64] or "pipeline"
    return bundled((name, UNSAFE.sub("-", said.target)), files, runtime, ENTRY, tuple(libraries))


def deploy_pipeline(
    folder: Path, to: str, *, runtime: Path | None = None, trust: bool = False, say: Callable[[str], None] | None = None
) -> Deployed:
    """Bundle a built pipeline and bring it to `to`: ssh://…, adb:…, FILE.tar.gz or a folder.

    Raises:
        DataError: see pipeline_bundle; TransportError: the device.
    """
    programs, without = programs_for(load_bundle(folder).files[0].path, to, runtime, trust=trust)
    return place_bundle(pipeline_bundle(folder, programs), programs, without, to, say)

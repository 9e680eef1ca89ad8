"""Layers and hops in a record: as the build saw them, where its manifest vouches for that, or looked at again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.emulate import Emulator
from edgeflow.files.atomic import sha256
from edgeflow.files.sealed import held_facts
from edgeflow.project.manifest import load_manifest, recorded_arithmetic
from edgeflow.project.places import MANIFEST, REFERENCE, BuildFolder
from edgeflow.report.exchange import LOOKS, load_record, looks_sha256
from edgeflow.report.record import Record
from edgeflow.verify.device_ties import ties_sentence
from edgeflow.verify.execute import outputs_of
from edgeflow.verify.hops import Step, waterfall
from edgeflow.verify.judge import Basis, Verdict
from edgeflow.verify.layers_and_hops import traced

REPORT = "report.json"
HASH = "looks_sha256"
"""Where a manifest says what its build saw; report.json itself cannot be hashed there, for it names the manifest."""

UNHELD = f"the layers and hops that {REPORT} beside the .nb tells of: manifest.json does not vouch for them"


def with_recorded(record: Record, model: Path, table: Mapping[str, Any]) -> Record:
    """What the build of this very file saw; left out, and said, where that is not what its manifest was written for.

    Args:
        table: the manifest; empty where there is none.
    """
    beside = model.parent / REPORT
    if not beside.is_file():
        return record
    try:
        built = load_record(beside)
    except EdgeflowError:
        return replace(record, not_checked=(*record.not_checked, UNHELD))
    if not any(getattr(built, key) for key in LOOKS):
        return record
    if table.get(HASH) != looks_sha256(built):
        return replace(record, not_checked=(*record.not_checked, UNHELD))
    return replace(record, **{key: getattr(built, key) for key in LOOKS})


def programs_of(model: Path) -> Path:
    """The compress stage's result that a .nb was converted from, in the cache of its build.

    Raises:
        DataError: it is gone.
    """
    cache = BuildFolder.of(model).cache / "compress"
    compressed = next(
        (path.parent for path in sorted(cache.glob("*/model.pdmodel")) if _made(path.parent, model)), None
    )
    if compressed is None:
        raise DataError(
            f"{model}: the programs it was made of are not in build/.cache, so its ops cannot be looked at one by one",
            try_="edgeflow build, which makes them",
        )
    return compressed


def look_again(record: Record, model: Path, worker: Callable[..., Any]) -> Record:
    """Measure every op anew, with the programs that the build's cache still holds.

    Args:
        worker: runs a function where Paddle is loaded and nothing can be written.

    Raises:
        DataError: they are gone.
    """
    compressed = programs_of(model)
    npu = recorded_arithmetic(load_manifest(model.parent / MANIFEST))
    looked = worker(traced, compressed, model.parent / REFERENCE, model, npu)
    return replace(
        record,
        layers=looked.layers,
        ranked=looked.ranked,
        first_drift=looked.first_drift,
        not_checked=(*record.not_checked, *looked.stop),
    )


def _made(compressed: Path, model: Path) -> bool:
    """This result of the compress stage is what the .nb was converted from, by the manifest's own record."""
    try:
        table = load_manifest(model.parent / MANIFEST)
        facts = held_facts(compressed)
        same = sha256(compressed / "model.pdmodel") == table["model"]["compressed_sha256"]
        return bool(same and facts["method"] == table["compression"])
    except (OSError, ValueError, KeyError, TypeError, EdgeflowError):
        return False


def with_device(record: Record, model: Path, basis: Basis, verdict: Verdict) -> Record:
    """The hops with a last one from the emulator to the device, which is computed here; where the emulator cannot run
    the file, from the reference.
    """
    said = None
    try:
        with Emulator(model, npu=basis.npu) as runner:
            first = Step("nb_emulated", tuple(outputs_of(runner, basis.reference)), Emulator.name)
        said = ties_sentence(model, basis.reference, first.outputs or (), verdict.arrays, basis.npu)
    except EdgeflowError:
        first = Step("cpu_fp32", basis.reference.outputs, "the reference")
    stops = [first, Step("device", verdict.arrays, verdict.runner)]
    (hop,) = waterfall(stops, basis.reference, basis.settings, basis.folder)
    last = replace(hop, share=None)  # the other hops were measured in the build
    hops = (*(item for item in record.waterfall if item.to != "device"), last)
    return replace(record, waterfall=hops, device_ties=said)

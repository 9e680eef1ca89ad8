"""manifest.json: everything a build came from, as hashes and versions; no time, no path of any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.settings import VerifySettings, is_synthetic
from edgeflow.core.strict import strict
from edgeflow.core.targets import NPU_ARITHMETICS, Target
from edgeflow.core.versions import code_version, key_of, tool_versions
from edgeflow.files.atomic import sha256
from edgeflow.files.inside import open_regular
from edgeflow.project.places import MANIFEST, MODEL, REFERENCE
from edgeflow.project.recipe import Recipe

FORMAT = 1
MAX_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class StageResults:
    """What the stages before verification made of a recipe for one target."""

    recipe: Recipe
    target: Target
    ingested: Artifact
    compressed: Artifact
    converted: Artifact

    @property
    def model(self) -> Path:
        """The .nb."""
        return self.converted.folder / MODEL

    @property
    def reference(self) -> Path:
        return self.ingested.folder / REFERENCE

    @property
    def settings(self) -> VerifySettings:
        """What is measured and what may be lost, with the kinds that the program tells of its outputs."""
        seen = tuple(strict(OutputKind, item, "ingest", DataError) for item in self.ingested.facts["output_kinds"])
        return self.recipe.verify_settings(self.target, seen)

    @property
    def npu(self) -> str:
        """Arithmetic of NPU subgraphs in the emulator."""
        return self.target.npu_arithmetic


def manifest(
    made: StageResults, layers: Mapping[str, Any] | None = None, contract: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What goes into manifest.json; equal for equal builds, on any machine with the same device.

    Args:
        contract: what contract.write_contract says of the contract and of the inputs with their pre-processing.
    """
    facts, compressed, converted = made.ingested.facts, made.compressed, made.converted
    first = foreseen(made.recipe, made.target)
    return {
        **first,
        "format": FORMAT,
        "precision": compressed.facts["precision"],
        "compression": compressed.facts["method"],
        "reference": {
            "device": facts["device"],
            "samples": facts["samples"],
            "sha256": sha256(made.reference),
            "outputs": facts["outputs"],
        },
        "model": {
            "program_sha256": facts["model_sha256"],
            "weights_sha256": facts["weights_sha256"],
            "repairs": facts["repairs"],
            "rewrites": facts["rewrites"],
            "respelled": compressed.facts["respelled"],
            "compressed_sha256": sha256(compressed.folder / "model.pdmodel"),
        },
        "data": {
            "evaluation_sha256": facts["evaluation_sha256"],
            "calibration_sha256": facts["calibration_sha256"],
            "training_sha256": facts["training_sha256"],
            **pictures_table(facts["seen"]),
            **({"synthetic": True} if is_synthetic(made.recipe.data.evaluation) else {}),
            **({"remote": remote} if (remote := _remote_table(made.recipe)) else {}),
        },
        "nb": {
            "sha256": converted.facts["sha256"],
            "bytes": converted.facts["bytes"],
            "opt_version": converted.facts["opt_version"],
            "valid_targets": converted.facts["valid_targets"],
            "repairs": converted.facts["repairs"],
            "off_npu": converted.facts["off_npu"],
        },
        "settings": {
            **first["settings"],
            "convert": {name: converted.facts[name] for name in ("keep_on_cpu", "keep_float")},
        },
        "layers": dict(layers or {}),
        **(contract or {}),
    }


def _remote_table(recipe: Recipe) -> dict[str, Any]:
    """What lay elsewhere: its URL, which holds nothing secret, and the hash of what came."""
    return {
        kind: {"url": got.url, "sha256": got.sha256, "bytes": got.bytes, "files": got.files}
        for kind, got in recipe.brought.items()
    }


def pictures_table(seen: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to say of the picture files that the data came from."""
    left_out = {kind: len(names) for kind, names in seen["left_out"].items()}
    if not seen["rotated"] and not left_out:
        return {}
    return {"pictures": {"exif": seen["exif"], "rotated": seen["rotated"], "left_out": left_out}}


def picture_notes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences on pictures that EXIF says to turn, and on those that were left out; none where all is plain."""
    data = manifest.get("data")
    table = data.get("pictures") if isinstance(data, Mapping) else None
    if not isinstance(table, Mapping):
        return ()
    notes = []
    for kind, count in _counts(table.get("rotated")):
        if table.get("exif") == "apply":
            notes.append(f'EXIF orientation: {count} {kind} pictures were turned upright (exif = "apply")')
        else:
            notes.append(
                f"EXIF orientation: {count} {kind} pictures say to be turned, and were taken as stored; "
                'exif = "apply" under [data] turns them, as cv2 does and PIL does not'
            )
    notes += [
        f"{count} {kind} pictures cannot be read, and were left out" for kind, count in _counts(table.get("left_out"))
    ]
    return tuple(notes)


def _counts(table: Any) -> list[tuple[str, int]]:
    items = table.items() if isinstance(table, Mapping) else ()
    kinds = ("evaluation", "calibration", "training")
    return [(kind, count) for kind, count in items if kind in kinds and isinstance(count, int)]


def foreseen(recipe: Recipe, target: Target) -> dict[str, Any]:
    """The part of a manifest that is known before any work: settings, tools, the target's profile.

    [model] and [data] of the recipe, which may name paths, are recorded as a hash.
    """
    settings = recipe.verify_settings(target)
    sources = {key: value for key, value in asdict(recipe.model).items() if key != "seed"}
    return {
        "name": recipe.name,
        "target": target.name,
        "npu_arithmetic": target.npu_arithmetic if target.uses_npu else None,
        "profile_hash": key_of(target.lite, target.precision, [asdict(item) for item in target.restrictions]),
        "settings": {
            "compress": asdict(recipe.compress_settings(target)),
            "seed": recipe.model.seed,
            "metric": settings.metric,
            "expected": settings.expected,
            "limits": asdict(settings.limits),
            "inputs": {name: asdict(table) for name, table in recipe.inputs.items()},
            **({"context": context} if (context := recipe.runtime_context(target)) else {}),
            "sources_hash": key_of(sources, recipe.data),
        },
        "tools": tool_versions(),
        "code": code_version(),
    }


def dump(table: Mapping[str, Any]) -> bytes:
    """The manifest's bytes: sorted, so that equal tables give equal bytes."""
    return (json.dumps(table, indent=1, sort_keys=True) + "\n").encode()


def manifest_hash(table: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of a manifest's bytes."""
    return hashlib.sha256(dump(table)).hexdigest()


def load_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest.json.

    Raises:
        DataError: missing, too large, no JSON, or of a format this version does not know.
    """
    try:
        with open_regular(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DataError(f"{path}: is larger than {MAX_BYTES} bytes, which no manifest is")
        table = json.loads(raw.decode("utf-8"))
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror})") from err
    except (ValueError, RecursionError, OverflowError) as err:
        raise DataError(f"{path}: is no manifest ({err})", try_="run edgeflow build again") from err
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        found = table.get("format") if isinstance(table, dict) else type(table).__name__
        raise DataError(f"{path}: format is {found!r}, and should be {FORMAT}", try_="run edgeflow build again")
    return table


def npu_arithmetic(model: Path) -> str:
    """Arithmetic of NPU subgraphs by the manifest beside a model; float32 where there is none that can be read."""
    try:
        return recorded_arithmetic(load_manifest(model.parent / MANIFEST))
    except EdgeflowError:
        return "float32"


def recorded_arithmetic(manifest: Mapping[str, Any]) -> str:
    """Arithmetic of NPU subgraphs by a manifest; float32 where no NPU takes part.

    Raises:
        DataError: it names one that the emulator does not have.
    """
    known = manifest.get("npu_arithmetic")
    if known is None:
        return "float32"
    if known not in NPU_ARITHMETICS:
        raise DataError(
            f"manifest.json: npu_arithmetic is of no known kind; known: {', '.join(NPU_ARITHMETICS)}",
            try_="run edgeflow build again",
        )
    return str(known)

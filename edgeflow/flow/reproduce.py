"""Build again what a manifest records, from nothing, and compare field by field and byte for byte."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError, RecipeError, TargetError
from edgeflow.core.targets import Target, load_target
from edgeflow.files.atomic import sha256
from edgeflow.files.temporary import scratch
from edgeflow.flow.build import Say, build
from edgeflow.flow.provenance import Difference, differences, part, unrecorded, validate
from edgeflow.project.manifest import foreseen, load_manifest
from edgeflow.project.places import MANIFEST, MODEL, REFERENCE, BuildFolder
from edgeflow.project.recipe import Recipe, load_recipe
from edgeflow.project.trust import is_own

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What a rebuild showed. `same_bytes` is about the .nb alone; `unrecorded` lists what the manifest says nothing
    about.
    """

    target: str
    nb_sha256: str
    same_bytes: bool
    differences: tuple[Difference, ...]
    unrecorded: tuple[str, ...]

    @property
    def identical(self) -> bool:
        return self.same_bytes and not self.differences

    def as_table(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return {"format": FORMAT, "identical": self.identical, **asdict(self)}


def reproduce(
    path: Path,
    recipe: Path | None = None,
    *,
    target: str | None = None,
    build_dir: Path | None = None,
    say: Say | None = None,
    told: Callable[[Sequence[Difference]], None] | None = None,
) -> Reproduction:
    """Rebuild a manifest's build in a fresh folder; what lies beside the manifest is not touched.

    Args:
        recipe: the recipe, or its folder; the folder that build/<target>/manifest.json lies in when None.
        target: the path of the profile, where it is the user's own.
        build_dir: an empty or new folder that keeps the rebuild; a temporary one when None.
        told: told of differences that are known before any work.

    Raises:
        DataError: no manifest, or one that records too little; `build_dir` is not empty.
        RecipeError, TargetError: they cannot be found.
        EdgeflowError: as a build.
    """
    recorded = load_manifest(path)
    validate(recorded, str(path))
    loaded = _recipe(path, recipe)
    profile = _target(recorded["target"], target, path)
    first = foreseen(loaded, profile)
    early = differences(part(recorded, first), first)
    if early and told is not None:
        told(early)
    with ExitStack() as stack:
        place = build_dir
        if place is None:
            place = stack.enter_context(scratch())
        elif place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise DataError(
                f"{place}: is not empty, and a rebuild should start from nothing", try_="--build-dir NEW_FOLDER"
            )
        source = loaded.path if recipe is None else recipe
        (built,) = build(
            source, [target or profile.name], build_dir=place, say=say, keep_on_cpu=_extra(recorded, loaded, profile)
        )
        rebuilt = load_manifest(built.folder / MANIFEST)
        found = sha256(built.folder / MODEL)
    return Reproduction(
        profile.name,
        found,
        found == recorded["nb"]["sha256"],
        (*_beside(path, recorded), *differences(recorded, rebuilt)),
        unrecorded(recorded, rebuilt),
    )


def _recipe(path: Path, recipe: Path | None) -> Recipe:
    if recipe is not None:
        return load_recipe(recipe)
    own = BuildFolder.of(path).recipe
    if own.is_file() and not is_own(own.parent):
        raise RecipeError(
            f"{path}: its recipe was not built on this machine, and a rebuild runs the recipe's code",
            try_=f"--recipe {shlex.quote(str(own))}, where you know who wrote it",
        )
    try:
        return load_recipe(own)
    except RecipeError as err:
        if own.exists():
            raise
        raise RecipeError(
            f"{path}: does not lie in a recipe's build/<target>/, so its recipe is not known",
            try_="--recipe RECIPE, an edgeflow.toml or its folder",
        ) from err


def _target(name: str, own: str | None, path: Path) -> Target:
    """The profile that the manifest names; a file's name for it is not to choose paths."""
    if own is None and ("/" in name or name.endswith(".toml")):
        raise TargetError(f"{path}: target is {name[:100]!r}, and should be a name", try_="--target PROFILE.toml")
    try:
        profile = load_target(name if own is None else own)
    except TargetError as err:
        raise TargetError(err.what, try_="--target PROFILE.toml, where the profile is your own") from err
    if profile.name != name:
        raise TargetError(f"{path}: was built for {name[:100]!r}, and --target is {profile.name!r}")
    return profile


def _extra(recorded: Mapping[str, Any], recipe: Recipe, target: Target) -> tuple[str, ...]:
    """What --keep-on-cpu was given beside the recipe's own lines."""
    settings = recorded["settings"].get("convert")
    lines = settings.get("keep_on_cpu") if isinstance(settings, Mapping) else None
    own = recipe.convert_settings(target).keep_on_cpu
    return tuple(line for line in lines if isinstance(line, str) and line not in own) if isinstance(lines, list) else ()


def _beside(path: Path, recorded: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Files that lie beside the manifest and are not those it was written for."""
    found = []
    for name, key in ((MODEL, "nb"), (REFERENCE, "reference")):
        file, known = path.parent / name, recorded[key]["sha256"]
        if file.is_file() and (now := sha256(file)) != known:
            found.append(Difference("files", name, known, now, f"{name} has other bytes than the manifest records"))
    return tuple(found)

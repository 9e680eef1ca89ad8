"""Data of a recipe that lies elsewhere: brought into the cache by content before anything reads it.

In the cache it is a result like those of the stages, held to its hashes: `data/<key>/<name>`. What was left half
fetched stays beside it, and the next build goes on from there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import DataError, EdgeflowError, together
from edgeflow.core.remote import Brought, RemoteSource, is_remote, remote_source
from edgeflow.core.versions import key_of
from edgeflow.files.atomic import folder_half_made
from edgeflow.files.far import Far, FarFile, Gone, far
from edgeflow.files.fetch import LISTING, fetch, folder_hash
from edgeflow.flow.cache import Cache
from edgeflow.flow.how import How
from edgeflow.ingest.lists import LIST_MAX_BYTES, listed_names
from edgeflow.project.places import CACHE
from edgeflow.project.recipe import Recipe

STAGE = "data"
KINDS = ("evaluation", "calibration", "training", "annotations")
Say = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """One source of a recipe: `kind` is its key under [data]; `listed`: its lines name files beside it, `alone`: and
    say nothing else.
    """

    kind: str
    source: RemoteSource
    where: str
    listed: bool
    alone: bool
    bytes_max: int


def elsewhere(recipe: Recipe) -> list[Elsewhere]:
    """The sources of a recipe that lie elsewhere and were not brought yet."""
    found = []
    for kind in KINDS:
        given = getattr(recipe.data, kind)
        if not is_remote(given) or kind in recipe.brought:
            continue
        source = remote_source(given, f"{recipe.path} [data] {kind}")
        listed = source.name.endswith(".txt") and recipe.text_input is None
        alone = kind == "evaluation" and recipe.data.annotations is not None
        most = recipe.data.remote_bytes_max
        found.append(Elsewhere(kind, source, f"{kind} data ({source.url})", listed, alone, most))
    return found


def with_data(recipe: Recipe, root: Path, say: Say | None, how: How | None = None) -> Recipe:
    """The recipe with its data here, in the cache of a build folder; see brought for what may go wrong."""
    if not elsewhere(recipe):
        return recipe
    told = say or (lambda *_: None)
    fresh = how is not None and how.fresh
    cache = Cache(root / CACHE, fresh=fresh, warn=lambda text: told("", "cache", f"note: {text}"))
    return brought(recipe, cache, told)


def brought(recipe: Recipe, cache: Cache, say: Say) -> Recipe:
    """The recipe with all that lies elsewhere brought here. What has a hash in the recipe and is here is not asked for;
    of the rest its place is asked whether it is still the same.

    Raises:
        DataError: it is not there, refused, too large, not what its hash says, or broke off too often; all at once.
        BackendMissing: the library for a protocol is not installed.
    """
    done, errors = dict(recipe.brought), []
    same: dict[str, Brought] = {}
    for item in elsewhere(recipe):
        try:
            key = f"{_key(item)} {item.source.sha256}"
            same[key] = done[item.kind] = same.get(key) or _bring(item, cache, say, recipe.folder)
        except EdgeflowError as err:
            errors.append(err)
    if errors:
        raise together(errors)
    return replace(recipe, brought=done)


def here_already(recipe: Recipe, cache: Cache) -> Recipe:
    """The recipe with what is here of all that lies elsewhere; nobody is asked."""
    done = dict(recipe.brought)
    for item in elsewhere(recipe):
        known = cache.known(STAGE, _key(item))
        pinned = [one.artifact for one in known if item.source.sha256 in (None, one.artifact.facts["sha256"])]
        if pinned:
            done[item.kind] = _as_brought(item, pinned[0], recipe.folder)
    return replace(recipe, brought=done)


def glance(item: Elsewhere) -> str:
    """What asking alone tells of a source, as a sentence.

    Raises:
        DataError: it is not there, refused, or too large.
    """
    try:
        files, _ = far(item.source, item.where).files()
    except Gone as err:
        raise DataError(f"{item.where}: cannot be reached ({err})") from err
    sizes = [file.bytes for file in files]
    total = sum(size or 0 for size in sizes)
    if total > item.bytes_max:
        raise DataError(
            f"{item.where}: has {total} bytes, and [data] remote_bytes_max is {item.bytes_max}",
            try_=f"remote_bytes_max = {total} under [data] where that is meant",
        )
    of = "its size is not known" if None in sizes else f"{readable_bytes(total)} in {len(files)} files"
    return f"lies at {item.source.url}, {of}; a build fetches it"


def readable_bytes(count: int) -> str:
    """A size as a person says it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count} bytes"


def _bring(item: Elsewhere, cache: Cache, say: Say, folder: Path) -> Brought:
    known = cache.known(STAGE, _key(item))
    if item.source.sha256 is not None:
        for one in known:
            if one.artifact.facts["sha256"] == item.source.sha256:
                return _as_brought(item, one.artifact, folder)
    place, files, is_folder = _asked(item)
    marks = {file.name: file.mark for file in files}
    with cache.alone(STAGE, _key(item)):
        if item.source.sha256 is None and None not in marks.values():
            for one in cache.known(STAGE, _key(item)):
                if one.seen == marks:
                    return _as_brought(item, one.artifact, folder)
        say("", STAGE, "start")
        made = _fetched(item, cache, place, (files, is_folder), say)
        if item.source.sha256 is None and _asked(item)[1] != files:
            raise DataError(f"{item.where}: changed while it was fetched", try_="run it again")
        cache.remember(STAGE, _key(item), made, marks)
    say("", STAGE, "done")
    got = _as_brought(item, made, folder)
    if item.source.sha256 is None:
        say("", STAGE, f"note: {item.where}: {readable_bytes(got.bytes)}, held to nothing; #sha256={got.sha256} would")
    return got


def _asked(item: Elsewhere) -> tuple[Far, list[FarFile], bool]:
    """What lies there: asked up to three times where nobody answers."""
    for turn in range(3):
        try:
            place = far(item.source, item.where)
            files, is_folder = place.files()
            break
        except Gone as err:
            if turn == 2:
                raise DataError(
                    f"{item.where}: cannot be reached ({err})",
                    try_="see whether its host answers; data with #sha256= that is here already is not asked for",
                ) from err
    if not files:
        raise DataError(f"{item.where}: is an empty folder")
    return place, files, is_folder


def _fetched(item: Elsewhere, cache: Cache, place: Far, found: tuple[list[FarFile], bool], say: Say) -> Artifact:
    files, is_folder = found
    stage = cache.root / STAGE
    parts = stage / f".{_key(item)}.parts"

    def tell(done: int, total: int) -> None:
        of = f"{done >> 20} of {total >> 20} MiB" if total >> 20 else f"{done >> 20} MiB"
        say("", STAGE, f"{item.kind}: {of}")

    bounds = item.where, item.bytes_max
    fetch(place, files, parts, bounds, tell)
    if item.listed and not is_folder:
        files = [*files, *_beside(item, place, files[0], parts)]
        fetch(place, files, parts, bounds, tell)
    names = [file.name for file in files]
    digest, size = folder_hash(parts, names), sum((parts / name).stat().st_size for name in names)
    if item.source.sha256 not in (None, digest):
        shutil.rmtree(parts)
        raise DataError(
            f"{item.where}: its sha256 is {digest}, and the recipe holds it to {item.source.sha256}",
            try_="the right file in its place; or the new hash, where the change is meant",
        )
    # A file lies in a folder of its own, so that its name stays; a folder under its own name.
    inside = item.source.name if is_folder else "."
    facts = {"sha256": digest, "bytes": size, "files": len(names), "entry": inside if is_folder else files[0].name}
    with folder_half_made(stage / _key(item)) as half:
        (half / inside).mkdir(parents=True, exist_ok=True)
        for name in names:
            (half / inside / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(parts / name, half / inside / name)
        made = cache.add(STAGE, half, key_of(STAGE, digest, item.source.name, is_folder), facts)
    shutil.rmtree(parts)
    parts.with_name(parts.name + LISTING).unlink(missing_ok=True)
    return made


def _beside(item: Elsewhere, place: Far, listing: FarFile, parts: Path) -> list[FarFile]:
    """The files that a list names; a change of any is told by a change of the list alone."""
    with (parts / listing.name).open("rb") as stream:
        raw = stream.read(LIST_MAX_BYTES)
    names = dict.fromkeys(listed_names(raw, item.where, alone=item.alone))
    found = []
    for name in names:
        if name != listing.name:
            file = place.beside(name)
            found.append(file if file.mark is not None else replace(file, mark=listing.mark))
    return found


def _as_brought(item: Elsewhere, made: Artifact, folder: Path) -> Brought:
    path = made.folder / str(made.facts["entry"])
    reached = path.relative_to(folder) if path.is_relative_to(folder) else path
    facts: Any = made.facts
    return Brought(item.source.url, str(reached), facts["sha256"], int(facts["bytes"]), int(facts["files"]))


def _key(item: Elsewhere) -> str:
    return key_of(STAGE, item.source.url, item.listed, item.alone)

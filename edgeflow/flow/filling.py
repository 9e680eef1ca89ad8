"""Filling the cache with stages that were made elsewhere: the build then finds them as if it had made them itself."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import StorageError
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.files.sealed import FACTS, FILES, OWN
from edgeflow.flow.cache import Cache
from edgeflow.flow.executor import Filled, Order
from edgeflow.project.recipe import Recipe, read_labels, read_vocabulary

STAGES = ("compress", "convert", "verify")


class NotKept(Exception):
    """A stage would have to be made."""


def fill(flow: Any, target: Target, settings: CompressSettings, ingested: Artifact, *, verify: bool = True) -> None:
    """Have what comes after stage 1 made by the flow's executor, unless it is all here.

    A metric of the user's own is code that may read anything: verification stays here then.

    Raises:
        EdgeflowError: as the stages do, and where workers died.
    """
    recipe, executor = flow.recipe, flow.executor
    verify = verify and not (recipe.metric is not None and ".py:" in recipe.metric.name)
    if _is_kept(flow, target, settings, ingested, verify=verify):
        return
    order = Order(
        recipe,
        target,
        settings,
        flow.keep_on_cpu,
        flow.how.layers,
        verify,
        flow.how.fresh,
        _files(recipe) if verify else {},
    )
    now = ""

    def tell(stage: str, what: str) -> None:
        nonlocal now
        if stage != now:
            if now:
                flow.say(target.name, now, "done")
            now = stage
            flow.say(target.name, stage, "start")
        if what not in ("start", "done", "kept"):
            flow.say(target.name, stage, what)

    for one in executor.stages(order, ingested.folder, tell):
        put(flow.cache, one)
        flow.elsewhere.add((target.name, one.stage))
    if now:
        flow.say(target.name, now, "done")


def put(cache: Cache, one: Filled) -> Artifact:
    """Lay a result into the cache as it was made elsewhere, held to its own hashes.

    Raises:
        StorageError: it is no result of a stage, or damaged.
    """
    if one.stage not in STAGES or not one.name.isalnum() or FACTS not in one.files:
        raise StorageError(f"{one.stage[:40]!r}: is no result of a stage")
    table = json.loads(one.files[FACTS])
    facts = {key: value for key, value in table.items() if key not in (FILES, OWN)}

    def work(folder: Path) -> Artifact:
        for name, raw in one.files.items():
            parts = PurePosixPath(name).parts
            if name.startswith("/") or ".." in parts:
                raise StorageError(f"{name[:80]!r}: leads out of its folder")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name != FACTS:
                (folder / name).write_bytes(raw)
        return Artifact(folder, facts)

    made = cache.make(one.stage, one.name, work)
    if made.facts[FILES] != table[FILES]:
        raise StorageError(f"{made.folder}: came damaged", try_="edgeflow build --no-cache")
    return made


def _is_kept(flow: Any, target: Target, settings: CompressSettings, ingested: Artifact, *, verify: bool) -> bool:
    with flow.asking():
        try:
            compressed = flow.compress(target, settings, target.choose(settings.precision), ingested)
            converted = flow.convert(target, compressed)
            if verify:
                flow.verify(target, ingested, compressed, converted)
        except NotKept:
            return False
    return True


def _files(recipe: Recipe) -> dict[str, bytes]:
    """What verification reads of the recipe's folder: labels and vocabulary, which lie in it."""
    found = {}
    if recipe.model.labels is not None and read_labels(recipe) is not None:
        found[recipe.model.labels] = (recipe.folder / recipe.model.labels).read_bytes()
    raw = read_vocabulary(recipe)
    if raw is not None and recipe.text_input is not None:
        rules = recipe.inputs[recipe.text_input].tokenize
        assert rules is not None
        found[rules.vocab] = raw
    return found

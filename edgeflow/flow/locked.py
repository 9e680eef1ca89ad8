"""Hold builds to the figures that were accepted for them, and accept new ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.drift import finite
from edgeflow.core.targets import Target, load_target
from edgeflow.emulate.examined import Examined
from edgeflow.files.arrays import load_npz
from edgeflow.files.atomic import lock
from edgeflow.flow.build import Say, build
from edgeflow.flow.built import Built
from edgeflow.project.accepted import Change, Figures, OutputFigures, compare, is_comparable, is_worse, settled
from edgeflow.project.lockfile import lock_path, locked, read_lock, write_lock
from edgeflow.project.places import REFERENCE
from edgeflow.project.recipe import asked_targets, load_recipe
from edgeflow.verify.file_facts import figures


@dataclass(frozen=True, slots=True)
class Held:
    """One target against its lock. `accepted` is None where it had no entry; `refused` says why nothing was written."""

    target: str
    accepted: Figures | None
    found: Figures
    changes: tuple[Change, ...]
    refused: tuple[str, ...] = ()

    @property
    def is_worse(self) -> bool:
        return is_worse(self.changes)

    def as_table(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        table = asdict(self)
        for name in ("accepted", "found"):
            for output in (table[name] or {}).get("outputs", ()):
                output.update(finite(output))
        for change in table["changes"]:
            change.update(finite(change))
        return {**table, "is_worse": self.is_worse}


def validate_lock(recipe: Path | str, targets: Sequence[str]) -> dict[str, Figures]:
    """The figures that a build of these targets will be held to; called before any work.

    Raises:
        LockError: there is no lock, or it lacks one of them.
        RecipeError, TargetError: there is nothing to build.
    """
    asked = asked_targets(load_recipe(Path(recipe)), targets)
    return locked(lock_path(Path(recipe)), [load_target(name).name for name in asked])


def held(accepted: Mapping[str, Figures], results: Sequence[Built], targets: Sequence[str]) -> list[Held]:
    """Compare finished builds with what was accepted for them."""
    found = measured(results, targets)
    return [Held(name, accepted[name], figures, compare(accepted[name], figures)) for name, figures in found.items()]


def accept(
    recipe: Path | str,
    targets: Sequence[str],
    *,
    build_dir: Path | None = None,
    keep_on_cpu: Sequence[str] = (),
    say: Say | None = None,
) -> list[Held]:
    """Build each target, or take the finished build, and write its figures into the lock beside the recipe.

    What did not change keeps its entry as it is; other targets' entries stay. A build beyond its drift limits is
    refused.

    Raises:
        LockError: the lock that is there cannot be read.
        EdgeflowError: as a build.
    """
    path = lock_path(Path(recipe))
    read_lock(path)  # before any work
    targets = asked_targets(load_recipe(Path(recipe)), targets)
    results = build(recipe, targets, build_dir=build_dir, keep_on_cpu=keep_on_cpu, say=say)
    found = measured(results, targets)
    broken = {built.target: built.record.broken for built in results}
    return write_accepted(path, results[0].folder.parent, [(name, found[name], broken[name]) for name in broken])


def write_accepted(path: Path, builds: Path, found: Sequence[tuple[str, Figures, tuple[str, ...]]]) -> list[Held]:
    """Write figures into a lock, each with its name and the limits that its build breaks; those refused are not.

    Args:
        builds: a folder in which others that write this lock are waited for.
    """
    with lock(builds / f".{path.name}"):
        known = read_lock(path)
        items = [_accepted_or_refused(name, known.get(name), figures, broken) for name, figures, broken in found]
        entries = {item.target: settled(item.accepted, item.found) for item in items if not item.refused}
        if any(known.get(name) != entry for name, entry in entries.items()):
            write_lock(path, {**known, **entries})
    return items


def _accepted_or_refused(name: str, before: Figures | None, found: Figures, broken: tuple[str, ...]) -> Held:
    """An entry to write, or why it is not written: limits that are broken, or figures that nothing compares with."""
    refused = broken
    if not is_comparable(found) and not refused:
        refused = ("the outputs hold NaN or infinity, with which no later build could be compared",)
    return Held(name, before, found, () if before is None else compare(before, found), refused)


def measured(results: Sequence[Built], targets: Sequence[str]) -> dict[str, Figures]:
    """What finished builds cost, by target."""
    profiles = {profile.name: profile for profile in map(load_target, dict.fromkeys(targets))}
    return {built.target: figures_of(built, profiles[built.target]) for built in results}


def figures_of(built: Built, target: Target) -> Figures:
    """What one finished build costs: drift as its report has it, the rest from the .nb itself."""
    model, record = built.folder / "model.nb", built.record
    arrays = load_npz(built.folder / REFERENCE)
    inputs = {name.removeprefix("input/"): array for name, array in arrays.items() if name.startswith("input/")}
    of_file = figures(Examined(model), target, inputs)
    outputs = tuple(
        OutputFigures(o.name or "", *(math.nan if v is None else v for v in (o.sqnr_db, o.cosine, o.max_abs)))
        for o in record.outputs
    )
    drop = record.drop
    latency = of_file.latency
    return Figures(
        size_bytes=model.stat().st_size,
        ops=of_file.ops,
        samples=record.samples or 0,
        outputs=outputs,
        metric=None if drop is None else record.metric,
        metric_drop=drop,
        subgraphs=of_file.subgraphs,
        cpu_ops=of_file.cpu_ops,
        predicted_latency_ms=None if latency is None else latency.ms,
        chip=None if latency is None else latency.chip,
    )

"""Hold builds of a pipeline to the figures that were accepted for them: those of the text, and those of each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeflow.core.targets import Target, load_target
from edgeflow.flow.build import Say
from edgeflow.flow.locked import Held, figures_of, write_accepted
from edgeflow.pipelines.build import opened
from edgeflow.pipelines.flow import BuiltPipeline, build_pipeline
from edgeflow.pipelines.recipe import Pipeline
from edgeflow.project.accepted import Figures, compare
from edgeflow.project.lockfile import lock_path, locked, read_lock

BOXES = "boxes"
"""Of a target: the entry of hmean."""


def validate_lock(recipe: Path, targets: Sequence[str], build_dir: Path | None = None) -> dict[str, Figures]:
    """The figures that a build of these targets will be held to; called before any work.

    Raises:
        LockError: there is no lock, or it lacks one of them.
        RecipeError, TargetError: there is nothing to build.
    """
    pipeline, profiles, _ = opened(recipe, targets, build_dir)
    return locked(lock_path(recipe), [name for profile in profiles for name in _names(pipeline, profile)])


def held(accepted: Mapping[str, Figures], results: Sequence[BuiltPipeline]) -> list[Held]:
    """Compare finished builds with what was accepted for them."""
    found = {name: figures for built in results for name, figures in measured(built).items()}
    return [Held(name, accepted[name], figures, compare(accepted[name], figures)) for name, figures in found.items()]


def accept(
    recipe: Path, targets: Sequence[str], *, build_dir: Path | None = None, say: Say | None = None
) -> list[Held]:
    """Build each target, or take the finished build, and write its figures into the lock beside the recipe.

    A target whose text is lost beyond the limits is refused with all its files.

    Raises:
        LockError: the lock that is there cannot be read.
        EdgeflowError: as a build.
    """
    path = lock_path(recipe)
    read_lock(path)  # before any work
    results = build_pipeline(recipe, targets, build_dir=build_dir, say=say)
    found = [(name, figures, built.record.broken) for built in results for name, figures in measured(built).items()]
    return write_accepted(path, results[0].folder.parent, found)


def measured(built: BuiltPipeline) -> dict[str, Figures]:
    """What a finished pipeline costs: the text and all files together by the target's name, then each file."""
    profile, record = load_target(built.target), built.record
    parts = {f"{built.target}/{part.file.folder}": figures_of(part.built, profile) for part in built.parts}
    every = list(parts.values())
    whole = Figures(sum(one.size_bytes for one in every), sum(one.ops for one in every), record.lines, ())
    found = {}
    for name, metric, before, after in (
        (built.target, "line_accuracy", record.reference.line_accuracy, record.candidate.line_accuracy),
        (f"{built.target}/{BOXES}", "hmean", record.reference.hmean, record.candidate.hmean),
    ):
        if before is not None and after is not None:
            found[name] = Figures(whole.size_bytes, whole.ops, whole.samples, (), metric, before - after)
    return {**found, **parts}


def _names(pipeline: Pipeline, target: Target) -> list[str]:
    files = pipeline.files(target)
    finds, reads = (any(file.part == part for file in files) for part in ("detector", "recogniser"))
    text = [*([target.name] if reads else []), *([f"{target.name}/{BOXES}"] if finds else [])]
    return [*text, *(f"{target.name}/{file.folder}" for file in files)]

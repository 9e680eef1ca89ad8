"""All models of a pipeline for several targets: planned and built side by side, into `build/<target>/<part>/`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from edgeflow.core.errors import EdgeflowError, RecipeError, together
from edgeflow.core.targets import Target, load_target
from edgeflow.flow.build import Say, build_part
from edgeflow.flow.built import Built
from edgeflow.flow.early import look_before
from edgeflow.flow.how import How
from edgeflow.flow.plan import Plan, plan_recipe
from edgeflow.pipelines.recipe import PartFile, Pipeline, load_pipeline
from edgeflow.project.places import build_root, recipe_file

PLAIN = How(layers=False)
"""How a pipeline's models are built where nobody says otherwise. What decides is the text; a look at every op of a
detector of whole pages takes longer than all else together.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A file of a part, and the targets that take it as it is: one reference and one ingest serve them all."""

    file: PartFile
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class BuiltPart:
    """One .nb of a pipeline that was built for one target."""

    file: PartFile
    built: Built


def opened(path: Path, targets: Sequence[str], build_dir: Path | None = None) -> tuple[Pipeline, list[Target], Path]:
    """A pipeline, the targets asked for or those of its [project], and its build folder.

    Raises:
        RecipeError, TargetError, ModelError: one of them cannot be read, or no target is named.
    """
    root = build_root(recipe_file(path).resolve(), build_dir)
    pipeline = load_pipeline(path, root)
    asked = tuple(dict.fromkeys(targets or pipeline.project.targets))
    if not asked:
        raise RecipeError(
            "no target is given", try_='--target arm64-int8, or [project] targets = ["arm64-int8"] in the recipe'
        )
    return pipeline, [load_target(name) for name in asked], root


def jobs(pipeline: Pipeline, targets: Sequence[Target]) -> list[Job]:
    """What is to be built, each file once for all targets that take the same."""
    found: dict[str, tuple[PartFile, list[Target]]] = {}
    for target in targets:
        for file in pipeline.files(target):
            found.setdefault(repr((file.folder, file.recipe.inputs)), (file, []))[1].append(target)
    return [Job(file, tuple(asked)) for file, asked in found.values()]


def plan_parts(pipeline: Pipeline, targets: Sequence[Target]) -> list[Plan]:
    """What a build of each part for each target will meet; `target` is named with the part, `kirin/detector`.

    Raises:
        ModelError: a model cannot be read.
    """
    found = []
    for job in jobs(pipeline, targets):
        found += [
            replace(plan, target=f"{plan.target}/{job.file.folder}")
            for plan in plan_recipe(job.file.recipe, job.targets)
        ]
    order = [target.name for target in targets]
    return sorted(found, key=lambda plan: order.index(plan.target.partition("/")[0]))


def build_files(
    files: Sequence[PartFile], target: Target, root: Path, say: Say | None = None, how: How = PLAIN
) -> list[BuiltPart]:
    """Build some files of a pipeline for one target, one after the other.

    Raises:
        EdgeflowError: as a build.
    """
    tell = say or (lambda *_: None)
    found = []
    for file in files:

        def told(name: str, stage: str, what: str, folder: str = file.folder) -> None:
            tell(f"{name}/{folder}" if name else name, stage, what)

        built = build_part(file.recipe, (target,), root, file.folder, told, how)
        found += [BuiltPart(file, item) for item in built]
    return found


def build_parts(
    pipeline: Pipeline, targets: Sequence[Target], root: Path, say: Say | None = None, how: How = PLAIN
) -> dict[str, list[BuiltPart]]:
    """Build every model of a pipeline, as many at once as there are cores or `how.jobs` says.

    Returns:
        What was built for each target, in the order of the parts.

    Raises:
        EdgeflowError: of the first part that cannot be built; what looking alone tells is said of all parts at once.
    """
    todo = jobs(pipeline, targets)
    errors = []
    for job in todo:
        try:
            for target in job.targets:
                target.choose(job.file.recipe.compress_settings(target).precision)  # refuse before any work
            look_before(job.file.recipe, job.targets)
        except EdgeflowError as err:
            errors.append(err)
    if errors:
        raise together(errors)

    def one(job: Job) -> list[Built]:
        def tell(target: str, stage: str, what: str) -> None:
            if say is not None:
                say(f"{target}/{job.file.folder}" if target else target, stage, what)

        return build_part(job.file.recipe, job.targets, root, job.file.folder, tell, how)

    with ThreadPoolExecutor(max(1, min(len(todo), how.jobs or os.cpu_count() or 1))) as pool:
        results = list(pool.map(one, todo))
    found: dict[str, list[BuiltPart]] = {target.name: [] for target in targets}
    for job, built in zip(todo, results, strict=True):
        for item in built:
            found[item.target].append(BuiltPart(job.file, item))
    return found

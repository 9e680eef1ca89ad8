"""Where int8 loses text: which model to build again in float32, found from what lost the lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from edgeflow.core.strict import Overrides
from edgeflow.core.targets import Target
from edgeflow.pipelines.recipe import Part, PartFile
from edgeflow.project.recipe import Recipe, TargetTable
from edgeflow.report.text_record import TextRecord

FLOAT = "float32"


@dataclass(frozen=True, slots=True)
class MixStep:
    """A model that is to be float32 for one target, and a sentence that says why."""

    part: Part
    said: str


def next_step(
    record: TextRecord, files: Sequence[PartFile], target: Target, tried: Collection[Part] = ()
) -> MixStep | None:
    """What to build otherwise; None where the text is not lost, nothing int8 is to blame, or nothing is left to try.

    What a recipe asks for in so many words stays: a part with a precision of its own is not touched.
    """
    if record.verdict != "FAIL" or FLOAT not in target.precision.allowed:
        return None
    lost: dict[Part, int] = {
        "detector": record.lost.detector + record.lost.box,
        "classifier": record.lost.classifier,
        "recogniser": record.lost.recogniser,
    }
    if (boxes := record.decisions.get("hmean")) is not None and boxes.verdict == "FAIL":
        lost["detector"] += 1
    for part in sorted(lost, key=lambda part: -lost[part]):
        recipe = next((file.recipe for file in files if file.part == part), None)
        if lost[part] and recipe is not None and part not in tried and _is_free(recipe, target):
            return MixStep(part, f"{part}: in {FLOAT}, for in int8 it lost {lost[part]} of {record.lines} lines")
    return None


def _is_free(recipe: Recipe, target: Target) -> bool:
    """int8 is the target's choice, not the recipe's."""
    own = recipe.targets.get(target.name, TargetTable()).compress.given
    chosen = recipe.compress_settings(target).precision
    return recipe.compress.precision is None and "precision" not in own and target.choose(chosen) == "int8"


def changed(file: PartFile, target: Target) -> PartFile:
    """A file of the part in float32 for this target."""
    recipe = file.recipe
    table = recipe.targets.get(target.name, TargetTable())
    own = replace(table, compress=Overrides({**table.compress.given, "precision": FLOAT}))
    return replace(file, recipe=replace(recipe, targets={**recipe.targets, target.name: own}))

"""Where int8 loses text: which model to build again with less of it in int8, found from what lost the lines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgeflow.core.strict import Overrides
from edgeflow.core.targets import Target
from edgeflow.pipelines.recipe import Part, PartFile
from edgeflow.project.recipe import Recipe, TargetTable
from edgeflow.report.text_record import TextRecord

STEPS: Mapping[Part, Sequence[Mapping[str, Any]]] = {
    "detector": ({"keep_float": ("conv2d_transpose",)}, {"precision": "float32"}),
    "classifier": ({"precision": "float32"},),
    "recogniser": ({"keep_float": ("matmul_v2",)}, {"precision": "float32"}),
}
"""What stays float first, then the whole model. Of a recogniser it is attention and the last layer, whose scores stand
close together; of a detector the layers that make a page of a quarter of it.
"""


@dataclass(frozen=True, slots=True)
class MixStep:
    """A change of one model's [compress] for one target, its place among STEPS, and a sentence that says why."""

    part: Part
    number: int
    change: Mapping[str, Any]
    said: str


def next_step(
    record: TextRecord, files: Sequence[PartFile], target: Target, tried: Collection[tuple[Part, int]]
) -> MixStep | None:
    """What to build otherwise; None where the text is not lost, nothing int8 is to blame, or nothing is left to try.

    What a recipe asks for in so many words stays: a part with a precision of its own is not touched.
    """
    if record.verdict != "FAIL":
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
        if not lost[part] or recipe is None or not _is_free(recipe, target):
            continue
        for number, change in enumerate(STEPS[part]):
            if (part, number) in tried or change.get("precision") not in (None, *target.precision.allowed):
                continue
            what = ", ".join(change.get("keep_float", ())) or f"the whole {part}"
            said = f"{part}: {what} in float32, for in int8 it lost {lost[part]} of {record.lines} lines"
            return MixStep(part, number, change, said)
    return None


def _is_free(recipe: Recipe, target: Target) -> bool:
    """int8 is the target's choice, not the recipe's."""
    own = recipe.targets.get(target.name, TargetTable()).compress.given
    chosen = recipe.compress_settings(target).precision
    return recipe.compress.precision is None and "precision" not in own and target.choose(chosen) == "int8"


def changed(file: PartFile, target: Target, step: MixStep) -> PartFile:
    """A file of the part, with the step's change for this target laid over its recipe."""
    recipe = file.recipe
    table = recipe.targets.get(target.name, TargetTable())
    given = {**table.compress.given, **step.change}
    if kept := step.change.get("keep_float"):
        before = recipe.compress_settings(target).keep_float
        given["keep_float"] = (*before, *(name for name in kept if name not in before))
    targets = {**recipe.targets, target.name: replace(table, compress=Overrides(given))}
    return replace(file, recipe=replace(recipe, targets=targets))

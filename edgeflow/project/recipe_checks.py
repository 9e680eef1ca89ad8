"""What a recipe may not say though each value has the right type: keys that exclude each other, or mean nothing."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.core.errors import EdgeflowError, RecipeError, near, together
from edgeflow.core.metric_names import asked
from edgeflow.core.output_kind import COLUMN_NAMES
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.remote import is_remote, path_part, remote_source
from edgeflow.core.settings import DriftLimits, is_synthetic
from edgeflow.core.tensors import DTYPES
from edgeflow.files.inside import plain_name
from edgeflow.project.label_file import TEXT_METRICS
from edgeflow.project.metric_table import validate_metric

if TYPE_CHECKING:
    from edgeflow.project.recipe import InputTable, OutputTable, Recipe

OUTPUTS_MAX = 1000
OTHER_NAMES = {"float": "float32", "fp32": "float32", "single": "float32", "int": "int64", "long": "int64"}
"""What other libraries call a type, where the nearest spelling would be another one."""


def validate(recipe: Recipe, path: Path) -> None:
    """Hold what a recipe says to itself.

    Raises:
        RecipeError: values that exclude each other, each named.
    """
    checks: list[Callable[[], None]] = [
        partial(_validate_paths, recipe, path),
        partial(_validate_drift, recipe.drift, f"{path} [drift]"),
        *(
            partial(_validate_drift, table.drift, f"{path} [targets.{name}.drift]")
            for name, table in recipe.targets.items()
        ),
        partial(_validate_model, recipe, path),
        *(partial(_validate_input, recipe, name, path) for name in recipe.inputs),
        *([partial(validate_metric, recipe.metric, path)] if recipe.metric is not None else []),
        *(partial(_validate_output, index, table, path) for index, table in recipe.outputs.items()),
    ]
    found: list[EdgeflowError] = []
    for check in checks:
        try:
            check()
        except RecipeError as err:
            found.append(err)
    if found:
        raise together(found)


def _validate_model(recipe: Recipe, path: Path) -> None:
    """Where the program comes from, whether anything feeds it, and what its task takes."""
    model = recipe.model
    if (model.factory is None) == (model.program is None):
        raise RecipeError(
            f"{path} [model]: should have either 'factory' or 'program'",
            try_='factory = "model.py:build", or program = "model.pdmodel"',
        )
    if not recipe.inputs:
        raise RecipeError(f"{path}: declares no inputs", try_="[inputs.image] with shape = [-1, 3, 224, 224]")
    source = path_part(recipe.data.evaluation)
    if recipe.data.annotations is not None and (
        is_synthetic(source) or ".py:" in source or source.endswith((".npz", ".npy"))
    ):
        raise RecipeError(
            f"{path} [data]: annotations belong to picture files, and evaluation is {source!r}",
            try_="evaluation = the folder of the pictures, or leave annotations out",
        )
    if recipe.data.remote_bytes_max < 1:
        raise RecipeError(f"{path} [data]: remote_bytes_max should be above 0")
    if model.task == "classify_text" and recipe.text_input is None:
        raise RecipeError(
            f"{path} [model]: task is 'classify_text', whose program takes a text, and no input is made of one",
            try_='[inputs.NAME.tokenize] with vocab = "vocab.txt" and max_length, or leave task out',
        )
    pictures = any(spec.preprocess for spec in recipe.inputs.values())
    if model.task not in (None, "classify_text") and not pictures:
        raise RecipeError(
            f"{path} [model]: task is {model.task!r}, whose program takes a picture, and no input is made of one",
            try_="[inputs.NAME.preprocess] with resize, size, scale, mean and std, or leave task out",
        )


def _validate_output(index: str, table: OutputTable, path: Path) -> None:
    where = f"{path} [outputs.{index}]"
    if not (index.isascii() and index.isdecimal() and int(index) < OUTPUTS_MAX):
        raise RecipeError(
            f"{where}: outputs go by their position, a number from 0", try_="[outputs.0] for the first output"
        )
    for name in table.columns:
        if name not in COLUMN_NAMES:
            raise RecipeError(f"{where}: column {name!r}; {near(name, [n for n in COLUMN_NAMES if n], 'one of')}")
    corners = [{"x1", "y1", "x2", "y2"}, {"x", "y", "w", "h"}]
    if table.columns and not any(names <= set(table.columns) for names in corners):
        raise RecipeError(
            f"{where}: columns are {list(table.columns)}, and should hold x1, y1, x2, y2, or x, y, w, h",
            try_='columns = ["class", "score", "x1", "y1", "x2", "y2"]',
        )
    if table.counts is not None and not (0 <= table.counts < OUTPUTS_MAX and table.counts != int(index)):
        raise RecipeError(f"{where}: counts is {table.counts}, and should be the position of another output")
    if not isfinite(table.threshold) or table.blank < -1:
        raise RecipeError(f"{where}: threshold should be a number, and blank a class or -1 for the last one")


def _validate_input(recipe: Recipe, name: str, path: Path) -> None:
    spec = recipe.inputs[name]
    if not spec.shape or any(dim == 0 or dim < -1 for dim in spec.shape):
        raise RecipeError(f"{path} [inputs.{name}]: shape is {list(spec.shape)}; dimensions should be above 0, or -1")
    if spec.dtype not in DTYPES:
        meant = OTHER_NAMES.get(spec.dtype.lower())
        hint = f"did you mean {meant!r}?" if meant else near(spec.dtype, DTYPES, "one of")
        raise RecipeError(f"{path} [inputs.{name}]: dtype {spec.dtype!r}; {hint}")
    if spec.preprocess is not None:
        _validate_preprocess(spec, spec.preprocess, f"{path} [inputs.{name}")
    if spec.tokenize is not None:
        where = f"{path} [inputs.{name}.tokenize]"
        if spec.preprocess is not None or recipe.text_input != name:
            raise RecipeError(
                f"{where}: a text makes one input and those that this table names, and two tables make inputs",
                try_='token_types = "NAME", positions, mask or length in the one table',
            )
        spec.tokenize.validate(where, name, {known.name: known for known in recipe.specs})


def with_one_blank(recipe: Recipe, where: str) -> Recipe:
    """The recipe with one CTC blank, where [metric] or [outputs.0] says it: the other goes by it.

    Raises:
        RecipeError: they say different ones.
    """
    metric, table = recipe.metric, recipe.outputs.get("0")
    known = None if metric is None else asked(metric.spelled)
    if metric is None or table is None or known is None or known.kind not in TEXT_METRICS or table.kind != "ctc":
        return recipe
    said = known.options.get("blank")
    if said is None and table.blank == 0:
        return recipe
    if said is None:
        return replace(recipe, metric=replace(metric, blank="last" if table.blank < 0 else table.blank))
    blank = -1 if said == "last" else int(said)
    if table.blank not in (0, blank):
        raise RecipeError(
            f"{where}: [metric] says that the blank is {said}, and [outputs.0] that it is {table.blank}",
            try_="one of the two: the other goes by it",
        )
    return replace(recipe, outputs={**recipe.outputs, "0": replace(table, blank=blank)})


def _validate_drift(limits: DriftLimits, where: str) -> None:
    """Limits that some build could keep, and another break."""
    free = {
        "max_abs_max": (0.0, inf),
        "mean_abs_max": (0.0, inf),
        "cosine_min": (-1.0, 1.0),
        "sqnr_db_min": (-inf, inf),
        "metric_drop_max": (-inf, inf),
    }
    for key in (field.name for field in fields(limits)):
        low, high = free.get(key, (0.0, 1.0))  # agreements are shares
        value = getattr(limits, key)
        if value is not None and not (isfinite(value) and low <= value <= high):
            span = f"a number from {low:g} to {high:g}" if isfinite(high) else "a number from 0 up"
            raise RecipeError(f"{where} {key}: is {value:g}, and should be {span if isfinite(low) else 'a number'}")


def _validate_paths(recipe: Recipe, path: Path) -> None:
    """Every path: as text, and where something lies there already, as a file or folder that reading ends with.

    Weights and data may lie outside the recipe's folder, where large files are kept; labels may not, see read_labels.
    """
    model, data = recipe.model, recipe.data
    for key, value in (
        ("[model] factory", model.factory),
        ("[model] program", model.program),
        ("[model] params", model.params),
        ("[model] labels", model.labels),
        *((f"[inputs.{name}.tokenize] vocab", t.tokenize.vocab) for name, t in recipe.inputs.items() if t.tokenize),
        ("[data] evaluation", data.evaluation),
        ("[data] calibration", data.calibration),
        ("[data] training", data.training),
        ("[data] annotations", data.annotations),
        ("[metric] name", recipe.metric.name if recipe.metric else None),
    ):
        if value is None:
            continue
        if not plain_name(value):
            raise RecipeError(
                f"{path} {key}: {value[:80]!r} should be a path without control characters, and not empty"
            )
        if is_remote(value):
            if not key.startswith("[data]"):
                raise RecipeError(f"{path} {key}: is a URL, and only data is fetched", try_="a file beside the recipe")
            remote_source(value, f"{path} {key}")
            continue
        place = path.resolve().parent / (value.partition(":")[0] if ".py:" in value else value)
        try:
            kind = place.stat().st_mode
        except OSError:
            continue  # whoever reads it says what is missing
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise RecipeError(f"{path} {key}: {value!r} is no regular file or folder, and should be one")


def _validate_preprocess(spec: InputTable, steps: Preprocess, where: str) -> None:
    """Pre-processing that its own rules allow, and that makes what the input declares."""
    steps.validate(f"{where}.preprocess]")
    if spec.dtype != "float32":
        raise RecipeError(f"{where}]: dtype is {spec.dtype!r}, and should be 'float32', which pre-processing makes")
    if len(spec.shape) != 4 or any(
        -1 not in (a, b) and a != b for a, b in zip(spec.shape[1:], steps.shape, strict=True)
    ):
        dims = ", ".join("any" if dim < 0 else str(dim) for dim in (-1, *steps.shape))
        raise RecipeError(
            f"{where}]: shape is {list(spec.shape)}, and its pre-processing makes [{dims}]",
            try_="size, crop, colour and layout that make the shape",
        )

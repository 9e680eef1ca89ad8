"""[pipeline] of an edgeflow.toml: the models, what connects them, and the files that a target needs of each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edgeflow.core.errors import RecipeError, near
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.remote import is_remote
from edgeflow.core.strict import strict
from edgeflow.core.targets import Target, laid_over, read_toml
from edgeflow.core.text_map import BoxRules
from edgeflow.files.atomic import write_atomic
from edgeflow.files.inside import read_inside
from edgeflow.flow.from_model import LABELS, needs_recipe, write_recipe
from edgeflow.project.places import RECIPE, recipe_file
from edgeflow.project.recipe import LABELS_MAX_BYTES, InputTable, ProjectTable, Recipe, recipe_of

Part = Literal["detector", "classifier", "recogniser"]
PARTS: tuple[Part, ...] = ("detector", "classifier", "recogniser")
TASKS = {"detector": "ocr_detect", "classifier": "classify", "recogniser": "ocr_recognise"}
METRICS = {"detector": "hmean", "classifier": "top1", "recogniser": "sequence_accuracy"}
"""What a part of its own is measured by, where its tables name nothing."""

MADE = ".parts"
"""In the build folder: recipes of models that came without one."""

OWN = ("inputs", "outputs", "metric", "compress", "convert", "drift", "targets", "data")
"""Tables that override those of what `from` names."""

OF_MODEL = ("labels", "space")
"""What [pipeline.NAME.model] may say beside `from`: what no file beside the model says."""

BUCKETS_MAX, SIDE_MAX, BATCH_MAX = 16, 4096, 64
STEP = 32
"""Columns. Widths of lines are rounded up to whole steps, so that few shapes come up; recognisers halve their input up
to five times (PP-OCRv4's and v5's three times)."""


@dataclass(frozen=True, slots=True)
class LimitTable:
    """[pipeline.limits]: what the text may lose against the reference, in shares: of lines read right end to end, of
    hmean, and of characters. None: no limit. `reference_min`: the least that the reference has to read itself (or
    find, without a recogniser); one that reads nothing has nothing to lose.
    """

    line_accuracy_drop_max: float | None = 0.01
    hmean_drop_max: float | None = 0.02
    cer_rise_max: float | None = None
    reference_min: float = 0.5


@dataclass(frozen=True, slots=True)
class PageTable:
    """[data] of a pipeline: label files as PaddleOCR's detectors are trained with, `path<TAB>[{"transcription": …,
    "points": …}]`. `exif` as for one model."""

    evaluation: str
    calibration: str | None = None
    exif: Literal["ignore", "apply"] = "ignore"


@dataclass(frozen=True, slots=True)
class PipelineTable:
    """[pipeline]: each model is a table; docs/pipelines.md explains each key."""

    kind: Literal["ocr"] = "ocr"
    detector: Mapping[str, object] | None = None
    classifier: Mapping[str, object] | None = None
    recogniser: Mapping[str, object] | None = None
    boxes: BoxRules = BoxRules()
    limits: LimitTable = LimitTable()
    page: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    width_max: int = 3072
    width_step: int = STEP
    batch: int = 6
    turned_min: float = 0.9
    golden: int = 2
    mix: bool = True


@dataclass(frozen=True, slots=True)
class _File:
    """The whole edgeflow.toml of a pipeline."""

    pipeline: PipelineTable
    data: PageTable
    name: str = "pipeline"
    project: ProjectTable = ProjectTable()


@dataclass(frozen=True, slots=True)
class PartFile:
    """One .nb of a part: `folder` names its place in `build/<target>/`; `width` of the lines that it takes, where it
    takes one alone."""

    part: Part
    folder: str
    recipe: Recipe
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline's recipe that was read; `parts` are recipes as they stand, before a target fixes sizes."""

    name: str
    path: Path
    table: PipelineTable
    data: PageTable
    project: ProjectTable
    parts: Mapping[Part, Recipe] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.path.parent

    def files(self, target: Target) -> tuple[PartFile, ...]:
        """What is built for a target: one file a part, or, where shapes are fixed, a recogniser for each width.

        Raises:
            RecipeError: the target wants fixed shapes, and nothing says which.
        """
        if not target.static_shapes:
            return self.free_files()
        return tuple(file for part, recipe in self.parts.items() for file in self._fixed(part, recipe, target))

    def free_files(self) -> tuple[PartFile, ...]:
        """One file a part, which takes all sizes that its recipe leaves open."""
        found = []
        for part, recipe in self.parts.items():
            width = _sides(next(iter(recipe.inputs.values())), preprocess_of(recipe))[1]
            found.append(PartFile(part, part, recipe, width if part == "recogniser" and width > 0 else None))
        return tuple(found)

    def _fixed(self, part: Part, recipe: Recipe, target: Target) -> Iterator[PartFile]:
        (name, table), *_ = recipe.inputs.items()
        steps = preprocess_of(recipe)
        height, width = _sides(table, steps)
        if part == "recogniser":
            buckets = self.table.widths or ((width if width > 0 else steps.size[1]),)
            for each in buckets:
                fixed = _fixed(recipe, name, replace(steps, size=(steps.size[0], each)), (steps.size[0], each))
                yield PartFile(part, f"{part}-{each}", fixed, each)
            return
        if part == "detector" and self.table.page:
            page = self.table.page[0], self.table.page[1]
            yield PartFile(part, part, _fixed(recipe, name, replace(steps, resize="letterbox_left", size=page), page))
            return
        if min(height, width) < 0:
            raise RecipeError(
                f"{self.path} [pipeline]: {target.name} takes inputs of one size alone, and nothing says which size "
                f"the {part}'s has",
                try_="page = [736, 736] under [pipeline]: pages are made to fit, the rest is border",
            )
        yield PartFile(part, part, _fixed(recipe, name, steps, (height, width)))


def is_pipeline(path: Path) -> bool:
    """The recipe that a path means has a table [pipeline]. What cannot be read is none: whoever reads it says why."""
    found = recipe_file(path)
    if found.suffix != ".toml" or not found.is_file():
        return False
    try:
        return "pipeline" in read_toml(found, RecipeError)
    except RecipeError:
        return False


def load_pipeline(path: Path, root: Path) -> Pipeline:
    """Read a pipeline's recipe and those of its parts.

    Args:
        root: its build folder, where recipes are written for models that came without one.

    Raises:
        RecipeError: an unknown key, a value that it cannot have, or parts that do not fit together.
        ModelError: a model that a part names cannot be read.
    """
    file = recipe_file(path).resolve()
    said = strict(_File, read_toml(file, RecipeError), str(file), RecipeError)
    _validate(said.pipeline, f"{file} [pipeline]")
    given = {part: getattr(said.pipeline, part) for part in PARTS}
    parts = {part: _part(part, dict(table), said, file, root) for part, table in given.items() if table is not None}
    return Pipeline(said.name, file, said.pipeline, said.data, said.project, parts)


def preprocess_of(recipe: Recipe) -> Preprocess:
    """How a picture becomes the only input of a part."""
    found = next(iter(recipe.inputs.values())).preprocess
    assert found is not None  # _part holds every part to it
    return found


@dataclass(frozen=True, slots=True)
class _Origin:
    """The tables that `from` names, and the recipe's file that their paths start at."""

    tables: Mapping[str, Any]
    file: Path


def _part(part: Part, table: dict[str, Any], said: _File, file: Path, root: Path) -> Recipe:
    where = f"{file} [pipeline.{part}]"
    named = table.pop("from", None)
    origin = _Origin({}, file) if named is None else _origin(named, table, file, root / MADE / part, where)
    if named is not None and isinstance(labels := table.get("model", {}).get("labels"), str):
        table["model"] = {**table["model"], "labels": _brought(labels, file.parent, origin.file.parent, where)}
    merged = laid_over(origin.tables, table)
    if "data" not in table and _made_up(origin.tables.get("data")):
        merged["data"] = _pages(said.data, file.parent, origin.file.parent)
        merged.setdefault("metric", {"name": METRICS[part]})
        if "outputs" not in table:
            merged.pop("outputs", None)  # what a made recipe says of synthetic inputs
    merged.setdefault("name", f"{said.name}-{part}")
    merged.pop("project", None)
    model = merged.setdefault("model", {})
    if isinstance(model, dict) and model.setdefault("task", TASKS[part]) != TASKS[part]:
        raise RecipeError(f"{where}: task is {model['task']!r}, and a {part}'s is {TASKS[part]!r}")
    recipe = recipe_of(merged, origin.file, where)
    _validate_part(part, recipe, where)
    return recipe


def _origin(named: object, table: Mapping[str, Any], file: Path, made: Path, where: str) -> _Origin:
    """A recipe as it stands, or the one that is written for a model without any."""
    if not isinstance(named, str) or not named:
        raise RecipeError(f"{where}: from is {named!r}, and should be the path of a model or of a recipe")
    for key in table:
        if key not in (*OWN, "model"):
            raise RecipeError(f"{where}: {key} beside from; {near(key, OWN, 'it may be')}")
    model = table.get("model", {})
    for key in model if isinstance(model, Mapping) else ("",):
        if key not in OF_MODEL:
            raise RecipeError(f"{where}: model.{key} beside from; {near(key, OF_MODEL, 'it may be')}")
    source = file.parent / named
    if needs_recipe(source):
        source = write_recipe(source, made, None)
    found = recipe_file(source).resolve()
    if found == file or not found.is_file():
        raise RecipeError(f"{where}: from is {named!r}, and there is neither a model nor a recipe")
    tables = read_toml(found, RecipeError)
    if "pipeline" in tables:
        raise RecipeError(f"{where}: from is {named!r}, which is a pipeline itself")
    return _Origin(tables, found)


def _validate_part(part: Part, recipe: Recipe, where: str) -> None:
    if len(recipe.inputs) != 1:
        raise RecipeError(f"{where}: has {len(recipe.inputs)} inputs, and should have one, which a picture becomes")
    steps = preprocess_of(recipe)
    if part == "recogniser" and (steps.resize != "text_line" or steps.layout != "NCHW"):
        raise RecipeError(
            f"{where}: its lines are made by resize = {steps.resize!r}, layout = {steps.layout!r}, and should be by "
            "'text_line', 'NCHW'",
            try_=f'[pipeline.{part}.inputs.NAME.preprocess] with resize = "text_line" and size = [48, 320]',
        )
    if part == "recogniser" and recipe.model.labels is None:
        raise RecipeError(f"{where}: names no dictionary", try_=f'labels = "dict.txt" under [pipeline.{part}.model]')


def _made_up(data: object) -> bool:
    """What a generated recipe feeds its model is nothing that a user chose."""
    return not isinstance(data, Mapping) or str(data.get("evaluation", "synthetic")).startswith("synthetic")


def _pages(data: PageTable, home: Path, folder: Path) -> dict[str, Any]:
    """[data] of a part: the pipeline's pages, as the part's recipe reaches them."""

    for key, given in (("evaluation", data.evaluation), ("calibration", data.calibration)):
        if is_remote(given):
            raise RecipeError(
                f"{home} [data] {key}: is a URL, and the pages of a pipeline are read from this machine",
                try_="a copy of the folder beside the recipe",
            )
    found: dict[str, Any] = {"evaluation": _reached(data.evaluation, home, folder), "exif": data.exif, "pages": True}
    if data.calibration is not None:
        found["calibration"] = _reached(data.calibration, home, folder)
    return found


def _brought(name: str, home: Path, folder: Path, where: str) -> str:
    """A dictionary of the pipeline's folder, copied to where the recipe that was made for a model lies."""
    raw = read_inside(home, name, LABELS_MAX_BYTES, error=RecipeError, try_="a file beside the pipeline's recipe")
    if folder.parent.name != MADE:
        raise RecipeError(f"{where}: model beside from, which is a recipe of its own and says it itself")
    if not (folder / LABELS).is_file() or (folder / LABELS).read_bytes() != raw:
        write_atomic(folder / LABELS, raw)
    return LABELS


def _reached(name: str, home: Path, folder: Path) -> str:
    """A path from `home`, as a recipe in `folder` names it."""
    return name if folder == home else str(home / name)


def _sides(table: InputTable, steps: Preprocess) -> tuple[int, int]:
    """Height and width of an input, -1 where they are open."""
    at = 2 if steps.layout == "NCHW" else 1
    return table.shape[at], table.shape[at + 1]


def _fixed(recipe: Recipe, name: str, steps: Preprocess, sides: tuple[int, int]) -> Recipe:
    """A recipe whose only input has one shape, of one sample."""
    planes = (steps.channels, *sides) if steps.layout == "NCHW" else (*sides, steps.channels)
    table = InputTable((1, *planes), recipe.inputs[name].dtype, steps)
    return replace(recipe, inputs={name: table})


def _validate(table: PipelineTable, where: str) -> None:
    if table.detector is None and table.recogniser is None:
        raise RecipeError(
            f"{where}: has neither a detector nor a recogniser",
            try_='[pipeline.detector] from = "models/det", [pipeline.recogniser] from = "models/rec"',
        )
    if table.classifier is not None and table.recogniser is None:
        raise RecipeError(f"{where}: has a classifier of directions, and no recogniser that reads what it turns")
    if table.page and (len(table.page) != 2 or not all(32 <= side <= SIDE_MAX for side in table.page)):
        raise RecipeError(f"{where}: page is {list(table.page)}, and should be [height, width], from 32 to {SIDE_MAX}")
    table.boxes.validate(f"{where[:-1]}.boxes]")
    widths = table.widths
    if widths and (
        list(widths) != sorted(set(widths)) or len(widths) > BUCKETS_MAX or not 8 <= widths[0] <= widths[-1] <= SIDE_MAX
    ):
        raise RecipeError(
            f"{where}: widths is {list(widths)}, and should rise, from 8 to {SIDE_MAX}, with at most {BUCKETS_MAX} of "
            "them",
            try_="widths = [160, 320, 640]: a line goes into the first that holds it, and is squeezed into the last",
        )
    for key, value, low, high in (
        ("width_step", table.width_step, 1, 1024),
        ("width_max", table.width_max, 8, 16384),
        ("batch", table.batch, 1, BATCH_MAX),
        ("golden", table.golden, 0, 16),
        ("turned_min", table.turned_min, 0, 1),
        *((f"limits.{k}", getattr(table.limits, k) or 0, 0, 1) for k in LimitTable.__slots__),
    ):
        if not (math.isfinite(value) and low <= value <= high):
            raise RecipeError(f"{where}: {key} is {value}, and should be from {low} to {high}")


__all__ = ["MADE", "PARTS", "RECIPE", "Part", "PartFile", "Pipeline", "is_pipeline", "load_pipeline", "preprocess_of"]

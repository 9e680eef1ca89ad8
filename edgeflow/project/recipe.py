"""edgeflow.toml: what the model is, what feeds it, how it is compressed and what it may lose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from edgeflow.core import context
from edgeflow.core.errors import RecipeError
from edgeflow.core.output_kind import UNKNOWN, Kind, OutputKind, of_task
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.remote import Brought, path_part
from edgeflow.core.settings import (
    WEIGHTS_OF_8_BITS,
    CompressSettings,
    ConvertSettings,
    DriftLimits,
    IngestSettings,
    VerifySettings,
)
from edgeflow.core.strict import Overrides, strict
from edgeflow.core.targets import Target, read_toml
from edgeflow.core.tensors import TensorSpec
from edgeflow.core.tokenize import VOCABULARY_MAX_BYTES, Tokenize
from edgeflow.files.inside import read_inside
from edgeflow.project.label_file import Read, labels_are, lines_of, validate_lines
from edgeflow.project.metric_table import MetricTable
from edgeflow.project.places import NO_RECIPES, RECIPE, REMEDIES, recipe_file
from edgeflow.project.recipe_checks import validate, with_one_blank

LABELS_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelTable:
    """[model]: a Python factory `file.py:function`, or a program with its parameters.

    `task` and `labels` (a text file, one a line) are for the programs on the device; `space` adds a line of one space,
    for a recogniser that was trained with a space which is no line of its dictionary.
    """

    factory: str | None = None
    program: str | None = None
    params: str | None = None
    seed: int = 0
    task: Literal["classify", "classify_text", "detect", "ocr_detect", "ocr_recognise"] | None = None
    labels: str | None = None
    space: bool = False


@dataclass(frozen=True, slots=True)
class InputTable:
    """[inputs.NAME]: -1 is a dimension of any size; `preprocess` and `tokenize` say how a picture or a text becomes
    it.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    preprocess: Preprocess | None = None
    tokenize: Tokenize | None = None


@dataclass(frozen=True, slots=True)
class OutputTable:
    """[outputs.N]: what output N is, counted from 0; docs/recipe.md explains each key."""

    kind: Kind
    axis: int | None = None
    columns: tuple[str, ...] = ()
    counts: int | None = None
    threshold: float = 0.5
    blank: int = 0
    normalised: bool = False

    def as_kind(self) -> OutputKind:
        return OutputKind(
            self.kind,
            axis=self.axis,
            columns=self.columns,
            counts=self.counts,
            threshold=self.threshold,
            blank=self.blank,
            normalised=self.normalised,
        )


@dataclass(frozen=True, slots=True)
class DataTable:
    """[data]: each a callable `file.py:function`, an .npz, a folder of .npy or of pictures, or a .txt that
    lists pictures. `annotations` of the evaluation's pictures: a COCO .json, or a folder with a file for each.

    `exif`: what the training's loader did with a photograph's orientation: `apply` as cv2 does, `ignore` as PIL does.
    `skip_bad`: pictures that cannot be read are left out, and counted. `pages`: a list of text boxes is one of pages,
    of which a text model takes what its task needs: whole pages, lines cut out, or lines both ways up.
    Each may be a URL (core/remote.py), fetched before a build; `remote_bytes_max`: what one may hold.
    """

    evaluation: str
    calibration: str | None = None
    training: str | None = None
    annotations: str | None = None
    exif: Literal["ignore", "apply"] = "ignore"
    skip_bad: bool = False
    pages: bool = False
    remote_bytes_max: int = 1 << 35


@dataclass(frozen=True, slots=True)
class TargetTable:
    """[targets.NAME]: what differs for one target. `context`: what NNAdapter is told there, KEY = "VALUE"."""

    compress: Overrides[CompressSettings] = Overrides()
    convert: ConvertSettings = ConvertSettings()
    drift: DriftLimits = DriftLimits()
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProjectTable:
    """[project]: `targets` are built where the command line names none."""

    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole edgeflow.toml; `folder` is where its paths start, `file` its own name. `brought`: of [data] that lies
    elsewhere, where it is here, by key.
    """

    model: ModelTable
    inputs: Mapping[str, InputTable]
    data: DataTable
    name: str = "model"
    metric: MetricTable | None = None
    compress: CompressSettings = CompressSettings()
    convert: ConvertSettings = ConvertSettings()
    drift: DriftLimits = DriftLimits()
    targets: Mapping[str, TargetTable] = field(default_factory=dict)
    outputs: Mapping[str, OutputTable] = field(default_factory=dict)
    project: ProjectTable = ProjectTable()
    folder: Path = Path()
    file: str = RECIPE
    brought: Mapping[str, Brought] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The recipe's own file."""
        return self.folder / self.file

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The model's inputs in the recipe's order."""
        return tuple(TensorSpec(name, table.shape, table.dtype) for name, table in self.inputs.items())

    def source(self, kind: str) -> str | None:
        """Where data of a kind (a key under [data]) is read from: as the recipe says, or where it was brought to."""
        found = self.brought.get(kind)
        given: str | None = getattr(self.data, kind)
        return given if found is None else found.path

    def ingest_settings(self) -> IngestSettings:
        return IngestSettings(
            self.model.factory,
            self.model.program,
            self.model.params,
            self.specs,
            self.source("calibration"),
            str(self.source("evaluation")),
            self.model.seed,
            self.source("training"),
            {name: table.preprocess for name, table in self.inputs.items() if table.preprocess is not None},
            self.data.exif,
            self.data.skip_bad,
            *self._letters(),
            self.source("annotations"),
            self._names(),
            any(table.kind == "boxes" and table.normalised for table in self.outputs.values()),
            self.model.task if self.data.pages else None,
            *self._texts(),
        )

    @property
    def text_input(self) -> str | None:
        """The input that is made from a text."""
        return next((name for name, table in self.inputs.items() if table.tokenize is not None), None)

    def _texts(self) -> tuple[Mapping[str, Tokenize], tuple[str, ...]]:
        """How texts become inputs, with the hash of the vocabulary where it can be read, and the names of classes."""
        name = self.text_input
        rules = None if name is None else self.inputs[name].tokenize
        if name is None or rules is None:
            return {}, ()
        try:
            raw, labels = read_vocabulary(self), read_labels(self)
        except RecipeError:
            return {name: rules}, ()  # whoever reads them says what is wrong
        known = rules.vocab_sha256 or hashlib.sha256(raw or b"").hexdigest()
        return {name: replace(rules, vocab_sha256=known)}, () if labels is None else tuple(lines_of(labels))

    def _names(self) -> tuple[str, ...]:
        """Names of classes, by which annotations are numbered; none where they cannot be read, as of a dictionary."""
        if self.data.annotations is None and not path_part(self.data.evaluation).endswith(".txt"):
            return ()
        try:
            raw = read_labels(self)
        except RecipeError:
            raw = None
        return () if raw is None else tuple(lines_of(raw))

    @property
    def labels_are(self) -> Read | None:
        """What the lines of the labels are: letters of a recogniser, or classes; None where nothing says it."""
        metric, first = None if self.metric is None else self.metric.name, self.outputs.get("0")
        return labels_are(self.model.task, metric, None if first is None else first.kind)

    def _letters(self) -> tuple[tuple[str, ...], bool]:
        """The dictionary of a text recogniser, where a list of pictures may hold texts, and whether its blank is last.

        Nothing where it cannot be read: whoever holds it to the outputs says why.
        """
        metric = "" if self.metric is None else self.metric.spelled
        sources = (self.data.evaluation, self.data.calibration, self.data.training)
        if self.labels_are != "dictionary" or not any(path_part(source or "").endswith(".txt") for source in sources):
            return (), False
        try:
            raw = read_labels(self)
        except RecipeError:
            raw = None
        first = self.outputs.get("0")
        last = "blank=last" in metric.split(":") or (first is not None and first.blank < 0)
        return (() if raw is None else tuple(lines_of(raw))), last

    def compress_settings(self, target: Target) -> CompressSettings:
        """[compress] with what [targets.NAME.compress] overrides."""
        return self.targets.get(target.name, TargetTable()).compress.over(self.compress)

    def convert_settings(self, target: Target) -> ConvertSettings:
        """[convert] and [targets.NAME.convert] together."""
        own = self.targets.get(target.name, TargetTable()).convert
        return ConvertSettings(
            (*self.convert.keep_on_cpu, *own.keep_on_cpu), (*self.convert.keep_float, *own.keep_float)
        )

    def runtime_context(self, target: Target) -> str:
        """What NNAdapter is told on the target's device, in its own form; a RecipeError where its driver cannot be."""
        return context.spelled(context.told(target, self.targets.get(target.name, TargetTable()).context))

    def output_kinds(self, seen: Sequence[OutputKind] = ()) -> tuple[OutputKind, ...]:
        """The kinds of the outputs: [outputs.N], else what [model] task says of the first, else what was seen.

        Args:
            seen: what the program itself tells of each output.
        """
        last = max([len(seen) - 1, *map(int, self.outputs)], default=-1)
        found = [*seen, *([UNKNOWN] * (last + 1 - len(seen)))]
        if found:
            found[0] = of_task(self.model.task, found[0])
        for index, table in self.outputs.items():
            found[int(index)] = table.as_kind()
            if table.counts is not None:
                found[table.counts] = OutputKind("ids", f"it counts the boxes of output {index}", belongs_to=int(index))
        return tuple(found)

    def verify_settings(self, target: Target, seen: Sequence[OutputKind] = ()) -> VerifySettings:
        """The target's drift limits, overridden by [drift], overridden by [targets.NAME.drift].

        Args:
            seen: what the program itself tells of each output.
        """
        own = self.targets.get(target.name, TargetTable()).drift
        compress = self.compress_settings(target)
        rounded = WEIGHTS_OF_8_BITS if compress.weight_only == "int8" else DriftLimits()
        limits = target.drift.overridden(rounded).overridden(self.drift).overridden(own)
        precision = target.choose(compress.precision)
        kinds = self.output_kinds(seen)
        if self.metric is None:
            return VerifySettings(None, limits, precision=precision, outputs=kinds)
        return VerifySettings(self.metric.spelled, limits, *self.metric.asked_of_reference, precision, kinds)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe, or the edgeflow.toml of a folder.

    Raises:
        RecipeError: missing, no TOML, an unknown key (with the near match), or a value it cannot have.
    """
    given, path = path, recipe_file(path)
    what = NO_RECIPES.get(given.suffix) or NO_RECIPES.get(given.name)
    if what is not None and given.is_file() and (path == given or not path.is_file()):
        raise RecipeError(f"{given}: is {what}, and a recipe, edgeflow.toml, should stand here", try_=REMEDIES[what])
    if not path.is_file():
        raise RecipeError(
            f"{path}: there is no recipe here, nor a program (.pdmodel, __model__, inference.json, .onnx)",
            try_="edgeflow init, or give the path of an edgeflow.toml or of a program",
        )
    table = read_toml(path, RecipeError)
    if "pipeline" in table:
        raise RecipeError(
            f"{path}: is a pipeline of several models, and one model is wanted here",
            try_="edgeflow plan, build and verify take pipelines; of one of its models give the folder, such as "
            "build/arm64/recogniser",
        )
    return recipe_of(table, path, str(path))


def recipe_of(table: Mapping[str, object], path: Path, where: str) -> Recipe:
    """A recipe from its tables.

    Args:
        path: the file that they stand in, whose folder its paths start at.
        where: names the tables in messages.

    Raises:
        RecipeError: an unknown key, or a value it cannot have.
    """
    if own := {"folder", "file", "brought"} & set(table):
        raise RecipeError(f"{where}: unknown key {own.pop()!r}; paths start at the recipe's own folder")
    recipe = strict(Recipe, {**table, "inputs": table.get("inputs", {})}, where, RecipeError)
    validate(recipe, path)
    return replace(with_one_blank(recipe, where), folder=path.resolve().parent, file=path.name)


def asked_targets(recipe: Recipe, given: Sequence[str]) -> tuple[str, ...]:
    """The targets given, each once, or else those of [project].

    Raises:
        RecipeError: neither names one.
    """
    asked = tuple(dict.fromkeys(given or recipe.project.targets))
    if not asked:
        raise RecipeError(
            "no target is given",
            try_='--target arm64-int8, or [project] targets = ["arm64-int8"] in the recipe; edgeflow targets lists all',
        )
    return asked


def one_target(recipe: Recipe, given: str | None) -> str:
    """The target given, or else the only one of [project].

    Raises:
        RecipeError: neither names exactly one.
    """
    asked = asked_targets(recipe, () if given is None else (given,))
    if len(asked) > 1:
        raise RecipeError(f"[project] targets has {len(asked)}, and one is needed here", try_=f"--target {asked[0]}")
    return asked[0]


def read_labels(recipe: Recipe) -> bytes | None:
    """The labels that [model] names, or None. They go into the bundle, so they come from the recipe's own folder.

    Raises:
        RecipeError: missing, outside the folder, no regular file, too large, or no list of labels.
    """
    name = recipe.model.labels
    if name is None:
        return None
    remedy = 'labels = "labels.txt", with a copy of the file beside edgeflow.toml'
    raw = read_inside(recipe.folder, name, LABELS_MAX_BYTES, error=RecipeError, try_=remedy)
    validate_lines(raw, str(recipe.folder / name))
    return raw + (b"" if raw.endswith(b"\n") else b"\n") + b" \n" if recipe.model.space else raw


def read_vocabulary(recipe: Recipe) -> bytes | None:
    """The vocabulary that [inputs.NAME.tokenize] names, or None. It goes into the bundle, as labels do.

    Raises:
        RecipeError: missing, outside the folder, no regular file, or too large.
    """
    name = recipe.text_input
    rules = None if name is None else recipe.inputs[name].tokenize
    if rules is None:
        return None
    remedy = 'vocab = "vocab.txt", with a copy of the file beside edgeflow.toml'
    return read_inside(recipe.folder, rules.vocab, VOCABULARY_MAX_BYTES, error=RecipeError, try_=remedy)

"""What a build would stumble over later, found before any work by looking: settings, names, data, labels, metrics.

Codes of `edgeflow plan` (docs/plan.md): P7xx. `edgeflow build` looks at the same
before its first stage, and says all of it at once.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeflow.compress.conflicts import validate_settings
from edgeflow.core.errors import BackendMissing, DataError, EdgeflowError, RecipeError, near, together
from edgeflow.core.remote import is_remote
from edgeflow.core.targets import Target, names
from edgeflow.core.tokenize import Tokenize
from edgeflow.core.tokenizer import tokenizer_of, tokens_of
from edgeflow.graph.edit import Editor, output
from edgeflow.graph.embeddings import embedding_of
from edgeflow.graph.placement import validate_line
from edgeflow.graph.program import fetches, variable
from edgeflow.ingest.pictures import way_of
from edgeflow.ingest.sources import Looked, Wanted, look
from edgeflow.nb.lint import Finding
from edgeflow.project.functions import validate_function
from edgeflow.project.label_file import doubts_of, lines_of, validate_count
from edgeflow.project.recipe import Recipe, read_labels, read_vocabulary

EDITED = ("cer", "wer")
"""Metrics that count edits."""

LOOK_S = 0.8
"""How long pictures may be looked at, so that plan stays under two seconds."""


@dataclass(frozen=True, slots=True)
class Early:
    """What was found: errors, which a build would end in, and what is worth knowing. Each with its plan code."""

    errors: tuple[tuple[str, str, EdgeflowError], ...]
    notes: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of it as findings of a plan."""
        return (
            *(Finding(code, "error", op, " ".join((err.what, *err.lines)), err.try_) for code, op, err in self.errors),
            *self.notes,
        )


def validate_names(asked: Sequence[str]) -> None:
    """Hold the targets of a build to what their folders need: there are some, and their names differ.

    Raises:
        RecipeError: there is none, or two have one name.
    """
    if not asked:
        raise RecipeError("no target is given", try_='edgeflow build --target arm64-int8, or targets=["arm64-int8"]')
    if twice := sorted({name for name in asked if asked.count(name) > 1}):
        raise RecipeError(
            f"two targets are called {twice[0]!r}, and would write into one folder", try_="rename your own profile"
        )


def look_before(recipe: Recipe, profiles: Sequence[Target]) -> list[str]:
    """End a build before its work where looking alone tells that it cannot succeed.

    Returns:
        What is odd in the labels. What there is to say of pictures comes exact from ingest, later.

    Raises:
        EdgeflowError: the first thing that is wrong, and with it all others.
    """
    found = of_recipe(recipe, profiles)
    errors = [err for part in (found, *(of_target(recipe, p) for p in profiles)) for _, _, err in part.errors]
    if errors:
        raise together(errors)
    return [note.why for note in found.notes if note.op == "[model] labels"]


def of_recipe(recipe: Recipe, targets: Sequence[Target], *, look_s: float = LOOK_S) -> Early:
    """What holds for every target: names of targets, data, labels, metric."""
    errors: list[tuple[str, str, EdgeflowError]] = []
    notes: list[Finding] = []

    def tried(code: str, op: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except EdgeflowError as err:
            errors.append((code, op, err))
            return None

    tried("P711", "[targets]", lambda: validate_targets(recipe, [target.name for target in targets]))
    raw = tried("P702", "[model] labels", lambda: read_labels(recipe))
    if raw is not None:
        notes += [
            Finding("P703", "warning", "[model] labels", f"{recipe.model.labels}: {doubt}", "see whether it is meant")
            for doubt in doubts_of(raw, text=recipe.labels_are == "dictionary")
        ]
    if recipe.text_input is not None:
        tried("P713", f"[inputs.{recipe.text_input}.tokenize]", lambda: _validate_vocabulary(recipe))
    tried("P705", "[metric]", lambda: _validate_metric(recipe))
    if recipe.model.factory is not None:
        tried("P706", "[model] factory", lambda: validate_function(str(recipe.model.factory), recipe.folder))
    until = time.monotonic() + look_s
    for kind in ("evaluation", "calibration", "training"):
        source = recipe.source(kind)
        if source is None or is_remote(source):
            continue
        settings = recipe.ingest_settings()
        texts = settings.classes if settings.tokenize else None
        wanted = Wanted(recipe.folder, settings.inputs, settings.preprocess, way_of(settings), until, texts)
        found = look(source, wanted, kind)
        errors += [("P701", f"[data] {kind}", err) for err in found.errors]
        notes += _of_pictures(recipe, kind, found)
        if raw is not None and found.classes:
            tried("P701", f"[data] {kind}", partial(_validate_order, found, raw, recipe, kind))
    return Early(tuple(errors), tuple(notes))


def of_target(recipe: Recipe, target: Target) -> Early:
    """What holds for one target: its settings against each other and against its kernels."""
    errors: list[tuple[str, str, EdgeflowError]] = []
    settings = recipe.compress_settings(target)
    try:
        validate_settings(settings, target, target.choose(settings.precision))
    except EdgeflowError as err:
        errors.append(("P710", "[compress]", err))
    try:
        recipe.runtime_context(target)
    except EdgeflowError as err:
        errors.append(("P710", "[targets]", err))
    return Early(tuple(errors), ())


def of_program(recipe: Recipe, target: Target, editor: Editor, keep_on_cpu: Sequence[str] = ()) -> Early:
    """What the program tells besides: names of layers and of ops, and how many classes it has.

    Args:
        editor: of the program that opt would get.
    """
    errors: list[tuple[str, str, EdgeflowError]] = []
    checks: tuple[tuple[str, str, Callable[[], None]], ...] = (
        ("P712", "[compress]", partial(_validate_layers, recipe, target, editor)),
        ("P712", "[convert]", partial(_validate_ops, recipe, target, editor, keep_on_cpu)),
        ("P704", "[model] labels", partial(_validate_classes, recipe, editor)),
    )
    for code, op, check in checks:
        try:
            check()
        except EdgeflowError as err:
            errors.append((code, op, err))
    notes: list[Finding] = []
    for name, rules in recipe.ingest_settings().tokenize.items():
        try:
            notes += _of_embeddings(recipe, editor, name, rules)
        except EdgeflowError as err:
            errors.append(("P714", f"[inputs.{name}.tokenize]", err))
    return Early(tuple(errors), tuple(notes))


def _of_embeddings(recipe: Recipe, editor: Editor, name: str, rules: Tokenize) -> Iterator[Finding]:
    """The vocabulary against the embedding that its ids choose rows of, and the positions against theirs."""
    found, where = embedding_of(editor, name), f"{recipe.folder / rules.vocab}"
    try:
        size = len(tokens_of(read_vocabulary(recipe) or b"", where))
    except EdgeflowError:
        return  # said already
    if found is not None and size > found[1]:
        raise RecipeError(
            f"{where}: has {size} tokens, and the embedding {found[0]} has {found[1]} rows: ids from {found[1]} on "
            "have none",
            try_="the vocabulary that the model was trained with",
        )
    if found is not None and size < found[1]:
        why = f"{rules.vocab} has {size} tokens, and the embedding {found[0]} has {found[1]} rows"
        yield Finding("P714", "warning", f"[inputs.{name}.tokenize]", why, "see whether it is the model's vocabulary")
    places = embedding_of(editor, rules.positions) if rules.positions else None
    if places is not None and rules.max_length > places[1]:
        raise RecipeError(
            f"max_length is {rules.max_length}, and the embedding of positions {places[0]} has {places[1]} rows",
            try_=f"max_length = {places[1]}",
        )


def validate_reference(recipe: Recipe, target: Target, path: Path) -> None:
    """Labels that do not fit the outputs, and a reference that scores too little, end a build before the work.

    Raises:
        RecipeError, DataError: they do not, or it does.
    """
    from edgeflow.project.reference import load_reference
    from edgeflow.verify.scores import held_to_expectation

    settings, lines = recipe.verify_settings(target), read_labels(recipe)
    if settings.metric is None and lines is None:
        return
    reference = load_reference(path)
    if lines is not None:
        first, where = reference.outputs[0], str(recipe.model.labels)
        scores = first.dtype.kind == "f"
        validate_count(lines, first.shape, where, recipe.labels_are, scores=scores)
    held_to_expectation(settings, reference, recipe.folder)


def validate_targets(recipe: Recipe, asked: Sequence[str]) -> None:
    """Hold the names of [targets.NAME] to what there is.

    Raises:
        RecipeError: one is no target.
    """
    for name in recipe.targets:
        if name not in (*names(), *asked):
            raise RecipeError(f"recipe: [targets.{name}] is no target; {near(name, [*names(), *asked], 'targets')}")


def _validate_vocabulary(recipe: Recipe) -> None:
    """The vocabulary can be read, has the special tokens, and the library that cuts texts is there."""
    for rules in recipe.ingest_settings().tokenize.values():
        tokenizer_of(rules, read_vocabulary(recipe) or b"", str(recipe.folder / rules.vocab))


def _validate_metric(recipe: Recipe) -> None:
    if recipe.metric is None:
        return
    name = recipe.metric.name
    if ".py:" in name:
        validate_function(name, recipe.folder)
    if name.partition(":")[0] in EDITED and importlib.util.find_spec("rapidfuzz") is None:
        raise BackendMissing(
            f"rapidfuzz is not installed, which the metric {name} needs", try_="pip install 'edgeflow[metrics]'"
        )


def _of_pictures(recipe: Recipe, kind: str, found: Looked) -> Iterator[Finding]:
    op = f"[data] {kind}"
    if found.rotated:
        of = f"{found.rotated} of {found.seen} pictures have an EXIF orientation, and "
        if recipe.data.exif == "apply":
            yield Finding("P708", "note", op, f"{of}are turned upright", "nothing to do")
        else:
            why = f"{of}are taken as they are stored; cv2 turns them when it reads, PIL does not"
            yield Finding("P708", "warning", op, why, 'exif = "apply" under [data] where the training\'s loader did')
    if found.bad and recipe.data.skip_bad:
        why = f"{found.bad} of {found.seen} pictures cannot be read, and are left out"
        yield Finding("P709", "warning", op, why, "mend them or take them away")
    if found.seen < found.pictures:
        why = f"{found.seen} of {found.pictures} pictures were looked at, for want of time"
        yield Finding("P709", "note", op, why, "nothing to do; a build reads them all")


def _validate_order(found: Looked, raw: bytes, recipe: Recipe, kind: str) -> None:
    """Class folders that are called like the labels stand in their order, or every answer would count as wrong."""
    lines = lines_of(raw)
    if set(found.classes) <= set(lines) and list(found.classes) != [n for n in lines if n in set(found.classes)]:
        raise DataError(
            f"{kind} data: its class folders sort as {', '.join(found.classes[:4])} …, and the lines of "
            f"{recipe.model.labels} stand in another order",
            try_="class folders named by numbers, 0, 1, 2 …, in the order of the labels",
        )
    if set(found.classes) < set(lines):
        raise DataError(
            f"{kind} data: has {len(found.classes)} class folders for the {len(lines)} lines of {recipe.model.labels}, "
            "so that the folders' places are not the classes",
            try_="class folders named by numbers, 0, 1, 2 …, in the order of the labels",
        )


def _validate_layers(recipe: Recipe, target: Target, editor: Editor) -> None:
    """Names of layers in [compress] are weights, outputs or types of ops of the program."""
    settings = recipe.compress_settings(target)
    weights = sorted(editor.parameters or ())
    outputs = {output(op) for op in editor.ops if op.outputs}
    kinds = {op.type for op in editor.ops}
    for key, given in (
        ("keep_float", settings.keep_float),
        ("layer_algo", settings.layer_algo),
        ("prune_skip", settings.prune_skip),
        ("prune_layers", settings.prune_layers),
    ):
        for name in given:
            if name not in weights and name not in outputs and not (key == "keep_float" and name in kinds):
                known = [*weights, *sorted(kinds)] if key == "keep_float" else weights
                raise RecipeError(
                    f"[compress] {key}: {name!r} is no layer of the program; {near(name, known, 'layers')}",
                    try_="edgeflow sensitivity lists them",
                )


def _validate_ops(recipe: Recipe, target: Target, editor: Editor, keep_on_cpu: Sequence[str]) -> None:
    if not target.uses_npu:
        return
    own = recipe.convert_settings(target)
    for line in (*own.keep_on_cpu, *keep_on_cpu):
        validate_line(editor, line)
    for line in own.keep_float:
        validate_line(editor, line, "keep_float")


def _validate_classes(recipe: Recipe, editor: Editor) -> None:
    """Lines of labels, against the first output's shape where the program declares it."""
    if recipe.model.labels is None:
        return
    try:
        raw = read_labels(recipe)
    except EdgeflowError:
        return  # said already
    var = variable(editor.program.blocks[0], fetches(editor.program)[0])
    if raw is None or var is None:
        return
    shape = tuple(var.type.lod_tensor.tensor.dims)
    validate_count(
        raw,
        shape,
        str(recipe.model.labels),
        recipe.labels_are,
        scores=editor.dtype(var.name).startswith("float"),
    )

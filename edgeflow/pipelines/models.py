"""The models of a pipeline, ready to run: Paddle's of the recipes, or the .nb files of a build through the emulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError
from edgeflow.core.metric import Array
from edgeflow.core.text_lines import LineRules
from edgeflow.core.text_page import Model, PageModels, PageRules, TurnRules
from edgeflow.files.temporary import scratch
from edgeflow.pipelines.recipe import Part, PartFile, Pipeline, preprocess_of
from edgeflow.project.label_file import lines_of
from edgeflow.project.recipe import Recipe, read_labels


@dataclass(frozen=True, slots=True)
class NbFile:
    """A .nb of a part, and the width of the lines that it takes, where it takes one alone."""

    part: Part
    path: Path
    width: int | None = None


def rules_of(pipeline: Pipeline, files: Sequence[PartFile]) -> PageRules:
    """What connects the models of one target."""
    table = pipeline.table
    by_part: dict[str, Recipe] = {file.part: file.recipe for file in files}
    recogniser = by_part.get("recogniser")
    raw = None if recogniser is None else read_labels(recogniser)
    steps = None if recogniser is None else preprocess_of(recogniser)
    widths = tuple(file.width for file in files if file.part == "recogniser" and file.width is not None)
    alone = any(table.shape[0] > 0 for file in files for table in file.recipe.inputs.values())
    lines = LineRules()
    if steps is not None:
        width = steps.size[1] if not widths else widths[0]
        most, batch = max(table.width_max, width), 1 if alone else table.batch
        lines = LineRules(steps.size[0], width, most, table.width_step, batch, widths)
    detector, classifier = (by_part.get(part) for part in ("detector", "classifier"))
    return PageRules(
        table.boxes,
        lines,
        () if raw is None else tuple(lines_of(raw)),
        0,
        None if classifier is None else TurnRules(table.turned_min, batch=lines.batch),
        None if detector is None else preprocess_of(detector),
        None if classifier is None else preprocess_of(classifier),
        steps,
    )


def export_model(recipe: Recipe, folder: Path) -> None:
    """Write the program of a part's recipe, whatever gives it, as `folder`/model.pdmodel and .pdiparams.

    Raises:
        ModelError: it cannot be read or exported.
    """
    from edgeflow.flow.plan import read_program
    from edgeflow.graph import parameters
    from edgeflow.graph import program as programs

    program, weights, _ = read_program(recipe, folder)
    programs.save(program, folder / "model.pdmodel")
    parameters.save(program, weights, folder / "model.pdiparams")


@contextmanager
def reference_models(parts: Mapping[Part, Recipe], exported: Mapping[Part, Path]) -> Iterator[PageModels]:
    """The models as they came, in float32 by PaddlePaddle; each takes the sizes that its own program takes.

    Args:
        exported: folders in which `export_model` was before.

    Raises:
        ModelError: a model cannot be read or run.
        BackendMissing: PaddlePaddle is not installed.
    """
    from edgeflow.paddle.session import Program

    with ExitStack() as stack, scratch() as folder:

        def opened(part: Part, recipe: Recipe) -> Model:
            place = exported.get(part)
            if place is None:
                place = folder / part
                place.mkdir()
                export_model(recipe, place)
            return _first(stack.enter_context(Program(place / "model")), part)

        yield _models({(part, None): opened(part, recipe) for part, recipe in parts.items()})


@contextmanager
def nb_models(files: Sequence[NbFile], npu: str, threads: int | None = None) -> Iterator[PageModels]:
    """The .nb files of a build, by the emulator.

    Args:
        npu: arithmetic of NNAdapter subgraphs.

    Raises:
        NbError, UnsupportedOps: a file cannot be run.
    """
    from edgeflow.emulate import Emulator

    with ExitStack() as stack:
        yield _models(
            {
                (file.part, file.width): _first(
                    stack.enter_context(Emulator(file.path, npu=npu, threads=threads)), file.part
                )
                for file in files
            }
        )


def _first(runner: Any, part: Part) -> Model:
    """A runner of one input as a function to its first output."""
    if len(runner.inputs) != 1 or not runner.outputs:
        raise DataError(
            f"{part}: has {len(runner.inputs)} inputs and {len(runner.outputs)} outputs, and should have one"
        )
    name, output = runner.inputs[0].name, runner.outputs[0]

    def infer(array: Array) -> Array:
        found: Array = runner.infer({name: array})[output]
        return found

    return infer


def _models(found: Mapping[tuple[Part, int | None], Model]) -> PageModels:
    by_width = {width: infer for (part, width), infer in found.items() if part == "recogniser"}

    def recognise(lines: Array) -> Array:
        return (by_width.get(lines.shape[3]) or by_width[None])(lines)

    detect, classify = found.get(("detector", None)), found.get(("classifier", None))
    return PageModels(detect, classify, recognise if by_width else None)

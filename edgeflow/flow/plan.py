"""edgeflow plan: what a build will meet, found before any work and without running the model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeflow.compress.buildable import emulation
from edgeflow.core.errors import EdgeflowError, RecipeError, together
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.settings import CompressSettings, IngestSettings, is_synthetic
from edgeflow.core.targets import Target, load_target
from edgeflow.files.temporary import scratch
from edgeflow.flow import early
from edgeflow.flow.cache import Cache
from edgeflow.flow.doctor import diagnose
from edgeflow.flow.foreign import ForeignPaddle
from edgeflow.flow.from_model import looked_at, needs_recipe, write_recipe
from edgeflow.flow.remote_data import elsewhere, glance, here_already
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.borders import Borders, borders
from edgeflow.graph.canonicalise import canonicalise
from edgeflow.graph.counted_boxes import count_boxes
from edgeflow.graph.edit import Editor
from edgeflow.graph.fixed_shapes import fix_shapes, validate_inputs
from edgeflow.graph.legalise import legalise
from edgeflow.graph.legality import examine
from edgeflow.graph.lod import refuse_lod
from edgeflow.graph.output_kinds import output_kinds
from edgeflow.graph.partition import Predicted
from edgeflow.graph.quantised import is_fake, layers
from edgeflow.graph.specialise import specialise
from edgeflow.graph.trained_weights import validate_weights
from edgeflow.ingest.onnx_import import is_onnx
from edgeflow.ingest.paddle_files import PaddleFiles, find_program, read_paddle_files
from edgeflow.nb.lint import Finding
from edgeflow.project.places import CACHE, build_root
from edgeflow.project.recipe import Recipe, asked_targets, load_recipe
from edgeflow.verify.npu_share import Required
from edgeflow.verify.output_kinds import foreseen_kinds

FORMAT = 1
ROOM = 12
"""Times the weights that a build may put on disk: raw and rewritten copies, the quantised one, .nb files,
references.
"""

COMPILERS = {
    "aarch64-linux-gnu": "aarch64-linux-gnu-g++",
    "armhf-linux-gnueabihf": "arm-linux-gnueabihf-g++",
    "host": "c++",
}


@dataclass(frozen=True, slots=True)
class NpuQuestions:
    """What a plan is asked of an NPU: to keep ops off it, to explain its part, and to hold it to a share."""

    keep_on_cpu: tuple[str, ...] = ()
    explain: bool = False
    require: Required | None = None

    @property
    def asks(self) -> bool:
        """The borders have to be known."""
        return self.explain or self.require is not None


NOTHING = NpuQuestions()


@dataclass(frozen=True, slots=True)
class Plan:
    """What one target would make of the model. `buildable` is false where a finding is an error. `borders`: why the
    NPU's part ends where it does, where that was asked.
    """

    target: str
    precision: str
    valid_targets: str
    ops: int
    respelled: dict[str, int]
    split: Predicted | None
    findings: tuple[Finding, ...]
    outputs: tuple[OutputKind, ...] = ()
    borders: Borders | None = None

    @property
    def buildable(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)

    def as_table(self) -> dict[str, Any]:
        """The plan as JSON values (docs/plan.md)."""
        return {"format": FORMAT, "buildable": self.buildable, **asdict(self)}


def plan(
    recipe: Path | str = ".",
    targets: Sequence[str] = (),
    *,
    keep_on_cpu: Sequence[str] = (),
    data: Path | str | None = None,
    npu: NpuQuestions = NOTHING,
) -> list[Plan]:
    """Examine a recipe's model for each target. Nothing is built, and nothing in the recipe's folder is written.

    Args:
        recipe: as for a build; also a model without one.
        data: what a model without recipe would be fed.
        npu: what is asked of targets with an NPU.

    Raises:
        RecipeError, TargetError: the recipe or a profile cannot be read.
        ModelError: the model cannot be read or exported.
    """
    with scratch() as folder, ForeignPaddle(folder) as fenced:
        files = None
        if needs_recipe(Path(recipe)):
            if is_onnx(find_program(Path(recipe)).name):  # it is read in as long as Paddle is imported in
                fenced.expect()
            given = looked_at(Path(recipe), fenced.infer)
            recipe = write_recipe(Path(recipe), folder, None if data is None else Path(data), given)
            files = given.files
        elif data is not None:
            raise RecipeError(f"{recipe}: has a recipe, which names its own data", try_="[data] evaluation, in it")
        loaded = load_recipe(Path(recipe))
        loaded = here_already(loaded, Cache(build_root(loaded.path, None) / CACHE))
        profiles = [load_target(name) for name in asked_targets(loaded, targets)]
        asked = replace(npu, keep_on_cpu=tuple(keep_on_cpu))
        return plan_recipe(loaded, profiles, asked, (folder, fenced), files)


def plan_recipe(
    loaded: Recipe,
    profiles: Sequence[Target],
    npu: NpuQuestions = NOTHING,
    at_work: tuple[Path, ForeignPaddle] | None = None,
    files: PaddleFiles | None = None,
) -> list[Plan]:
    """Examine the model of a recipe that was read already.

    Args:
        at_work: a folder and the Paddle fenced in there, where both are open already; else they are opened.
        files: what the recipe's program was read from, where it was.

    Raises:
        ModelError: the model cannot be read or exported.
    """
    found = early.of_recipe(loaded, profiles)
    known = (*found.findings, *_elsewhere(loaded))
    with ExitStack() as stack:
        if at_work is None:
            inside = stack.enter_context(scratch())
            at_work = inside, stack.enter_context(ForeignPaddle(inside))
        folder, fenced = at_work
        try:
            program, weights, stored = read_program(loaded, folder, files)
        except EdgeflowError as err:
            raise together([err, *(other for _, _, other in found.errors)]) from err
        made = _copy(program)
        foreign = loaded.model.program is not None
        fix_shapes(made, weights, loaded.ingest_settings().inputs, fenced.infer if foreign else _infer)
        legalise(made)
        canonicalise(made, weights, fenced.evaluate if foreign else _evaluate)
        legalise(made)
        held = dict(weights), stored
        return [_plan(loaded, profile, made, held, npu, known) for profile in profiles]


def _elsewhere(recipe: Recipe) -> Iterator[Finding]:
    """What asking tells of data that lies elsewhere; nothing is fetched."""
    for item in elsewhere(recipe):
        try:
            yield Finding("P715", "note", f"[data] {item.kind}", glance(item), "nothing to do")
        except EdgeflowError as err:
            yield Finding("P715", "error", f"[data] {item.kind}", err.what, err.try_)


def _evaluate(*given: Any) -> Any:
    """Of the user's own factory: Paddle has run it in this process already."""
    from edgeflow.paddle.session import evaluate

    return evaluate(*given)


def _infer(program: Any) -> Any:
    from edgeflow.paddle.shapes import inferred_dims

    return inferred_dims(program)


def _copy(program: Any) -> Any:
    return type(program).FromString(program.SerializeToString())


def _suits(files: PaddleFiles, settings: IngestSettings) -> bool:
    """Whether reading the files again would give the same: an ONNX file is translated in the sizes that are fixed."""
    dims = {name: tuple(dims) for name, dims, _ in programs.feeds(files.program)}
    return not is_onnx(str(settings.program)) or all(dims.get(spec.name) == spec.shape for spec in settings.inputs)


def read_program(recipe: Recipe, folder: Path, files: PaddleFiles | None = None) -> tuple[Any, dict[str, Any], int]:
    """The program of a recipe, its weights, and their bytes on disk.

    Args:
        folder: for what a factory exports.
        files: what the recipe's program was read from, where it was.

    Raises:
        ModelError: it cannot be read or exported.
    """
    settings = recipe.ingest_settings()
    if settings.program is not None:
        given = files if files is not None and _suits(files, settings) else None
        if given is None:
            given = read_paddle_files(recipe.folder, settings.program, settings.params, settings.inputs)
        validate_inputs(given.program, settings.inputs, str(recipe.folder / settings.program))
        program, weights = given.program, given.weights
        refuse_lod(program, str(settings.program))
    else:
        from edgeflow.paddle import session as paddle
        from edgeflow.project.functions import files_read, in_folder, load_function
        from edgeflow.project.user_errors import user_lines

        path = folder / "model.pdmodel"
        params = path.with_suffix(".pdiparams")
        with in_folder(recipe.folder), files_read(recipe.folder):
            paddle.seed(settings.seed)
            factory = load_function(str(settings.factory), recipe.folder)
            where = f"model factory {settings.factory}"
            paddle.export(
                factory, settings.inputs, path.with_suffix(""), where, lambda err: user_lines(err, recipe.folder)
            )
        program = programs.load(path)
        weights = parameters.load(program, params) if parameters.names_of(program) else {}
    validate_weights(program, weights, settings.program or settings.factory or "the model")
    count_boxes(program)
    return program, weights, sum(array.nbytes for array in weights.values())


def _plan(
    recipe: Recipe,
    target: Target,
    program: Any,
    held: tuple[dict[str, Any], int],
    npu: NpuQuestions,
    known: Sequence[Finding],
) -> Plan:
    """`held`: the weights and their bytes on disk; `known`: what holds for every target."""
    weights, stored = held
    settings = recipe.compress_settings(target)
    found: list[Finding] = list(known)
    try:
        precision: str = target.choose(settings.precision)
    except EdgeflowError as err:
        precision = str(settings.precision)
        found.append(Finding("P201", "error", "precision", err.what, err.try_))
    else:
        found += early.of_target(recipe, target).findings
    editor = Editor(_copy(program), dict(weights))
    found += early.of_program(recipe, target, editor, npu.keep_on_cpu).findings
    quantised = bool(layers(editor))
    respelled = {} if quantised else specialise(editor, target)
    editor.commit()
    legalise(editor.program)
    editor = Editor(editor.program, editor.parameters)
    asked = (*recipe.convert_settings(target).keep_on_cpu, *npu.keep_on_cpu)
    more, split = examine(editor, target, precision, asked)
    told = borders(editor, target, split, asked) if split is not None and npu.asks else None
    found += [
        *more,
        *_share(npu, told, target),
        *emulation(editor, target),
        *([] if quantised else _data(recipe, settings, precision)),
        *_environment(recipe, target, stored),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    ops = sum(op.type not in ("feed", "fetch") and not is_fake(op.type) for op in editor.ops)
    return Plan(
        target.name,
        precision,
        target.lite.valid_targets,
        ops,
        respelled,
        split,
        tuple(sorted(found, key=lambda f: (order[f.severity], f.code))),
        foreseen_kinds(recipe.output_kinds(output_kinds(program)), recipe.metric),
        told if npu.explain else None,
    )


def _share(npu: NpuQuestions, told: Borders | None, target: Target) -> list[Finding]:
    """What --require-npu asks for and the predicted split does not give."""
    if npu.require is None or (told is None and not target.uses_npu):
        return []
    share = None if told is None else told.ops_share if npu.require.of == "ops" else told.macs_share
    if share is None:
        why = f"the share of {npu.require} is not known: dims are open"
        return [Finding("P404", "warning", "program", why, "fix the shape under [inputs], or --require-npu ops:SHARE")]
    if share >= npu.require.share:
        return []
    best = told.joins[0] if told is not None and told.joins else None
    fix = "--explain says why" if best is None else f"{best.op_type}: {best.how}; --explain says more"
    return [Finding("P404", "error", "program", f"{100 * share:.4g} % of {npu.require}", fix)]


def _data(recipe: Recipe, settings: CompressSettings, precision: str) -> list[Finding]:
    if precision == "int8" and recipe.data.calibration is None:
        return [
            Finding(
                "P204",
                "error",
                "[data]",
                "int8 needs calibration data, and the recipe names none",
                "--data FOLDER with pictures or .npy files like those that the device will see"
                if is_synthetic(recipe.data.evaluation)
                else 'calibration = "data.py:calibration"',
            )
        ]
    return []


def _environment(recipe: Recipe, target: Target, stored: int) -> list[Finding]:
    found = []
    report = diagnose()
    for package, version in report.installed.items():
        if "should be" in version:
            found.append(
                Finding(
                    "P602",
                    "error" if package.startswith("paddlepaddle") else "warning",
                    package,
                    f"is {version}: only these versions are known to fit together",
                    "pip install 'edgeflow[build]'",
                )
            )
    for stage, problem in report.stages.items():
        if problem:
            found.append(
                Finding("P603", "error", stage, problem.partition("; try: ")[0], problem.partition("; try: ")[2])
            )
    with suppress(OSError):
        free = shutil.disk_usage(recipe.folder).free
        if free < ROOM * stored:
            found.append(
                Finding(
                    "P604",
                    "error",
                    "disk",
                    f"{free} bytes are free, and a build may need {ROOM * stored}",
                    "make room, or --build-dir on another disk",
                )
            )
    chain = target.toolchain
    compiler = COMPILERS.get(chain.preset) if chain else None
    if compiler and shutil.which(compiler) is None:
        found.append(
            Finding(
                "P605",
                "note",
                "toolchain",
                f"{compiler} is not installed; only demos for the device need it",
                f"apt install g++-{compiler.removesuffix('-g++')}" if compiler != "c++" else "apt install g++",
            )
        )
    return found

"""A recipe for a model that came without one: `edgeflow init --from`, and builds of a model file or folder.

Everything that the files beside the model say is taken over, each line with where it was read; what the contract
cannot say stands there as a comment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow.core.errors import ModelError, RecipeError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.strict import strict
from edgeflow.core.targets import load_target
from edgeflow.core.tensors import TensorSpec
from edgeflow.files.atomic import write_atomic, write_new
from edgeflow.files.temporary import scratch
from edgeflow.flow.foreign import ForeignPaddle
from edgeflow.graph import program as programs
from edgeflow.graph.fixed_shapes import Infer, fix_shapes
from edgeflow.ingest.deploy_yaml import Described, Fact
from edgeflow.ingest.given_model import GivenModel, is_model, look_at_model
from edgeflow.project.places import BUILD, RECIPE

LABELS = "labels.txt"
OWN = "recipe"
"""In a build folder: the recipe that was made for a model without one."""

SYNTHETIC = "synthetic:4"
NOTHING = "nothing"
"""Begins what `GivenModel.shape_sources` says of sizes that were taken because no file tells them."""

USUAL = ((48, 320), (32, 320), (640, 640), (512, 512), (320, 320))
"""Height and width. Source: PaddleOCR's recognisers since and before version 3, PaddleDetection, PaddleSeg."""

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")


def needs_recipe(path: Path) -> bool:
    """A model was given where a recipe belongs, and no recipe lies with it."""
    return not (path / RECIPE).exists() and path.suffix != ".toml" and is_model(path)


def recipe_or_model(
    path: Path, targets: Sequence[str], data: Path | None, root: Path | None
) -> tuple[Path, Path | None]:
    """A recipe as it is; for a model without one, the recipe that is written into its build folder.

    Args:
        data: pictures, .npz or .npy that a model is fed; None makes inputs from a fixed seed.
        root: the build folder; for a model `build` beside it when None.

    Returns:
        The recipe, and the build folder; None leaves that to the recipe.

    Raises:
        ModelError: the model cannot be read.
        RecipeError: int8 is asked for, which needs data; or data is given beside a recipe.
    """
    if not needs_recipe(path):
        if data is not None:
            raise RecipeError(
                f"{path}: has a recipe, which names its own data", try_="[data] evaluation, in the recipe"
            )
        return path, root
    home = path.resolve() if path.is_dir() else path.resolve().parent
    build = home / BUILD if root is None else root.resolve()
    profiles = [load_target(name) for name in targets]
    if data is None and (int8 := [profile.name for profile in profiles if profile.choose(None) == "int8"]):
        raise RecipeError(
            f"{path}: {', '.join(int8)} computes in int8, whose ranges are set by real inputs, and none are given",
            try_="--data FOLDER with pictures or .npy files like those that the device will see",
        )
    return write_recipe(path, build / OWN, data), build


def write_recipe(path: Path, folder: Path, data: Path | None, given: GivenModel | None = None) -> Path:
    """Write the recipe for a model into a folder, which is returned.

    Args:
        given: the model, where it was looked at before.

    Raises:
        ModelError: the model cannot be read.
    """
    home = path.resolve()
    files = files_for(given or looked_at(path), folder, data, home.name if path.is_dir() else home.stem)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            write_atomic(folder / name, content)
    return folder


def write_project_from(path: Path, folder: Path) -> list[Path]:
    """`edgeflow init --from`: write edgeflow.toml, and labels.txt where the model's folder has labels.

    Raises:
        ModelError: the model cannot be read.
        StorageError: a file exists already, or the folder is not writable.
    """
    home = path.resolve()
    files = files_for(looked_at(path), folder, None, home.name if path.is_dir() else home.stem)
    return write_new(folder, files, "edgeflow init --from MODEL ANOTHER_FOLDER")


def looked_at(path: Path, infer: Infer | None = None) -> GivenModel:
    """The model; a picture of open size, of which nothing is said, in the first usual size that the program takes.

    Args:
        infer: Paddle's dims, behind a fence; a process of its own when None.

    Raises:
        ModelError: the model cannot be read.
    """
    given = look_at_model(path)
    unsaid = [
        spec for spec in given.inputs if len(spec.shape) == 4 and given.shape_sources[spec.name].startswith(NOTHING)
    ]
    if len(unsaid) != 1:
        return given
    if infer is not None:
        return _usual(given, unsaid[0], infer)
    with scratch() as folder, ForeignPaddle(folder) as fenced:
        return _usual(given, unsaid[0], fenced.infer)


def _usual(given: GivenModel, spec: TensorSpec, infer: Infer) -> GivenModel:
    dims = next(dims for name, dims, _ in programs.feeds(given.files.program) if name == spec.name)
    for size in (spec.shape[2:], *USUAL):
        shape = (*spec.shape[:2], *(own if own >= 0 else usual for own, usual in zip(dims[2:], size, strict=True)))
        inputs = tuple(replace(one, shape=shape) if one is spec else one for one in given.inputs)
        program = type(given.files.program).FromString(given.files.program.SerializeToString())
        try:
            fix_shapes(program, dict(given.files.weights), inputs, infer)
        except ModelError:
            continue  # text lines of another height, say
        if shape == spec.shape:
            return given
        said = f"{NOTHING}: open, and {size[0]} x {size[1]} is the first usual size that the program takes"
        return replace(given, inputs=inputs, shape_sources={**given.shape_sources, spec.name: said})
    return given


def files_for(given: GivenModel, folder: Path, data: Path | None, name: str) -> dict[str, bytes]:
    """Names and contents of a project's files."""
    said = given.described
    lines = [
        f"# {RECIPE}, made from {given.program.name}" + (f" and {said.file}" if said.file else ""),
        f"name = {toml_text(said.name or name)}",
        "",
        "[model]",
        f"program = {toml_text(os.path.relpath(given.program.resolve(), folder.resolve()))}",
    ]
    pictures = [spec for spec in given.inputs if len(spec.shape) == 4 and spec.dtype == "float32"]
    image = pictures[0] if len(pictures) == 1 and said.steps else None
    if image is not None:
        said = _in_its_size(image, said)
    if image is not None and (why := _misfit(image, said)):
        image = None
        said = replace(said, left_out=[*said.left_out, why])
    if said.task is not None and image is not None:
        lines.append(f"task = {toml_text(said.task.value)} # {said.task.source}")
    if said.labels and image is not None:
        lines += _labels(given, said)
    for spec in given.inputs:
        lines += _input(spec, given, said if spec is image else None)
    lines += ["", "[data]", *_data(data, folder)]
    maps = image is not None and said.task is not None and said.task.value == "ocr_detect"  # drawn pages have text
    if data is None and not maps:
        for index in given.float_outputs:
            lines += [
                "",
                f"[outputs.{index}]",
                'kind = "tensor" # on synthetic inputs no text, class or box means a thing',
            ]
    notes = [f"# {note}" for note in said.notes]
    left_out = [f"# not taken over: {what}" for what in said.left_out]
    if notes or left_out:
        lines += ["", *notes, *left_out]
    files = {RECIPE: ("\n".join(map(_line, lines)) + "\n").encode()}
    if said.labels and image is not None:
        files[LABELS] = ("\n".join(said.labels) + "\n").encode()
    return files


def _in_its_size(image: TensorSpec, said: Described) -> Described:
    """Lines and pages that fit into any size, in the size of a program that takes one alone; a line's height stays."""
    kind, size = said.steps.get("resize"), said.steps.get("size")
    height, width = image.shape[2:]
    if kind is None or size is None or said.task is None or not said.task.value.startswith("ocr"):
        return said
    page = kind.value == "letterbox_left"
    if (not page and (kind.value != "text_line" or height != size.value[0])) or size.value == [height, width]:
        return said
    return replace(
        said, steps={**said.steps, "size": Fact([height, width], "the program, which takes this size alone")}
    )


def _misfit(image: TensorSpec, said: Described) -> str:
    """Why the pre-processing that a file describes is not that of the program; empty where it is."""
    try:
        steps = strict(Preprocess, {key: fact.value for key, fact in said.steps.items()}, said.file, RecipeError)
        steps.validate(said.file)
    except RecipeError as err:
        return err.what
    made = steps.shape
    if any(-1 not in (a, b) and a != b for a, b in zip(image.shape[1:], made, strict=True)):
        return f"{said.file}: its pre-processing makes {list(made)}, and {image.name} is {list(image.shape[1:])}"
    return ""


def _labels(given: GivenModel, said: Described) -> list[str]:
    if not _ctc(given):
        return [f"labels = {toml_text(LABELS)} # {len(said.labels)} of {said.labels_source}"]
    source = f"{len(said.labels)} of {said.labels_source}; the blank before them is the device's own"
    lines = [f"labels = {toml_text(LABELS)} # {source}"]
    if said.labels[-1] != " " and given.last_width in (None, len(said.labels) + 2):
        lines.append(f"space = true # {said.labels_source}: the decoder that it is for adds one")
    return lines


def _ctc(given: GivenModel) -> bool:
    return given.described.task is not None and given.described.task.value == "ocr_recognise"


def _input(spec: TensorSpec, given: GivenModel, said: Described | None) -> list[str]:
    lines = [
        "",
        f"[inputs.{toml_text(spec.name)}]",
        f"shape = {list(spec.shape)} # from {given.shape_sources[spec.name]}",
        f'dtype = "{spec.dtype}"',
    ]
    if said is not None:
        lines += ["", f"[inputs.{toml_text(spec.name)}.preprocess]"]
        lines += [f"{key} = {_value(fact.value)} # {fact.source}" for key, fact in said.steps.items()]
    return lines


def _data(data: Path | None, folder: Path) -> list[str]:
    if data is None:
        return [
            "# No data came with the model: drift on these inputs says little of real ones, and int8 needs real ones.",
            f'evaluation = "{SYNTHETIC}" # instead: a folder of pictures or .npy, an .npz, or file.py:function',
        ]
    place = toml_text(os.path.relpath(data.resolve(), folder.resolve()))
    return [f"calibration = {place}", f"evaluation = {place}"]


def _value(value: Any) -> str:
    if isinstance(value, str):
        return toml_text(value)
    return f"[{', '.join(map(_value, value))}]" if isinstance(value, list) else repr(value)


def toml_text(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def _line(line: str) -> str:
    """One line whatever a comment quotes."""
    return "".join(c if c.isprintable() else "?" for c in line)

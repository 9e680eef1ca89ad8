"""A model as somebody found it, a file or a folder: its program, its inputs, and what the files beside it say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.errors import ModelError
from edgeflow.core.tensors import PADDLE_DTYPES, TensorSpec
from edgeflow.graph import program as programs
from edgeflow.graph.output_kinds import output_kinds
from edgeflow.ingest.deploy_yaml import Described, read_deploy_yaml
from edgeflow.ingest.onnx_import import is_onnx
from edgeflow.ingest.paddle_files import PaddleFiles, find_program, read_paddle_files

SUFFIXES = (".pdmodel", ".json", ".onnx")
"""Of programs; `__model__` and `model` of older exporters have none."""

BARE = ("__model__", "model")
OPEN_SIDE, OPEN_LENGTH = 224, 32
"""Taken where nothing says how large an open dimension is: of pictures, and of other inputs."""

LENGTHS = (OPEN_LENGTH, 512, 16000)
"""Of other inputs, the first that an ONNX file takes: of text, of a frame of sound, of a second of it at 16 kHz."""

OPEN = "nothing: open,"
"""Begins what is said of a size that nothing tells."""

SIDE_INPUTS = {"im_shape": (1, 2), "scale_factor": (1, 2)}
"""Of PaddleDetection's models, beside the picture."""


@dataclass(frozen=True, slots=True)
class GivenModel:
    """`shape_sources`: of each input, where its sizes come from, in words. `float_outputs`: positions of outputs.
    `last_width`: how many values the last axis of the first output has, of a recogniser its classes; None: not known.
    """

    program: Path
    files: PaddleFiles
    inputs: tuple[TensorSpec, ...]
    shape_sources: dict[str, str]
    described: Described
    float_outputs: tuple[int, ...] = ()
    last_width: int | None = None


def is_model(path: Path) -> bool:
    """A program, or a folder that holds one, and not a recipe."""
    if path.is_dir():
        try:
            return find_program(path) != path
        except ModelError:
            return False
    return path.is_file() and (path.suffix in SUFFIXES or path.name in BARE)


def look_at_model(path: Path) -> GivenModel:
    """Find the program of a file or folder, and what lies beside it.

    Raises:
        ModelError: there is no program or are several, or one of the files cannot be read.
    """
    program = find_program(path)
    described = read_deploy_yaml(program.parent)
    files, own = _files(program, described)
    found = [_sized(spec, described) for spec in own]
    if is_onnx(program.name) and any(said.startswith(OPEN) and len(spec.shape) < 4 for spec, said in found):
        found = _long_enough(program, own, described)
    inputs = [spec for spec, _ in found]
    sources = {spec.name: said for spec, said in found}
    return GivenModel(
        program, files, tuple(inputs), sources, described, _float_outputs(files.program), _last_width(files.program)
    )


def _long_enough(program: Path, own: Sequence[TensorSpec], described: Described) -> list[tuple[TensorSpec, str]]:
    """Inputs with the first length that an ONNX file has a translation in; with the usual one where it has none."""
    for length in LENGTHS:
        found = [_sized(spec, described, length) for spec in own]
        try:
            read_paddle_files(program.parent, program.name, None, [spec for spec, _ in found])
        except ModelError:
            continue
        return found
    return [_sized(spec, described) for spec in own]


def _files(program: Path, described: Described) -> tuple[PaddleFiles, tuple[TensorSpec, ...]]:
    """Program, weights and inputs; an ONNX file that has no translation while dimensions are open, in usual sizes."""
    try:
        files = read_paddle_files(program.parent, program.name, None)
    except ModelError:
        if not is_onnx(program.name):
            raise
        from edgeflow.ingest.onnx_import.translate import inputs_of

        own = inputs_of(program)
        if all(dim >= 0 for spec in own for dim in spec.shape):
            raise
        return read_paddle_files(program.parent, program.name, None, [_sized(spec, described)[0] for spec in own]), own
    feeds = programs.feeds(files.program)
    return files, tuple(TensorSpec(name, dims, PADDLE_DTYPES.get(kind, "float32")) for name, dims, kind in feeds)


def _float_outputs(program: Any) -> tuple[int, ...]:
    """Those that may be taken for plain tensors: boxes differ in number from run to run, and are boxes on any input."""
    boxes = {k for k, kind in enumerate(output_kinds(program)) if kind.kind == "boxes"}
    names = programs.fetches(program)
    held = [programs.variable(program.blocks[0], name) for name in names]
    kinds = [PADDLE_DTYPES.get(var.type.lod_tensor.tensor.data_type, "") if var is not None else "" for var in held]
    return tuple(k for k, kind in enumerate(kinds) if kind.startswith("float") and k not in boxes)


def _last_width(program: Any) -> int | None:
    name = next(iter(programs.fetches(program)), None)
    held = None if name is None else programs.variable(program.blocks[0], name)
    dims = () if held is None else tuple(held.type.lod_tensor.tensor.dims)
    return int(dims[-1]) if dims and dims[-1] > 0 else None


def _sized(spec: TensorSpec, described: Described, length: int = OPEN_LENGTH) -> tuple[TensorSpec, str]:
    """An input with a size for each dimension: the program's own, what the description says, or a usual one."""
    if all(dim >= 0 for dim in spec.shape):
        return spec, "the program"
    dims, source = list(spec.shape), "the program"
    size = (described.steps.get("crop") or described.steps.get("size")) if len(dims) == 4 else None
    if spec.name in SIDE_INPUTS and len(dims) == 2:
        return TensorSpec(spec.name, SIDE_INPUTS[spec.name], spec.dtype), "PaddleDetection's models"
    for axis, dim in enumerate(dims):
        if dim >= 0:
            continue
        if axis == 0:
            dims[axis] = 1
        elif len(dims) == 4:
            place = axis - 2 if dims[1] > 0 else axis - 1
            given = size.value[place] if size is not None and 0 <= place < 2 else None
            dims[axis] = given or OPEN_SIDE
            source = size.source if size is not None and given else f"{OPEN} {OPEN_SIDE} is taken"
        else:
            dims[axis] = length
            source = f"{OPEN} {length} is taken"
    return TensorSpec(spec.name, tuple(dims), spec.dtype), source

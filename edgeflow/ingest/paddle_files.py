"""A Paddle program and its weights, in whichever files an exporter of the last years left them.

One file of weights (`.pdiparams`, `__params__`, `params`) or a file for each (`save_vars`, Paddle 1.x); the program
as `.pdmodel`, `__model__` or `model`, or as the `.json` of Paddle 3, which is translated. A folder stands for what
lies in it.
Source: PaddlePaddle 2.6.2 python/paddle/static/io.py (load_vars) and Paddle 1.8 fluid/io.py (save_inference_model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.core.tensors import TensorSpec
from edgeflow.graph import defaults, parameters
from edgeflow.graph import program as programs
from edgeflow.ingest.onnx_import import is_onnx
from edgeflow.ingest.pir.translate import read_pir

PROGRAMS = ("inference.pdmodel", "model.pdmodel", "__model__", "model", "inference.json", "model.json")
"""What exporters call the program in a folder of their own."""

BESIDE = {"__model__": ("__params__", "params", "weights"), "model": ("params", "__params__", "weights")}
"""What they call the one file of weights beside a program that has no suffix."""


@dataclass(frozen=True, slots=True)
class PaddleFiles:
    """A program, its weights, and the files they were read from."""

    program: Any
    weights: dict[str, Array]
    files: tuple[Path, ...]


def read_paddle_files(folder: Path, program: str, params: str | None, inputs: Sequence[TensorSpec] = ()) -> PaddleFiles:
    """Read what a recipe names under [model] program and params, paths relative to `folder`.

    Args:
        params: a file with all weights, or a folder with a file for each; None looks beside the program.
        inputs: sizes for open dimensions, where a translation of another format needs them.

    Raises:
        ModelError: a file is missing, is damaged, or belongs to another model; where several could be meant, it
            names them.
    """
    path = find_program(folder / program)
    if is_onnx(path.name):
        from edgeflow.ingest.onnx_import.translate import read_onnx

        return PaddleFiles(*read_onnx(path, {spec.name: spec.shape for spec in inputs}))
    loaded = read_pir(path) if path.suffix == ".json" else programs.load(path)
    defaults.fill(loaded)
    if not (names := parameters.names_of(loaded)):
        return PaddleFiles(loaded, {}, (path,))
    stored = folder / params if params else _beside(path, names)
    if stored.is_dir():
        weights = parameters.load_each(loaded, stored)
        return PaddleFiles(loaded, weights, (path, *(stored / name for name in names)))
    if not stored.exists():
        raise ModelError(
            f"{stored}: is missing, and should hold the weights of {path.name}",
            try_='name them under [model]: params = "FILE", or the folder that has a file for each weight',
        )
    return PaddleFiles(loaded, parameters.load(loaded, stored), (path, stored))


def find_program(path: Path) -> Path:
    """The one program that a folder holds; a file stands for itself.

    Raises:
        ModelError: the folder holds none, or several.
    """
    if not path.is_dir():
        return path
    found = [path / name for name in PROGRAMS if (path / name).is_file()]
    found = found or [*sorted(path.glob("*.pdmodel")), *sorted(path.glob("*.onnx"))]
    if len(found) == 1:
        return found[0]
    what = f"holds {', '.join(p.name for p in found)}" if found else f"holds none of {', '.join(PROGRAMS)}"
    raise ModelError(f"{path}: {what}, and should hold one program", try_='[model] program = "FOLDER/FILE"')


def _beside(path: Path, names: list[str]) -> Path:
    """Where the weights of a program lie that says nothing of them."""
    usual = path.with_suffix(".pdiparams")
    files: list[str] = [usual.name, *BESIDE.get(path.name, ())]
    for name in files:
        if (path.parent / name).is_file():
            return path.parent / name
    return path.parent if (path.parent / names[0]).is_file() else usual

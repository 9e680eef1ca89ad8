"""A program that came here quantised: its scales and whole-number weights stay as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeflow.compress.quantise import finish
from edgeflow.core.errors import RecipeError
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.legalise import legalise
from edgeflow.graph.quantised import float_weights, layers, without_fakes

METHOD = "quantised before it came here, by PaddleSlim; its own scales kept"
SETTINGS = ("prune", "prune_layers", "sparsity", "qat", "layer_algo", "bias_correction", "weight_only")


def is_quantised(prefix: Path) -> bool:
    """Some layer of a program computes in int8 already."""
    return bool(layers(Editor(programs.load(prefix.with_suffix(".pdmodel")))))


def keep_int8(prefix: Path, folder: Path, target: Target, settings: CompressSettings) -> tuple[int, int]:
    """Write model, the program as it came, and source and float, the same with its weights as numbers again.

    Returns:
        How many layers are int8, and how many the recipe puts back in float.

    Raises:
        RecipeError: a setting would change what was quantised, or a layer named is not quantised here.
    """
    for key in SETTINGS:
        if getattr(settings, key):
            raise RecipeError(
                f"[compress] {key}: the model is quantised already, and its weights stay as they are",
                try_=f"leave {key} out, or give the float program",
            )
    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    quantised = Editor(program, weights)
    count = len(layers(quantised))
    floats = without_fakes(quantised)
    held = {**weights, **float_weights(quantised)}
    legalise(floats.program)
    for name in ("source", "float"):
        programs.save(floats.program, folder / f"{name}.pdmodel")
        parameters.save(floats.program, held, folder / f"{name}.pdiparams")
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.copyfile(prefix.with_suffix(suffix), (folder / "model").with_suffix(suffix))
    kept = finish(folder / "float", folder / "model", target, settings.keep_float, None)
    return count, kept

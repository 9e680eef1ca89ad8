"""Names and places: what lies in a recipe's folder, and what a build leaves in `build/<target>/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RECIPE = "edgeflow.toml"
LOCK = "edgeflow.lock"
BUILD = "build"
CACHE = ".cache"
OWN = ".recipe"
"""Ends the folder of a recipe with a name of its own, which no target's name does."""
DEVICE = "device"
"""In a recipe's build folder: programs for devices, a folder for each target."""

MODEL = "model.nb"
MANIFEST = "manifest.json"
REFERENCE = "reference.npz"
COMPRESSED = "compressed.npz"
"""Outputs of the compressed program, which int8 files for ARM have to give to the last digits; not of every build."""

REPORT = "report.json"
PAGE = "report.html"
CONTRACT = "contract.json"
PIPELINE = "pipeline.json"
"""In the folder of several models that make one answer: what connects them."""

NO_RECIPES = {
    **dict.fromkeys((".pdmodel", ".onnx", ".json", "__model__"), "a program or what came with one"),
    **dict.fromkeys((".pdiparams", ".pdparams", ".pdopt", "__params__"), "a file of weights"),
    ".nb": "a finished .nb",
    ".npz": "a file of arrays",
}
"""Files that are given where a recipe belongs, by suffix or name."""

REMEDIES = {
    "a program or what came with one": "edgeflow init --from FILE PROJECT, then the same command with PROJECT",
    "a file of weights": "the program beside it: .pdmodel, inference.json or .onnx; a .pdparams needs its Layer too, "
    'in a recipe: [model] factory = "model.py:build"',
    "a finished .nb": "edgeflow verify, inspect or run FILE.nb",
    "a file of arrays": 'name it in a recipe: [data] evaluation = "FILE.npz"',
}


def build_root(recipe: Path, given: Path | str | None = None) -> Path:
    """Where results and the cache of a recipe go: the folder given, or `build` beside the recipe.

    A recipe with a name of its own has a folder of its own there, so that recipes in one folder keep theirs apart.

    Args:
        recipe: the recipe's file.
    """
    if given is not None:
        return Path(given).resolve()
    return recipe.parent / BUILD if recipe.name == RECIPE else recipe.parent / BUILD / f"{recipe.stem}{OWN}"


def recipe_file(path: Path) -> Path:
    """The recipe that a path means: itself, the edgeflow.toml of a folder, or the one that a build came from.

    Of a build: its folder, or a .nb, a manifest or a report in it.
    """
    if path.is_dir():
        own = path / RECIPE
        return own if own.is_file() or not (path / MANIFEST).is_file() else BuildFolder(path).recipe
    if path.suffix == ".nb" or path.name in (MANIFEST, REPORT, CONTRACT):
        return BuildFolder.of(path).recipe
    return path


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """`build/<target>/`: what a build left of one target. `path` may hold less, or may lie anywhere else."""

    path: Path

    @staticmethod
    def of(model: Path) -> BuildFolder:
        """The folder that a .nb, or another of its files, lies in."""
        return BuildFolder(model.parent)

    @property
    def model(self) -> Path:
        return self.path / MODEL

    @property
    def manifest(self) -> Path:
        return self.path / MANIFEST

    @property
    def reference(self) -> Path:
        return self.path / REFERENCE

    @property
    def report(self) -> Path:
        return self.path / REPORT

    @property
    def contract(self) -> Path:
        return self.path / CONTRACT

    @property
    def cache(self) -> Path:
        """The cache of the build that this folder would be a result of."""
        top = self.path.resolve().parent
        return (top.parent if (top / PIPELINE).is_file() else top) / CACHE

    @property
    def recipe_folder(self) -> Path:
        """Where the recipe of this build would lie."""
        return self.recipe.parent

    @property
    def recipe(self) -> Path:
        """The recipe of this build: `build/<target>/` is edgeflow.toml's, `build/NAME.recipe/<target>/` NAME.toml's."""
        top = self.path.resolve().parent
        if top.name.endswith(OWN):
            return top.parent.parent / f"{top.name.removesuffix(OWN)}.toml"
        return top.parent / RECIPE

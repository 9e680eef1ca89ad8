"""Names and places: what lies in a recipe's folder, and what a build leaves in `build/<target>/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RECIPE = "edgeflow.toml"
LOCK = "edgeflow.lock"
BUILD = "build"
CACHE = ".cache"
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


def build_root(recipe_folder: Path, given: Path | str | None = None) -> Path:
    """Where results and the cache of a recipe go: the folder given, or `build` beside the recipe."""
    return recipe_folder / BUILD if given is None else Path(given).resolve()


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
        return self.path.resolve().parent / CACHE

    @property
    def recipe_folder(self) -> Path:
        """Where the recipe of this build would lie: `build/<target>/` is two folders below it."""
        return self.path.resolve().parent.parent

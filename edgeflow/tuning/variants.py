"""Variants of an NPU file with some of its ops on the CPU, made by opt from the program that the file was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgeflow.convert.stage import convert
from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import DataError
from edgeflow.core.settings import ConvertSettings
from edgeflow.core.targets import Target, load_target
from edgeflow.core.versions import code_version, key_of, tool_versions
from edgeflow.emulate.examined import Examined
from edgeflow.files.atomic import sha256
from edgeflow.files.sealed import held_facts
from edgeflow.flow.cache import Cache
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor, output
from edgeflow.graph.placement import matching
from edgeflow.graph.quantised import names_in_opt
from edgeflow.nb.partition import placement
from edgeflow.project.manifest import load_manifest
from edgeflow.project.places import MANIFEST, MODEL, BuildFolder
from edgeflow.verify.recorded import programs_of

STAGE = "bisect"
"""Where the cache of a build keeps variants and what became of them on a device."""


@dataclass(frozen=True, slots=True)
class Movable:
    """An op that the file has on the NPU and that can be moved: the line for the recipe that does it."""

    op_type: str
    line: str


class Variants:
    """What can be made of one build's file, and the cache that keeps it.

    Args:
        model: build/<target>/model.nb, with the manifest beside it and the programs in the build's cache.
        target: the path of the profile, where it is the user's own.

    Raises:
        DataError: the file is not of a build, has no op on an NPU, or what it was made of is gone or makes another.
        TargetError: its profile is not known.
    """

    def __init__(self, model: Path, target: str | None = None, warn: Callable[[str], None] | None = None) -> None:
        self.model = model
        self.manifest = load_manifest(model.parent / MANIFEST)
        self.target: Target = load_target(target or str(self.manifest.get("target")))
        self.cache = Cache(BuildFolder.of(model).cache, warn=warn)
        source = programs_of(model)
        self._source = Artifact(source, held_facts(source))
        self._settings = _settings(self.manifest)

    @cached_property
    def movable(self) -> tuple[Movable, ...]:
        """The NPU's ops in the file's order, those that the recipe's lines can name.

        Raises:
            DataError: there is none.
        """
        source = Editor(programs.load(self._source.folder / "source.pdmodel"))
        inside = Editor(programs.load(self._source.folder / "model.pdmodel"))
        names = {seen: own for own, seen in names_in_opt(inside).items()}
        by_result = {(op.type, output(op)): op for op in source.ops}
        found: dict[str, Movable] = {}
        for op in placement(Examined(self.model).model).npu:
            for written in op.node.op.outputs.values():
                for name in (names.get(name, name) for name in written):
                    line = f"{op.node.op.type}::{name}"
                    if (op.node.op.type, name) in by_result and len(matching(source, line)) == 1:
                        found.setdefault(line, Movable(op.node.op.type, line))
        if not found:
            raise DataError(
                f"{self.model}: has no op on an NPU that could be moved to the CPU",
                try_="edgeflow inspect, which shows where its ops run; edgeflow verify --layers, for drift on the CPU",
            )
        return tuple(found.values())

    def validate(self) -> None:
        """Hold the cache to the file: with nothing moved it has to come out byte for byte.

        Raises:
            DataError: it does not.
        """
        if sha256(self.of(())) != sha256(self.model):
            raise DataError(
                f"{self.model}: the programs in the cache make another file, so its ops cannot be moved one by one",
                try_="edgeflow build, which makes it anew",
            )

    def of(self, moved: Sequence[Movable]) -> Path:
        """The file with these ops on the CPU.

        Raises:
            OptFailed, NbError: opt cannot make it.
        """
        own = self._settings
        lines = tuple(dict.fromkeys((*own.keep_on_cpu, *sorted(item.line for item in moved))))
        settings = ConvertSettings(lines, own.keep_float)
        made_of = key_of(self._source.facts, self._source.folder.name)
        key = key_of(
            STAGE, made_of, self.target.lite, self.target.restrictions, settings, tool_versions(), code_version()
        )
        made = self.cache.make(STAGE, key, lambda folder: convert(self._source, self.target, settings, Tools(folder)))
        return made.folder / MODEL


def _settings(manifest: dict[str, object]) -> ConvertSettings:
    """The lines that the build gave opt, as its manifest records them."""
    try:
        table = manifest["settings"]["convert"]  # type: ignore[index]
        return ConvertSettings(tuple(map(str, table["keep_on_cpu"])), tuple(map(str, table["keep_float"])))
    except (KeyError, TypeError) as err:
        raise DataError(f"{MANIFEST}: key {err} is missing", try_="run edgeflow build again") from err

"""edgeflow.lock: the accepted figures of each target, as TOML beside the recipe; sorted, so that a diff shows what
changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import tomli_w

from edgeflow.core.errors import LockError, near
from edgeflow.core.strict import strict
from edgeflow.core.targets import read_toml
from edgeflow.files.atomic import write_atomic
from edgeflow.project.accepted import Figures, OutputFigures
from edgeflow.project.places import recipe_file

FORMAT = 1
COUNT_MAX = 2**53
"""Bytes, ops and samples beyond this are no figures of a .nb; floats tell no larger ones apart."""
OF_TEXT = ("line_accuracy", "hmean")
"""Metrics of a pipeline's entries, which have no outputs (pipelines/locked.py)."""

HEAD = """\
# What a build of each target may cost. `edgeflow build --locked` holds builds to it, `edgeflow lock` accepts new ones.
"""


@dataclass(frozen=True, slots=True)
class Lock:
    """A whole edgeflow.lock: figures by target."""

    format: int
    targets: Mapping[str, Figures] = field(default_factory=dict)


def lock_path(recipe: Path) -> Path:
    """Where the lock of a recipe, or of a folder with an edgeflow.toml, lies.

    Raises:
        LockError: the recipe's own name ends in .lock, and would be overwritten.
    """
    recipe = recipe_file(recipe)
    if recipe.suffix == ".lock":
        raise LockError(
            f"{recipe}: is a recipe, and its lock would have the same name", try_="rename it to end in .toml"
        )
    return recipe.with_suffix(".lock")


def read_lock(path: Path) -> dict[str, Figures]:
    """Read accepted figures by target; an empty table where there is no file.

    Raises:
        LockError: no TOML, over 1 MiB, of another format, an unknown key, or a figure that no .nb can have.
    """
    if not path.exists():
        return {}
    try:
        found = strict(Lock, read_toml(path, LockError), str(path), LockError)
        if found.format != FORMAT:
            raise LockError(
                f"{path}: format is {found.format}, and should be {FORMAT}", try_="edgeflow lock of a newer edgeflow"
            )
    except ValueError as err:  # a whole number of thousands of digits, which Python will not print
        raise LockError(
            f"{path}: holds a number with too many digits", try_="write it anew: delete it, then edgeflow lock"
        ) from err
    for name, figures in found.targets.items():
        _validate(figures, f"{path} [targets.{name}]")
    return dict(found.targets)


def locked(path: Path, targets: Iterable[str]) -> dict[str, Figures]:
    """The accepted figures of these targets.

    Raises:
        LockError: there is no lock, or it lacks one of them.
    """
    known, wanted = read_lock(path), list(targets)
    lacking = [name for name in wanted if name not in known]
    try_ = "edgeflow lock " + " ".join(f"--target {name}" for name in lacking)
    if not path.exists():
        raise LockError(f"{path}: is missing, so there are no figures to hold the build to", try_=try_)
    if lacking:
        raise LockError(
            f"{path}: has no figures of {', '.join(lacking)}; {near(lacking[0], known, 'it has')}", try_=try_
        )
    return {name: known[name] for name in wanted}


def write_lock(path: Path, figures: Mapping[str, Figures]) -> None:
    """Write accepted figures, whole or not at all.

    Raises:
        StorageError: disk full or folder not writable.
    """
    write_atomic(path, dump(figures))


def dump(figures: Mapping[str, Figures]) -> bytes:
    """The lock's bytes: equal for equal figures, whatever their order."""
    sections = [f"{HEAD}\n{tomli_w.dumps({'format': FORMAT})}"]
    for name in sorted(figures):
        table = asdict(figures[name])
        outputs = table.pop("outputs")
        sections.append(_section(name, table))
        for output in outputs:
            header, _, pairs = _section(name, {"outputs": _given(output)}).partition("\n")
            sections.append(f"[{header}]\n{pairs}")  # a list of tables, never written in one line
    return "\n".join(sections).encode("utf-8", "replace")


def _section(target: str, table: Mapping[str, Any]) -> str:
    return tomli_w.dumps({"targets": {target: _given(table)}})


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are there: TOML has no null."""
    return {key: value for key, value in table.items() if value is not None}


def _validate(figures: Figures, where: str) -> None:
    for one in fields(figures):
        value = getattr(figures, one.name)
        if isinstance(value, int) and not 0 <= value <= COUNT_MAX:
            raise LockError(f"{where}: {one.name} should lie between 0 and {COUNT_MAX}")
        if isinstance(value, float) and not math.isfinite(value):
            raise LockError(f"{where}: {one.name} is {value}, and should be a finite number")
    if (figures.predicted_latency_ms or 0) < 0:
        raise LockError(f"{where}: predicted_latency_ms is {figures.predicted_latency_ms}, and should not be below 0")
    if not figures.outputs and figures.metric not in OF_TEXT:
        raise LockError(f"{where}: has no outputs, and should have one at least")
    for index, output in enumerate(figures.outputs):
        _validate_output(output, f"{where}: outputs[{index}]")


def _validate_output(output: OutputFigures, where: str) -> None:
    if math.isnan(output.sqnr_db):
        raise LockError(f"{where}: sqnr_db is nan, and should be a number, or inf where nothing differs")
    if not -1.001 <= output.cosine <= 1.001:
        raise LockError(f"{where}: cosine is {output.cosine}, and should lie between -1 and 1")
    if not 0 <= output.max_abs < math.inf:
        raise LockError(f"{where}: max_abs is {output.max_abs}, and should be a finite number from 0 on")

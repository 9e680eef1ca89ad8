"""Run a .nb once: inputs from .npy files, outputs and intermediates into .npy files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError, EdgeflowError, near
from edgeflow.core.samples import Array
from edgeflow.core.tensors import named, validate_feed
from edgeflow.deploy.texts import hold_to_vocabulary
from edgeflow.emulate import Emulator
from edgeflow.files.arrays import load_npy, pack_npy
from edgeflow.files.atomic import write_atomic
from edgeflow.files.inside import open_regular
from edgeflow.project.contract import load_contract
from edgeflow.project.manifest import load_manifest
from edgeflow.project.places import BuildFolder

UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
NAME_MAX = 80
TEXT_MAX_BYTES = 1 << 20
OF_AN_OP = ("op", "op_type", "layer")


def parse_inputs(
    pairs: Iterable[str], names: Sequence[str], other: Callable[[str, str], Mapping[str, Array]] | None = None
) -> dict[str, Array]:
    """Read `NAME=FILE` pairs; a single input may leave out its name.

    Args:
        other: makes the inputs of what is no .npy: a picture's path, or a text itself.

    Raises:
        DataError: no such file, no .npy, or a name given twice.
    """
    feed: dict[str, Array] = {}
    for pair in pairs:
        name, file = named(pair, names)
        if not name:
            asked, sign, _ = pair.rpartition("=")
            if len(names) != 1 or (sign and not Path(pair).exists()):
                said = f"{asked!r} is unknown; {near(asked, names, 'the names are')}" if sign else "should be NAME=FILE"
                raise DataError(f"--input {pair!r}: {said}", try_=f"--input {names[0]}=FILE.npy")
            name = names[0]
        if name in feed:
            raise DataError(f"--input {name!r} is given twice")
        if other is not None and Path(file).suffix.lower() != ".npy":
            feed = {**other(name, file), **feed}
        else:
            feed[name] = load_npy(Path(file), file)
    return feed


def held_to_contract(feed: Mapping[str, Array], model: Path) -> None:
    """Hold inputs to what the build declared, where its contract lies beside the file: a .nb itself has no shapes.

    Raises:
        DataError: an input of another shape or dtype, which it should be; or an id that the vocabulary has not.
    """
    try:
        contract = load_contract(BuildFolder.of(model).contract)
    except EdgeflowError:
        return
    if contract.specs.keys() == feed.keys():
        validate_feed(feed, list(contract.specs.values()), "--input")
    if contract.text is not None and contract.text.name in feed:
        hold_to_vocabulary(feed[contract.text.name], model.parent, contract)


def ids_of(path: Path) -> Array:
    """Whole numbers of a text file, parted by blanks, commas or lines, as int64[1, count]: ids of words.

    Raises:
        DataError: missing, too long, or something else stands there.
    """
    try:
        with open_regular(path) as stream:
            words = stream.read(TEXT_MAX_BYTES + 1).decode("utf-8").replace(",", " ").split()
        return np.array([[int(word) for word in words]], np.int64)
    except (OSError, ValueError, OverflowError) as err:
        raise DataError(f"{path}: cannot be read as ids ({err}), and should hold whole numbers") from err


@dataclass(frozen=True, slots=True)
class Written:
    """A tensor of a run and the file it went to; `min` and `max` are of its finite values. Of an intermediate also the
    op that made it, by position and type, and the layer of the source that the op comes from.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    min: float | None
    max: float | None
    nan_count: int
    op: int | None = None
    op_type: str = ""
    layer: str | None = None

    @classmethod
    def of(cls, name: str, array: Array, file: str) -> Written:
        """An output as it was written to `file`, or to none where that is empty."""
        numbers = array.astype(np.float64) if array.size else np.zeros(1)
        good = numbers[np.isfinite(numbers)]
        low, high = (float(good.min()), float(good.max())) if good.size else (None, None)
        return cls(
            name, file, str(array.dtype), array.shape, low, high, int(np.isnan(numbers).sum()) if array.size else 0
        )

    def as_table(self) -> dict[str, Any]:
        """What --json lists: an output has no keys of an op."""
        found = asdict(self)
        return found if self.op is not None else {k: v for k, v in found.items() if k not in OF_AN_OP}

    def __str__(self) -> str:
        low, high = ("-" if end is None else f"{end:.6g}" for end in (self.min, self.max))
        nan = f", {self.nan_count} NaN" if self.nan_count else ""
        place = f"{self.file}: " if self.file else ""
        return f"{place}{self.name} {self.dtype}[{', '.join(map(str, self.shape))}], {low} .. {high}{nan}"


def write_outputs(outputs: Sequence[tuple[str, Array]], folder: Path | None) -> list[Written]:
    """Write out_0.npy, out_1.npy … in the file's order; without a folder only say what they are."""
    written = []
    for index, (name, array) in enumerate(outputs):
        path = "" if folder is None else str(folder / f"out_{index}.npy")
        if path:
            _save(Path(path), array)
        written.append(Written.of(name, array, path))
    return written


def write_dump(runner: Emulator, feed: Mapping[str, Array], model: Path, folder: Path) -> list[Written]:
    """Write every intermediate as NNN_<op>_<layer>@<slot>.npy; without a manifest to map it, as NNN_<op>_<slot>.npy."""
    layers = _layers(model)
    written = []
    for item in runner.dump(feed):
        layer = layers.get(str(item.index), "")
        label = "@".join(UNSAFE.sub("_", name)[:NAME_MAX] for name in (layer, item.variable) if name)
        path = folder / f"{item.index:03d}_{item.op_type}_{label}.npy"
        _save(path, item.array)
        made = Written.of(item.variable, item.array, str(path))
        written.append(replace(made, op=item.index, op_type=item.op_type, layer=layer or None))
    return written


def _layers(model: Path) -> dict[str, str]:
    """Source layer by op position, from the manifest beside the model; empty where there is none."""
    try:
        table = load_manifest(BuildFolder.of(model).manifest)
        return {str(entry["op"]): str(entry["sources"][-1]) for entry in table["layers"]["ops"] if entry["sources"]}
    except (KeyError, TypeError, EdgeflowError):
        return {}


def _save(path: Path, array: Array) -> None:
    write_atomic(path, pack_npy(array))

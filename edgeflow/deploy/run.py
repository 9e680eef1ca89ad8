"""Run a .nb once: inputs from .npy files, outputs and intermediates into .npy files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError, EdgeflowError, near
from edgeflow.core.samples import Array
from edgeflow.core.tensors import TensorSpec, check_feed, named
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


def parse_inputs(
    pairs: Iterable[str], names: Sequence[str], other: Callable[[str, Path], Mapping[str, Array]] | None = None
) -> dict[str, Array]:
    """Read `NAME=FILE` pairs; a single input may leave out its name.

    Args:
        other: makes the inputs of a file that is no .npy, such as a picture.

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
            feed = {**other(name, Path(file)), **feed}
        else:
            feed[name] = load_npy(Path(file), file)
    return feed


def held_to_contract(feed: Mapping[str, Array], model: Path) -> None:
    """Hold inputs to what the build declared, where its contract lies beside the file: a .nb itself has no shapes.

    Raises:
        DataError: an input of another shape or dtype; says what it should be.
    """
    try:
        contract = load_contract(BuildFolder.of(model).contract)
    except EdgeflowError:
        return
    specs = [TensorSpec(spec.name, spec.shape, spec.dtype) for spec in contract.inputs]
    if {spec.name for spec in specs} == set(feed):
        check_feed(feed, specs, "--input")


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


def facts(name: str, array: Array, file: str, **more: Any) -> dict[str, Any]:
    """What --json lists about a tensor."""
    numbers = array.astype(np.float64) if array.size else np.zeros(1)
    good = numbers[np.isfinite(numbers)]
    return {
        "name": name,
        "file": file,
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "min": float(good.min()) if good.size else None,
        "max": float(good.max()) if good.size else None,
        "nan_count": int(np.isnan(numbers).sum()) if array.size else 0,
        **more,
    }


def describe(item: Mapping[str, Any]) -> str:
    """One line a tensor."""
    dims = ", ".join(map(str, item["shape"]))
    low, high = (("-" if item[k] is None else f"{item[k]:.6g}") for k in ("min", "max"))
    nan = f", {item['nan_count']} NaN" if item["nan_count"] else ""
    place = f"{item['file']}: " if item["file"] else ""
    return f"{place}{item['name']} {item['dtype']}[{dims}], {low} .. {high}{nan}"


def write_outputs(outputs: Sequence[tuple[str, Array]], folder: Path | None) -> list[dict[str, Any]]:
    """Write out_0.npy, out_1.npy … in the file's order; without a folder only say what they are."""
    written = []
    for index, (name, array) in enumerate(outputs):
        path = "" if folder is None else str(folder / f"out_{index}.npy")
        if path:
            _save(Path(path), array)
        written.append(facts(name, array, path))
    return written


def write_dump(runner: Emulator, feed: Mapping[str, Array], model: Path, folder: Path) -> list[dict[str, Any]]:
    """Write every intermediate as NNN_<op>_<layer>@<slot>.npy; without a manifest to map it, as NNN_<op>_<slot>.npy."""
    layers = _layers(model)
    written = []
    for item in runner.dump(feed):
        layer = layers.get(str(item.index), "")
        label = "@".join(UNSAFE.sub("_", name)[:NAME_MAX] for name in (layer, item.variable) if name)
        path = folder / f"{item.index:03d}_{item.op_type}_{label}.npy"
        _save(path, item.array)
        written.append(
            facts(item.variable, item.array, str(path), op=item.index, op_type=item.op_type, layer=layer or None)
        )
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

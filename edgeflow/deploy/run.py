"""Run a .nb once: inputs from .npy files, outputs and intermediates into .npy files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError, EdgeflowError, near
from edgeflow.core.samples import Array
from edgeflow.core.tensors import named
from edgeflow.emulate import Emulator
from edgeflow.files.arrays import load_npy, pack_npy
from edgeflow.files.atomic import write_atomic
from edgeflow.project.manifest import load_manifest
from edgeflow.project.places import BuildFolder

UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
NAME_MAX = 80


def parse_inputs(pairs: Iterable[str], names: Sequence[str]) -> dict[str, Array]:
    """Read `NAME=FILE.npy` pairs; a single input may leave out its name.

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
        feed[name] = load_npy(Path(file), file)
    return feed


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
    return f"{item['file']}: {item['name']} {item['dtype']}[{dims}], {low} .. {high}{nan}"


def write_outputs(outputs: Sequence[tuple[str, Array]], folder: Path) -> list[dict[str, Any]]:
    """Write out_0.npy, out_1.npy … in the file's order."""
    written = []
    for index, (name, array) in enumerate(outputs):
        path = folder / f"out_{index}.npy"
        _save(path, array)
        written.append(facts(name, array, str(path)))
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

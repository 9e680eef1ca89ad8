"""Calibration and evaluation data: from a Python callable, an .npz or a folder of .npy, held to the input specs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.arrays import Array, load_npy, load_npz
from edgeflow.core.errors import DataError
from edgeflow.core.functions import load_function
from edgeflow.core.tensors import TensorSpec, check_array, check_names

LABEL = "label"


def load_samples(source: str, folder: Path, inputs: Sequence[TensorSpec], what: str) -> dict[str, Array]:
    """Load samples by input name, [samples, ...], and their `label` where there is one.

    Args:
        source: `file.py:function`, an .npz, or a folder of .npy, relative to `folder`.
        what: `calibration` or `evaluation`, for messages.

    Raises:
        DataError: names, shapes, dtypes or counts do not fit, a value is NaN, or there is no sample.
    """
    where = f"{what} data ({source})"
    arrays = _load(source, folder, where)
    if isinstance(arrays, Iterator):
        arrays = _gathered(arrays, where)
    if not isinstance(arrays, Mapping):
        if len(inputs) != 1:
            raise DataError(f"{where}: is {type(arrays).__name__}, and should be a dict of arrays by input name")
        arrays = {inputs[0].name: arrays}
    samples = {str(name): np.asarray(array) for name, array in arrays.items()}
    check_names([name for name in samples if name != LABEL], [spec.name for spec in inputs], where)
    counts = {name: (len(array) if array.ndim else 0) for name, array in samples.items()}
    if not all(counts.values()):
        raise DataError(f"{where}: holds no sample", try_=f"give at least one sample as {what} data")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise DataError(f"{where}: arrays should have one length: {listed}")
    for spec in inputs:
        check_array(samples[spec.name], spec, where, batch=True)
    return samples


def _gathered(parts: Iterator[Any], where: str) -> Any:
    """One array a name out of batches; what ends early is an error, not a smaller set."""
    found: list[Any] = []
    try:
        found.extend(parts)
    except Exception as err:
        raise DataError(f"{where}: ended early, after {len(found)} batches ({type(err).__name__}: {err})",
                        try_="iterate over it by hand to see the whole traceback") from err
    if not found:
        raise DataError(f"{where}: gave no batch at all", try_="return an iterator that was not used up before")
    if not isinstance(found[0], Mapping):
        return np.concatenate([np.asarray(part) for part in found])
    names = [set(part) for part in found]
    if any(name != names[0] for name in names):
        raise DataError(f"{where}: batches should all hold {', '.join(sorted(map(str, names[0])))}")
    return {name: np.concatenate([np.asarray(part[name]) for part in found]) for name in found[0]}


def _load(source: str, folder: Path, where: str) -> Any:
    path = folder / source
    if ".py:" in source:
        function = load_function(source, folder)
        try:
            return function()
        except (Exception, SystemExit) as err:
            raise DataError(f"{where}: the function failed ({type(err).__name__}: {err})",
                            try_="call it by hand to see the whole traceback") from err
    if path.is_dir():
        return {file.stem: load_npy(file, str(file)) for file in sorted(path.glob("*.npy"))}
    if path.suffix == ".npz":
        return load_npz(path)
    if path.suffix == ".npy":
        return load_npy(path, str(path))
    raise DataError(f"{where}: {path} does not exist or is no .npz, .npy or folder of .npy",
                    try_="name a callable as file.py:function, an .npz, or a folder of .npy files")


def batches(
    samples: Mapping[str, Array], inputs: Sequence[TensorSpec], most: int, *, free: bool = False
) -> list[dict[str, Array]]:
    """Cut samples into feeds: `most` a call where the batch is open, the declared number where it is fixed.

    Args:
        free: take a fixed batch as open.

    Raises:
        DataError: the samples do not make up whole batches of a fixed size.
    """
    count = len(next(iter(samples.values())))
    fixed = inputs[0].shape[0] if inputs and inputs[0].shape and not free else -1
    size = fixed if fixed > 0 else most
    if fixed > 0 and count % fixed:
        raise DataError(f"{count} samples do not make whole batches of {fixed}, the model's fixed batch size",
                        try_=f"give a multiple of {fixed} samples, or declare the first dimension as -1")
    return [{spec.name: samples[spec.name][at:at + size] for spec in inputs} for at in range(0, count, size)]

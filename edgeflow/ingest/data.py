"""Calibration and evaluation data: from a Python callable, an .npz, a folder of .npy or of pictures, held to the
input specs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.samples import LABEL, Array
from edgeflow.core.tensors import TensorSpec, check_array, check_names
from edgeflow.files.arrays import load_npy, load_npz
from edgeflow.ingest.pictures import Picture, are_pictures, folder_of_pictures, make_inputs
from edgeflow.project.functions import load_function


@dataclass(frozen=True, slots=True)
class Samples:
    """Arrays by input name, [samples, ...], and `label` where there is one; of each input made of pictures, a raw
    one.
    """

    arrays: Mapping[str, Array]
    pictures: Mapping[str, Picture] = field(default_factory=dict)


def load_samples(
    source: str,
    folder: Path,
    inputs: Sequence[TensorSpec],
    what: str,
    preprocess: Mapping[str, Preprocess] | None = None,
) -> Samples:
    """Load samples, and make inputs of those that are raw pictures.

    Args:
        source: `file.py:function`, an .npz, a folder of .npy or of pictures, relative to `folder`.
        what: `calibration`, `evaluation` or `training`, for messages.
        preprocess: by input name; what is uint8, or names picture files, is pre-processed, and what is float is done
            already.

    Raises:
        DataError: names, shapes, dtypes or counts do not fit, a value is NaN, a picture is unreadable, or there is no
            sample.
    """
    where = f"{what} data ({source})"
    part = _Part(folder, tuple(inputs), preprocess or {}, where)
    loaded = _load(source, part)
    samples = part.gathered(loaded) if isinstance(loaded, Iterator) else part.named(loaded)
    check_names([name for name in samples.arrays if name != LABEL], [spec.name for spec in inputs], where)
    counts = {name: (len(array) if array.ndim else 0) for name, array in samples.arrays.items()}
    if not all(counts.values()):
        raise DataError(f"{where}: holds no sample", try_=f"give at least one sample as {what} data")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise DataError(f"{where}: arrays should have one length: {listed}")
    for spec in inputs:
        check_array(samples.arrays[spec.name], spec, where, batch=True)
    return samples


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part of the data is held to, the whole of it being one part."""

    folder: Path
    inputs: tuple[TensorSpec, ...]
    preprocess: Mapping[str, Preprocess]
    where: str

    def named(self, part: Any) -> Samples:
        """Arrays by name, pictures made into inputs."""
        if not isinstance(part, Mapping):
            if len(self.inputs) != 1:
                raise DataError(f"{self.where}: is {type(part).__name__}, and should be a dict of arrays by input name")
            part = {self.inputs[0].name: part}
        arrays: dict[str, Array] = {}
        pictures: dict[str, Picture] = {}
        for name, value in part.items():
            steps = self.preprocess.get(str(name))
            if steps is not None and are_pictures(value):
                made = make_inputs(value, steps, self.folder, f"{self.where}: {name!r}")
                arrays[str(name)] = made.inputs
                if made.picture is not None:
                    pictures[str(name)] = made.picture
            else:
                arrays[str(name)] = self._array(name, value)
        return Samples(arrays, pictures)

    def _array(self, name: Any, value: Any) -> Array:
        try:
            return np.asarray(value)
        except ValueError as err:
            raise DataError(
                f"{self.where}: {name!r} holds arrays of several shapes, and should be one array",
                try_=f"[inputs.{name}.preprocess] in the recipe, which makes one size of pictures (uint8)",
            ) from err

    def gathered(self, parts: Iterator[Any]) -> Samples:
        """One array a name out of batches; what ends early is an error, not a smaller set."""
        found: list[Samples] = []
        try:
            for part in parts:
                found.append(self.named(part))  # at once, so that raw pictures need not be kept
        except EdgeflowError:
            raise
        except Exception as err:
            raise DataError(
                f"{self.where}: ended early, after {len(found)} batches ({type(err).__name__}: {err})",
                try_="iterate over it by hand to see the whole traceback",
            ) from err
        if not found:
            raise DataError(
                f"{self.where}: gave no batch at all", try_="return an iterator that was not used up before"
            )
        names = [set(part.arrays) for part in found]
        if any(name != names[0] for name in names):
            raise DataError(f"{self.where}: batches should all hold {', '.join(sorted(names[0]))}")
        joined = {name: np.concatenate([part.arrays[name] for part in found]) for name in found[0].arrays}
        return Samples(joined, found[0].pictures)


def _load(source: str, part: _Part) -> Any:
    path, where = part.folder / source, part.where
    if ".py:" in source:
        function = load_function(source, part.folder)
        try:
            return function()
        except (Exception, SystemExit) as err:
            raise DataError(
                f"{where}: the function failed ({type(err).__name__}: {err})",
                try_="call it by hand to see the whole traceback",
            ) from err
    if path.is_dir():
        arrays = {file.stem: load_npy(file, str(file)) for file in sorted(path.glob("*.npy"))}
        return arrays or _pictures(path, part)
    if path.suffix == ".npz":
        return load_npz(path)
    if path.suffix == ".npy":
        return load_npy(path, str(path))
    raise DataError(
        f"{where}: {path} does not exist or is no .npz, .npy or folder of .npy or pictures",
        try_="name a callable as file.py:function, an .npz, or a folder of .npy files or pictures",
    )


def _pictures(path: Path, part: _Part) -> dict[str, Any]:
    files, classes = folder_of_pictures(path, part.where)
    if len(part.inputs) != 1 or part.inputs[0].name not in part.preprocess:
        raise DataError(
            f"{part.where}: is a folder of pictures, and should feed one input with pre-processing in the recipe",
            try_=f"[inputs.{part.inputs[0].name}.preprocess] with resize, size, scale, mean and std",
        )
    return {part.inputs[0].name: [file.resolve() for file in files], **({} if classes is None else {LABEL: classes})}

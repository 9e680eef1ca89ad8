"""reference.npz: the inputs of a comparison, the reference's outputs for them, and labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.ragged import is_ragged, is_sound
from edgeflow.core.samples import LABEL, Array
from edgeflow.files.arrays import load_npz

NAMES = "names"
NAMES_MAX_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Reference:
    """Inputs, the reference's outputs by position, and labels where there are any; `names`: files of the samples.

    Inputs may be of several sizes (core/ragged.py); outputs that follow them hold zeros beyond their samples.
    """

    inputs: Mapping[str, Array]
    outputs: tuple[Array, ...]
    labels: Array | None
    names: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def ragged(self) -> bool:
        """Samples are of several sizes."""
        return any(map(is_ragged, self.inputs.values()))


def load_reference(path: Path) -> Reference:
    """Read a reference.npz: `input/<name>`, `output/<k>` and, for metrics, `label`.

    Raises:
        DataError: it cannot be read, misses inputs or outputs, or holds NaN. Infinity among the outputs is a number
            that a model may give, such as a mask; among the inputs and labels it is a mistake.
    """
    arrays = load_npz(path)
    inputs = {name.removeprefix("input/"): array for name, array in arrays.items() if name.startswith("input/")}
    count = sum(name.startswith("output/") for name in arrays)
    outputs = [arrays.get(f"output/{k}") for k in range(count)]
    if not inputs or not outputs or any(array is None for array in outputs):
        raise DataError(
            f"{path}: holds {', '.join(sorted(arrays)) or 'nothing'}, and should hold input/<name> and "
            "output/0, output/1, …",
            try_="write it with numpy.savez(file, **{'input/x': x, 'output/0': y})",
        )
    found = tuple(array for array in outputs if array is not None)
    lengths = {len(array) if array.ndim else 0 for array in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError(f"{path}: its inputs hold {sorted(lengths)} samples, and should hold one number above 0")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise DataError(f"{path}: {name} is of dtype {array.dtype}, and should hold numbers")
        if array.dtype.kind != "f":
            continue
        if name.startswith("input/") and is_ragged(array) and is_sound(array):
            continue  # samples of several sizes
        wrong = np.isnan(array) if name.startswith("output/") else ~np.isfinite(array)
        if wrong.any():
            sample = int(np.argwhere(wrong)[0][0]) if array.ndim else 0
            what = "NaN" if name.startswith("output/") else "NaN or infinity"
            raise DataError(f"{path}: {name} holds {what} in sample {sample}, with which nothing can be compared")
    return Reference(inputs, found, arrays.get(LABEL), _names(arrays.get(NAMES), lengths.pop()))


def packed_names(names: Sequence[str]) -> Array:
    """Names of the samples' files as an array of numbers, which is all that a reference holds."""
    return np.frombuffer(json.dumps(list(names), ensure_ascii=False).encode("utf-8", "replace"), np.uint8)


def _names(packed: Array | None, count: int) -> tuple[str, ...]:
    """The names, one a sample; none of what is damaged, since nothing rests on them."""
    if packed is None or packed.dtype != np.uint8 or packed.nbytes > NAMES_MAX_BYTES:
        return ()
    try:
        found = json.loads(packed.tobytes())
    except (ValueError, RecursionError):
        return ()
    fits = isinstance(found, list) and len(found) == count and all(isinstance(name, str) for name in found)
    return tuple(found) if fits else ()

"""What a tensor must look like, and whether an array does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from edgeflow.core.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

DTYPES = ("float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")

PADDLE_DTYPES = {
    0: "bool",
    1: "int16",
    2: "int32",
    3: "int64",
    4: "float16",
    5: "float32",
    6: "float64",
    20: "uint8",
    21: "int8",
}
"""NumPy's names of Paddle's VarType numbers, as weights and attributes such as `dtype` and `out_dtype` carry them.

Source: paddle/fluid/framework/framework.proto, VarType.Type.
"""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype as NumPy writes it, and shape; -1 is a dimension that may have any size."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join('?' if d < 0 else str(d) for d in self.shape)}]"


def named(pair: str, names: Iterable[str]) -> tuple[str, str]:
    """NAME=VALUE as its two parts; a name may hold `=` itself. Without one of `names` before it, the name is empty."""
    known = [name for name in names if pair.startswith(f"{name}=")]
    name = max(known, key=len, default="")
    return (name, pair[len(name) + 1 :]) if known else ("", pair)


def declared_batch(inputs: Iterable[TensorSpec]) -> int:
    """The batch that inputs declare, 0 where it is open."""
    return max((spec.shape[0] for spec in inputs if spec.shape and spec.shape[0] > 0), default=0)


def validate_array(array: npt.NDArray[Any], spec: TensorSpec, where: str, *, batch: bool = False) -> None:
    """Raise DataError unless an array fits its specification.

    Args:
        batch: the first dimension may have any size, whatever the specification says.

    Raises:
        DataError: another dtype or shape, no elements, NaN or infinity.
    """
    import numpy as np

    if str(array.dtype) != spec.dtype:
        raise DataError(
            f"{where}: {spec.name!r} is {array.dtype}, and should be {spec.dtype}",
            try_=f"convert it with .astype('{spec.dtype}')",
        )
    wanted = (-1, *spec.shape[1:]) if batch and spec.shape else spec.shape
    fits = array.ndim == len(wanted) and all(w in (-1, have) for w, have in zip(wanted, array.shape, strict=True))
    if not fits:
        dims = ", ".join("any" if d < 0 else str(d) for d in wanted)
        raise DataError(f"{where}: {spec.name!r} has shape {list(array.shape)}, and should have [{dims}]")
    if array.size == 0:
        raise DataError(f"{where}: {spec.name!r} has shape {list(array.shape)}, which holds no element")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise DataError(
            f"{where}: {spec.name!r} holds {bad} values that are NaN or infinite",
            try_="look at the pre-processing that made these inputs",
        )


def validate_names(given: Iterable[str], wanted: Iterable[str], where: str, also: Iterable[str] = ()) -> None:
    """Raise DataError unless the arrays have the wanted names.

    Args:
        also: names that may be there too, which a near match can mean.

    Raises:
        DataError: names are missing or unknown; both lists are given.
    """
    have, want = list(given), list(wanted)
    missing = [name for name in want if name not in have]
    unknown = [name for name in have if name not in want]
    if missing or unknown:
        parts = []
        if missing:
            parts.append(f"{', '.join(map(repr, missing))} missing")
        if unknown:
            parts.append(f"{', '.join(map(repr, unknown))} unknown")
        raise DataError(
            f"{where}: {' and '.join(parts)}; the names are {', '.join(map(repr, want))}",
            try_="; ".join(f"{name!r} for {other!r}" for other, name in meant(unknown, [*missing, *also]).items()),
        )


MEANT_LABEL = ("labels", "target", "targets", "gt", "y", "class", "classes", "category", "ground_truth", "lbl")
"""What people call the array `label`."""


def meant(unknown: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """The name that each unknown one was probably meant to be; the first one near to it is taken."""
    open_names = list(known)
    found = {}
    for other in unknown:
        plain = {name.lower(): name for name in open_names}
        if "label" in plain and other.lower() in MEANT_LABEL:
            match = "label"
        else:
            match = next(iter(get_close_matches(other.lower(), plain, n=1, cutoff=0.5)), "")
        if match:
            found[other] = plain[match]
            open_names.remove(plain[match])
    return found


def validate_feed(feed: Mapping[str, npt.NDArray[Any]], specs: Iterable[TensorSpec], where: str) -> None:
    """Raise DataError unless all inputs of a model fit their specifications."""
    specs = tuple(specs)
    validate_names(feed, [spec.name for spec in specs], where)
    for spec in specs:
        validate_array(feed[spec.name], spec, where)


def validate_fixed(shapes: Mapping[str, tuple[int, ...]], specs: Iterable[TensorSpec], where: str) -> None:
    """Raise DataError where a shape has another size than a file declares as fixed.

    An NPU's graph is compiled for that size alone: another one crashes, or answers wrongly (Paddle-Lite#10007).

    Raises:
        DataError: a fixed dimension has another size.
    """
    for spec in specs:
        shape = shapes.get(spec.name)
        if shape is None or len(shape) != len(spec.shape):
            continue
        if any(0 <= fixed != have for fixed, have in zip(spec.shape, shape, strict=True)):
            raise DataError(
                f"{where}: {spec.name!r} has fixed dimensions, {list(spec.shape)} in this file, and what is given is "
                f"{list(shape)}",
                try_=f"give {list(spec.shape)}, or build with -1 under [inputs.{spec.name}] for what should stay open",
            )

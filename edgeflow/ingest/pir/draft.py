"""An old op while it is made, constants, and why one cannot be made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeflow.ingest.pir.read import PirType

VALUES_MAX = 1 << 20
"""Of a constant that is written out: larger ones are weights, and lie in the .pdiparams."""


class NoCounterpart(Exception):
    """PaddlePaddle 2.6.2 cannot say what an op does; the text goes on after the op's name."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor whose values the program holds: all of them, or one that fills it."""

    type: PirType
    values: tuple[Any, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.type.dims)

    def flat(self) -> tuple[Any, ...]:
        """All values."""
        if self.size > VALUES_MAX:
            raise NoCounterpart(f"needs a constant of {self.size} values as an attribute")
        return self.values if len(self.values) == self.size else self.values * self.size


@dataclass(slots=True)
class Draft:
    """An op of 2.6.2 before it is written: names by slot, attributes as plain values. `extra` are attributes that an
    export of 2.6.2 wrote beside the registered ones.
    """

    old: str
    inputs: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def of_dtype(values: Sequence[Any], dtype: str) -> tuple[Any, ...]:
    """Numbers as a tensor of a type holds them; PIR writes whole numbers as floats."""
    if dtype == "bool":
        return tuple(bool(value) for value in values)
    if "int" in dtype:
        if any(value is None or value != value or math.isinf(value) for value in values):
            raise NoCounterpart(f"fills {dtype} with what is no whole number")
        return tuple(int(value) for value in values)
    if any(value is None for value in values):
        raise NoCounterpart("holds an infinite constant whose sign its file has lost; export with PaddlePaddle 3.3.1")
    return tuple(float(value) for value in values)

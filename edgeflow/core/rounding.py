"""Numbers rounded: measured ones to as many digits as mean something, those of int8 as the runtimes round."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


def half_away(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The nearest whole numbers; halves go away from zero, as C's round has them."""
    return np.asarray(np.trunc(array + np.copysign(0.5, array)))


def steady(value: T) -> T:
    """The same with 12 digits: the order of long sums, which depends on where arrays lie in memory, shows in the last
    ones.
    """
    found: T = _leaves(
        value, lambda item: float(f"{item:.12g}") if isinstance(item, float) and math.isfinite(item) else item
    )
    return found


def _leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    """A function of every value inside dataclasses, mappings and lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _leaves(getattr(value, field.name), function) for field in fields(value)})
    if isinstance(value, Mapping):
        return {key: _leaves(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_leaves(item, function) for item in value)
    return function(value)

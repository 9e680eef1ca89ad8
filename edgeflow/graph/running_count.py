"""Positions that leave padding out, counted by a product: NPUs have no running sum, and every one has products."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeflow.graph.edit import Speller, attr_of
from edgeflow.graph.program import input_of

COUNTED_MAX = 2048
"""Half precision, in which NPUs may compute, holds every whole number up to here."""


def running_count(s: Speller, op: Any, x: str) -> str | None:
    """The running sum of what is 0 or 1, as positions that leave padding out have it: times a triangle of ones."""
    dims, maker = s.dims(x), s.editor.producer(x)
    plain = not any(attr_of(op, key, False) for key in ("flatten", "exclusive", "reverse"))
    if (
        not plain
        or maker is None
        or maker.type != "cast"
        or s.editor.dtype(input_of(maker, "X")) != "bool"
        or len(dims) != 2
        or int(attr_of(op, "axis", -1)) % 2 != 1
        or not 0 < dims[1] <= COUNTED_MAX
    ):
        return None
    ones = s.values(np.triu(np.ones((dims[1], dims[1]), np.float32)))
    return s.cast(s.matmul(s.cast(input_of(maker, "X"), "float32"), ones, dims=dims), s.editor.dtype(x))

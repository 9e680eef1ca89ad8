"""How large a constant may be that is made from a program's dims and attributes alone."""

from __future__ import annotations

import math

MADE_MAX = 1 << 24
"""Elements: a program of a few hundred bytes may ask for any size, and a real one asks for thousands."""


def can_make(*dims: int) -> bool:
    """A constant of these dims may be made."""
    return min(dims, default=0) >= 0 and math.prod(dims) <= MADE_MAX

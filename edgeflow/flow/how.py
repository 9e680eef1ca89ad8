"""How a build goes about its work; what comes out is the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class How:
    """How a build goes about it. `fresh`: make everything anew; what is made takes the place of what was kept. `jobs`:
    targets at once at most; None: as many as cores. `layers`: look at drift layer by layer.
    """

    fresh: bool = False
    jobs: int | None = None
    layers: bool = True

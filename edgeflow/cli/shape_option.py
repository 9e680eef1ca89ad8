"""The option --shape NAME=1,3,224,224."""

from __future__ import annotations

from collections.abc import Iterable

from edgeflow.core.errors import DataError


def parse_shapes(pairs: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by input name.

    Raises:
        DataError: not NAME=numbers, or a dimension below 1.
    """
    found = {}
    for pair in pairs:
        name, _, text = pair.rpartition("=")  # a name may hold one too
        try:
            dims = tuple(int(part) for part in text.split(","))
        except ValueError:
            dims = ()
        if not name or not dims or min(dims) < 1:
            raise DataError(f"--shape {pair!r}: should be a name and positive numbers, such as image=1,3,224,224")
        found[name] = dims
    return found

"""JSON that a stranger wrote: bounded, and whatever is wrong with it one kind of error."""

from __future__ import annotations

import json
from typing import Any

from edgeflow.core.errors import DataError


def parse_json(data: bytes | str, where: str) -> Any:
    """What a JSON document holds, whose size the caller has bounded.

    Raises:
        DataError: no UTF-8, no JSON, NaN and the like, numbers or nesting beyond what Python reads.
    """
    try:
        return json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError) as err:
        raise DataError(f"{where}: cannot be read as JSON ({err})") from err


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")

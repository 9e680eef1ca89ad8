"""The shape of a spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeflow.graph.edit import Speller

Spelling = Callable[[Speller, Any, str], "str | None"]
"""(speller, op, name of its first input) -> name of the result, or None where this op cannot be spelled."""

"""What goes from stage to stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder of results, and the facts about them that later stages and the manifest need (JSON values only)."""

    folder: Path
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a stage works with: an empty folder to fill, which appears under its final name when the stage is done,
    somebody to tell how long work goes on, and the key of what is made: the same when a killed build is started
    again. `fence` is called before a program from elsewhere runs; in a worker it ends writing outside the cache."""

    folder: Path
    say: Callable[[str], None] = print
    key: str = ""
    fence: Callable[[], object] = bool

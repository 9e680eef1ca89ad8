"""What stages cost in time and memory: recorded for the next build, and how many targets go at once by it."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeflow.core.errors import EdgeflowError
from edgeflow.core.memory import Watched, available, watched
from edgeflow.files.atomic import write_atomic

COSTS_MAX_BYTES = 1 << 20
SHARE = 0.8
"""Of the memory that is free, what targets that go at once may take together."""

STOPPED = "the build was stopped"
SMALL_BYTES = 4 << 20
"""A model with fewer bytes of weights and samples than this does not wait for a measurement."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took when it was last made: wall time, and the peak memory of edgeflow's processes together while it
    ran, those of other targets that ran beside it included. `growth_bytes`: what it added to the memory there was.
    """

    seconds: float
    peak_bytes: int | None = None
    growth_bytes: int | None = None


class Costs:
    """Costs by target and stage, kept in a file beside the cache; a file that cannot be read holds none."""

    def __init__(self, path: Path) -> None:
        self._path, self._guard = path, threading.Lock()
        self._found: dict[str, dict[str, Cost]] = {}
        self._new: set[tuple[str, str]] = set()
        with suppress(OSError, ValueError, TypeError, AttributeError):
            if path.stat().st_size <= COSTS_MAX_BYTES:
                for target, stages in json.loads(path.read_text(encoding="utf-8")).items():
                    self._found[target] = {stage: _cost(table) for stage, table in stages.items()}

    def known(self, target: str, stage: str) -> Cost | None:
        """What it took when it was last made."""
        with self._guard:
            return self._found.get(target, {}).get(stage)

    def of(self, target: str) -> dict[str, Cost]:
        """The stages of a target that were made since this record was opened."""
        with self._guard:
            found = self._found.get(target, {})
            return {stage: cost for stage, cost in found.items() if (target, stage) in self._new}

    @contextmanager
    def taken(self, target: str, stage: str) -> Iterator[None]:
        """Record what the block takes; not where it fails."""
        since = time.monotonic()
        with watched() as memory:
            yield
        peak, growth = (None, None) if memory is None else (memory.peak, memory.growth)
        with self._guard:
            self._new.add((target, stage))
            self._found.setdefault(target, {})[stage] = Cost(round(time.monotonic() - since, 2), peak, growth)

    def save(self) -> None:
        """Write it down for the next build; not where nothing can be written."""
        with self._guard:
            tables = {name: {stage: asdict(c) for stage, c in stages.items()} for name, stages in self._found.items()}
        with suppress(EdgeflowError, OSError):
            if self._new:
                write_atomic(self._path, json.dumps(tables, indent=1, sort_keys=True).encode())


def is_small(ingested: Path) -> bool:
    """A verification cannot take much memory: the weights and samples of this result of stage 1 are small."""
    return sum(path.stat().st_size for path in ingested.glob("*") if path.is_file()) < SMALL_BYTES


def _cost(table: dict[str, object]) -> Cost:
    def number(key: str) -> float | None:
        value = table.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            return None
        return value

    peak, growth = number("peak_bytes"), number("growth_bytes")
    return Cost(number("seconds") or 0.0, *(None if value is None else int(value) for value in (peak, growth)))


class Turns:
    """Lets so many targets verify at once as `jobs` and memory allow.

    What one takes is measured: by the first, which runs alone, or in an earlier build. Only small models, whose
    activations fit many times over, do not wait for that.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs, self._changed = jobs, threading.Condition()
        self._running: list[int] = []
        self._free: int | None = None
        self._measured: int | None = None
        self._is_closed = False

    def close(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @contextmanager
    def turn(self, known: int | None, *, small: bool) -> Iterator[None]:
        """Wait for room, and hold it while the block runs.

        Args:
            known: what this one took in an earlier build, in bytes.
            small: it needs no measurement.

        Raises:
            EdgeflowError: it was closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._fits(known, small=small))
            if self._is_closed:
                raise EdgeflowError(STOPPED)
            alone = not self._running
            if alone:
                self._free = available()
            need = 0 if small else known or self._measured or 0
            self._running.append(need)
            among = len(self._running)
        taken: Watched | None = None
        try:
            with watched() as taken:
                yield
        finally:
            with self._changed:
                self._running.remove(need)
                if taken is not None and alone and among == 1:
                    self._measured = max(self._measured or 0, taken.growth)
                self._changed.notify_all()

    def _fits(self, known: int | None, *, small: bool) -> bool:
        if not self._running:
            return True
        if len(self._running) >= self._jobs:
            return False
        if small or self._free is None:
            return True
        need = known or self._measured
        return need is not None and sum(self._running) + need <= SHARE * self._free

"""Progress on stderr: one line a stage, with a spinner and seconds where a person watches."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from edgeflow.cli.printing import clear_progress, write_progress

SPINNER = "|/-\\"
TOLD_EVERY_S = 10.0
"""How often a log, which nobody watches, is told how far long work is."""


class Progress:
    """Tell of stages as they start and end; safe to call from several threads."""

    def __init__(self) -> None:
        self._started: dict[tuple[str, str], float] = {}
        self._far: dict[tuple[str, str], str] = {}
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._watcher: threading.Thread | None = None
        self._live, self._told = sys.stderr.isatty(), time.monotonic()

    def __enter__(self) -> Progress:
        if self._live:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            clear_progress()

    def say(self, target: str, stage: str, what: str) -> None:
        """Called by the flow; `what` is `start`, `done`, `kept`, `note: ...`, or how far long work is."""
        with self._lock:
            if what.startswith("note: "):
                write_progress(f"edgeflow: {what}", clear=self._live)
                return
            if what not in ("start", "done", "kept"):
                self._far[target, stage] = what
                if not self._live and time.monotonic() - self._told >= TOLD_EVERY_S:
                    self._told = time.monotonic()
                    write_progress(f"{target:<18} {stage:<9} {what}")
                return
            self._far.pop((target, stage), None)
            if what == "start":
                self._started[target, stage] = time.monotonic()
                return
            since = self._started.pop((target, stage), None)
            took = "    kept" if since is None else f"{time.monotonic() - since:6.1f} s"
            if what == "kept" and since is not None:
                took = f"    kept: its code ran again, {took.strip()}, and gave the same"
            write_progress(f"{target:<18} {stage:<9} {took}", clear=self._live)

    def _watch(self) -> None:
        turn = 0
        while not self._stop.wait(0.1):
            with self._lock:
                now = time.monotonic()
                active = ", ".join(
                    f"{target} {stage} {self._far.get((target, stage)) or f'{now - since:.0f} s'}"
                    for (target, stage), since in self._started.items()
                )
                if active:
                    write_progress(f"{SPINNER[turn % 4]} {active}"[:117], clear=True, stay=True)
            turn += 1

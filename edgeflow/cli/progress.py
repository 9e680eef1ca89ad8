"""Progress on stderr: one line a stage, with a spinner and seconds where a person watches."""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from edgeflow.cli.language import tr
from edgeflow.cli.printing import clear_progress, write_progress
from edgeflow.core.progress import listening

SPINNER = "|/-\\"
TOLD_EVERY_S = 10.0
"""How often a log, which nobody watches, is told how far long work is."""


COUNTED = re.compile(r"\b(\d{1,9}) of (\d{1,9})\b")
SHOWN_AFTER_S = 0.3


def readable(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show that a command is at work, and how far it is, until it is done; nothing of it stays on the terminal."""
    with Progress() as progress:
        progress.say("", what, "start")
        with listening(lambda k, n, steps: progress.say("", what, f"{steps} {k} of {n}")):
            yield


class Progress:
    """Tell of stages as they start and end; safe to call from several threads."""

    def __init__(self) -> None:
        self._started: dict[tuple[str, str], float] = {}
        self._far: dict[tuple[str, str], str] = {}
        self._counted: dict[tuple[str, str, str], tuple[float, int]] = {}
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
                what = self._far[target, stage] = self._with_rest(target, stage, what)
                if not self._live and time.monotonic() - self._told >= TOLD_EVERY_S:
                    self._told = time.monotonic()
                    write_progress(f"{target:<18} {stage:<9} {what}".strip())
                return
            self._far.pop((target, stage), None)
            if what == "start":
                self._started[target, stage] = time.monotonic()
                return
            since = self._started.pop((target, stage), None)
            took = f"    {tr('kept')}" if since is None else f"{time.monotonic() - since:6.1f} s"
            if what == "kept" and since is not None:
                took = "    " + tr("kept: its code ran again, {took}, and gave the same").format(took=took.strip())
            write_progress(f"{target:<18} {stage:<9} {took}", clear=self._live)

    def _with_rest(self, target: str, stage: str, what: str) -> str:
        """What is counted, `… 3 of 12 …`, with the time that the rest will take at the pace so far."""
        found = COUNTED.search(what)
        if found is None:
            return what
        done, count = int(found[1]), int(found[2])
        kind = what[: found.start()] + found[2]
        now = time.monotonic()
        since, first = self._counted.setdefault((target, stage, kind), (now, done))
        if done < first:
            self._counted[target, stage, kind] = (now, done)
        if done <= first or now - since < 1:
            return what
        rest = (now - since) / (done - first) * (count - done)
        return f"{what}, {tr('{time} left').format(time=readable(rest))}"

    def _watch(self) -> None:
        turn, width = 0, shutil.get_terminal_size().columns
        while not self._stop.wait(0.1):
            with self._lock:
                now = time.monotonic()
                active = ", ".join(
                    f"{target} {stage} {self._far.get((target, stage)) or f'{now - since:.0f} s'}"
                    for (target, stage), since in self._started.items()
                    if now - since > SHOWN_AFTER_S
                )
                if active:
                    write_progress(f"{SPINNER[turn % 4]} {active}"[: width - 2], clear=True, stay=True)
            turn += 1

"""Progress on stderr: a line for each stage that is done, and where a person watches a live one for each target."""

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
from edgeflow.cli.printing import MANNER, clear_progress, draw_progress, write_progress
from edgeflow.core.progress import listening

SPINNER = "|/-\\"
SILENT_S = 5.0
"""A log, which nobody watches, is told how far long work is after so long a silence; each time the next may be twice
as long, up to SILENT_MAX_S.
"""
SILENT_MAX_S = 60.0
LOOK_S = 0.1
BAR = 20
"""Columns of a bar."""
LINES_MAX = 16
"""Live lines at most; of more targets the others are counted."""

EXPECTED = re.compile(r"about (\d+(?:\.\d+)?) s, as before")

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
        self._expected: dict[tuple[str, str], float] = {}
        self._live, self._told, self._silence = sys.stderr.isatty(), time.monotonic(), SILENT_S

    def __enter__(self) -> Progress:
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        if self._live:
            clear_progress()

    def say(self, target: str, stage: str, what: str) -> None:
        """Called by the flow; `what` is as flow.build.Say has it."""
        with self._lock:
            if what.startswith("note: "):
                write_progress(f"edgeflow: {what}", clear=self._live)
                return
            if what.startswith("log: "):
                if MANNER.verbose:
                    self._write(f"{target:<18} {stage:<9} {what}".strip())
                return
            if (expected := EXPECTED.fullmatch(what)) is not None:
                self._expected[target, stage] = float(expected[1])
                return
            if what not in ("start", "done", "kept"):
                self._far[target, stage] = self._with_rest(target, stage, what)
                return
            self._far.pop((target, stage), None)
            if what == "start":
                self._started[target, stage] = time.monotonic()
                return
            since = self._started.pop((target, stage), None)
            self._expected.pop((target, stage), None)
            took = f"    {tr('kept')}" if since is None else f"{time.monotonic() - since:6.1f} s"
            if what == "kept" and since is not None:
                took = "    " + tr("kept: its code ran again, {took}, and gave the same").format(took=took.strip())
            self._write(f"{target:<18} {stage:<9} {took}")
            self._silence = SILENT_S

    def _write(self, line: str) -> None:
        self._told = time.monotonic()
        write_progress(line, clear=self._live)

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
        turn = 0
        while not self._stop.wait(LOOK_S):
            self._look(SPINNER[turn % 4])
            turn += 1

    def _look(self, spinner: str) -> None:
        """Draw what is at work, or tell a log of it after a silence."""
        with self._lock:
            now = time.monotonic()
            active = [key for key, since in self._started.items() if now - since > SHOWN_AFTER_S]
            if self._live and active:
                self._draw(active, spinner, now)
            elif active and now - self._told >= self._silence:
                for key in active:
                    self._write(self._line(key, now))
                self._silence = min(2 * self._silence, SILENT_MAX_S)

    def _draw(self, active: list[tuple[str, str]], spinner: str, now: float) -> None:
        width = shutil.get_terminal_size().columns
        lines = [f"{spinner} {self._line(key, now, bar=True)}"[: width - 1] for key in active[:LINES_MAX]]
        if len(active) > LINES_MAX:
            lines.append(f"  + {len(active) - LINES_MAX}")
        draw_progress(lines)

    def _line(self, key: tuple[str, str], now: float, *, bar: bool = False) -> str:
        """A target, its stage, how far it is, and how long the rest will take by its own pace or an earlier build."""
        target, stage = key
        took, far, expected = now - self._started[key], self._far.get(key, ""), self._expected.get(key)
        share = None
        if (found := COUNTED.search(far)) is not None and int(found[2]):
            share = int(found[1]) / int(found[2])
        elif expected:
            share = min(took / expected, 0.99)
        parts = [f"{took:.0f} s", *([far] if far else [])]
        if expected and expected > took and found is None:
            parts.append(tr("{time} left").format(time=readable(expected - took)))
        drawn = "" if share is None or not bar else f"[{'#' * int(share * BAR):<{BAR}}] "
        return f"{target:<18} {stage:<9} {drawn}{', '.join(parts)}".strip()

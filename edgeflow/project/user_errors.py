"""Errors of a user's own code, shown as the user wrote it: the lines of the user's files, and the whole message."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

OURS = str(Path(__file__).resolve().parents[1]) + os.sep
FRAMES = 4
"""The last so many lines of the user's files: where it failed, and how it came there."""
FRAME = re.compile(r'File "([^"]+)", line (\d+), in (.+)')
ERROR = re.compile(r"[A-Z]\w*(Error|Exception|Warning)\b")
LINES = 24
LINE_MAX = 300


def user_lines(err: BaseException, folder: Path) -> tuple[str, ...]:
    """The last frames of a traceback that lie below a folder, then the message.

    Paddle's messages have many lines: its own C++ frames are left out, what it says of shapes and types stays.
    """
    home = os.path.realpath(folder) + os.sep
    shown: list[str] = []
    for frame in _frames(err):
        path = os.path.realpath(frame.filename)
        if path.startswith(home) and not frame.filename.startswith("<"):
            shown.append(
                f"{path.removeprefix(home)}, line {frame.lineno}, in {frame.name}: {(frame.line or '').strip()}"
            )
    if isinstance(err, SyntaxError) and err.filename:
        name = os.path.realpath(err.filename).removeprefix(home)
        shown.append(f"{name}, line {err.lineno}: {(err.text or '').strip()}")
    return (*(line[:LINE_MAX] for line in shown[-FRAMES:]), *_message(err, home))


def _is_own(path: str, home: str) -> bool:
    """A file of the user: below the folder, and in no environment of packages that lies there too."""
    return path.startswith(home) and "site-packages" not in path and not path.startswith(OURS)


def _frames(err: BaseException) -> list[traceback.FrameSummary]:
    """Of the error, and of the one that it was raised from, which came first."""
    found: list[traceback.FrameSummary] = []
    seen: set[int] = set()
    at: BaseException | None = err
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        found = [*traceback.extract_tb(at.__traceback__), *found]
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return found


def _message(err: BaseException, home: str) -> list[str]:
    """The message, without the frames that Paddle writes into it where they are not of the user's files."""
    kept: list[str] = []
    frame = ""  # "foreign" or "own" within a frame that the message quotes
    for line in (line.strip() for line in str(err).splitlines()):
        quoted = FRAME.match(line)
        if quoted:
            frame = "own" if _is_own(os.path.realpath(quoted[1]), home) else "foreign"
            if frame == "own":
                kept.append(f"{os.path.realpath(quoted[1]).removeprefix(home)}, line {quoted[2]}, in {quoted[3]}:")
        elif ERROR.match(line):
            frame = ""
        elif frame == "own" and line.endswith("<--- HERE"):
            frame = "foreign"  # the lines after it did not run
            continue
        if not quoted and frame != "foreign" and set(line) - set("-=^~ "):
            kept.append(line)
    first, *rest = kept or [""]
    shown = [f"{type(err).__name__}: {first}".rstrip(": "), *rest]
    if len(shown) > LINES:
        shown = [*shown[: LINES // 2], "...", *shown[-LINES // 2 :]]
    return [line[:LINE_MAX] for line in shown]

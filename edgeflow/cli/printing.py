"""The one place that writes to the terminal: what a file or a folder brought along is shown, never obeyed.

A name in a .nb may hold terminal escapes, direction marks and line breaks. Every line is made visible on its own here,
so that none of them moves the cursor, recolours, reorders or forges a line.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgeflow.cli.language import told, tr
from edgeflow.core.errors import EdgeflowError

ACTS = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories that a terminal obeys or that change what stands beside them: controls, direction marks, lone
surrogates (bytes that are no UTF-8), line and paragraph separators.
"""


def visible(text: object) -> str:
    """A text as one line, its control and direction characters as escapes such as \\x1b."""
    line = str(text)
    if line.isascii() and line.isprintable():
        return line
    return "".join(_escape(c) if unicodedata.category(c) in ACTS else c for c in line)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


@dataclass
class Manner:
    """How this run of the command line speaks, by its options: see cli/main.py."""

    colour: bool = True
    quiet: bool = False
    verbose: bool = False


MANNER = Manner()
PAINTED = re.compile(
    r"(?P<red>\bFAIL\b|\bbroken\b|\berror:|\bcannot be built\b|^edgeflow:|不成立:|错误:|不能构建)"
    r"|(?P<yellow>\bINCONCLUSIVE\b|\bNOT JUDGED\b|\bwarning:|\bundecided\b|未决:|警告:)"
    r"|(?P<green>\bPASS\b|\bcan be built\b|可以构建)"
    r"|(?P<cyan>^ *(?:try|fix|可以尝试|修复):)"
)
"""Words that say how something stands, by the colour they get on a terminal; the Chinese ones are the catalogue's."""
SGR = {"red": 31, "yellow": 33, "green": 32, "cyan": 36}


def painted(line: str, *, err: bool) -> str:
    """A line that was made visible, with its telling words in colour where a terminal shows it.

    NO_COLOR (https://no-color.org), --no-color and TERM=dumb leave it as it is.
    """
    stream = sys.stderr if err else sys.stdout
    if not MANNER.colour or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return line
    return PAINTED.sub(lambda found: f"\x1b[{SGR[str(found.lastgroup)]}m{found[0]}\x1b[0m", line)


def from_here(path: Path) -> str:
    """A path as the person at the terminal would write it: from the current folder where it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def show(*lines: object, err: bool = False) -> None:
    """Print lines; a line break inside one is shown as \\n.

    Args:
        err: on stderr.
    """
    if err and MANNER.quiet:
        return
    click.echo("\n".join(painted(visible(line), err=err) for line in lines), err=err)


def show_page(text: str) -> None:
    """Print a text that edgeflow laid out itself: its line breaks are its own, and all else in it is made visible."""
    show(*text.split("\n"))


def say(text: str) -> None:
    """One line of progress, on stderr."""
    show(text, err=True)


def show_json(value: Any) -> None:
    """Print JSON, which is ASCII: whatever acts stands there as an escape."""
    click.echo(json.dumps(value, indent=1))


def show_error(err: EdgeflowError) -> None:
    """What went wrong in one line, what shows it, and what to do about it; the same of all that was found with it."""
    remedy = [f"  {tr('try')}: {told(here(err.try_))}"] if err.try_ else []
    lines = [f"edgeflow: {told(err.what)}", *(f"    {line}" for line in err.lines), *remedy]
    if MANNER.verbose:
        lines += [f"    | {line}" for text in traceback.format_exception(err) for line in text.rstrip().split("\n")]
    click.echo("\n".join(painted(visible(line), err=True) for line in lines), err=True)
    for other in err.also:
        show_error(other)


def here(remedy: str) -> str:
    """A remedy as this installation needs it: a clone is set up by its own script, not by pip."""
    clone = Path(__file__).resolve().parents[2]
    if (clone / "scripts" / "setup").is_file() and (clone / "pyproject.toml").is_file():
        return INSTALL.sub("scripts/setup", remedy)
    return remedy


INSTALL = re.compile(r"pip install '(?:edgeflow|\.)\[[a-z,-]+\]'(?: \(Python 3\.10\))?")


def write_progress(text: str, *, clear: bool = False) -> None:
    """Write a line of progress; nothing with --quiet.

    Args:
        clear: take the place of the live lines that stand there.
    """
    if MANNER.quiet:
        return
    sys.stderr.write(f"{_cleared() if clear else ''}{visible(text)}\n")
    sys.stderr.flush()


def draw_progress(lines: Sequence[str]) -> None:
    """Write live lines in the place of those that stand there; nothing with --quiet."""
    if MANNER.quiet:
        return
    sys.stderr.write(_cleared() + "\n".join(map(visible, lines)))
    sys.stderr.flush()
    _drawn[:] = [len(lines)]


def clear_progress() -> None:
    """Take away the live lines that stand there."""
    if MANNER.quiet:
        return
    sys.stderr.write(_cleared())
    sys.stderr.flush()


def _cleared() -> str:
    """What brings the cursor back to the first of the live lines, with nothing below it."""
    up = max(_drawn[0] - 1, 0)
    _drawn[:] = [0]
    return f"\r\x1b[{up}A\x1b[J" if up else "\r\x1b[K"


_drawn = [0]
"""How many live lines stand on the terminal."""

"""--help in the language of the person at the terminal, wrapped by the columns that letters take."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

import click

from edgeflow.cli.language import told
from edgeflow.cli.tables import blanks, columns

_ENGLISH: dict[click.Command | click.Parameter, str] = {}
"""What the code says: a command lives longer than one call, and the next call may be in the other language."""

NAMES_MAX = 30
"""Columns of names beside which a text begins; longer ones stand on a line of their own. As click has it."""


def speak(command: click.Command) -> None:
    """Give a command, its options, and the commands below it, their help in the language that is asked for now."""
    paragraphs = inspect.cleandoc(_ENGLISH.setdefault(command, command.help or "")).split("\n\n")
    command.help = "\n\n".join(map(_said, paragraphs))
    for option in command.params:
        if isinstance(option, click.Option) and option.help:  # an argument has none
            option.help = told(_ENGLISH.setdefault(option, option.help))
    command.context_class = Spoken
    if isinstance(command, click.Group):
        for below in getattr(command, "commands", {}).values():
            speak(below)


def _said(paragraph: str) -> str:
    if paragraph.startswith("\b"):
        return paragraph
    line = " ".join(paragraph.split())
    return paragraph if (said := told(line)) == line else said


class Formatter(click.HelpFormatter):
    """Click's, but for texts with wide letters, which have no blanks to be broken at."""

    def write_text(self, text: str) -> None:
        """Paragraphs at the indent that is set; one that begins with \\b keeps its lines."""
        if text.isascii():
            super().write_text(text)
            return
        room = max(self.width - self.current_indent, 11)
        for number, paragraph in enumerate(text.split("\n\n")):
            kept = paragraph.startswith("\b\n")
            lines = paragraph.split("\n")[1:] if kept else wrapped(" ".join(paragraph.split()), room)
            self.write("\n" if number else "")
            for line in lines:
                self.write(f"{' ' * self.current_indent}{line}\n")

    def write_heading(self, heading: str) -> None:
        """Options, Commands."""
        super().write_heading(told(heading))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = NAMES_MAX, col_spacing: int = 2) -> None:
        """Names, and what they mean beside them."""
        rows = [(name, told(text)) for name, text in rows]  # --help itself is click's
        if all(text.isascii() for _, text in rows):
            super().write_dl(rows, col_max, col_spacing)
            return
        first = min(max(columns(name) for name, _ in rows), col_max) + col_spacing
        margin = " " * self.current_indent
        for name, text in rows:
            lines = wrapped(text, max(self.width - first - 2 - self.current_indent, 10)) or [""]
            if columns(name) <= first - col_spacing:
                self.write(f"{margin}{name}{blanks(name, first)}{lines.pop(0)}\n")
            else:
                self.write(f"{margin}{name}\n")
            for line in lines:
                self.write(f"{margin}{' ' * first}{line}\n")


class Spoken(click.Context):
    """A call whose help is wrapped so."""

    formatter_class = Formatter


def wrapped(text: str, room: int) -> list[str]:
    """Lines of at most `room` columns: broken at blanks and between wide letters, not before a mark that closes."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and columns(line + piece.rstrip()) > room:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, *([line.rstrip()] if line.strip() else [])]


CLOSING, OPENING = "，。；：、）？！”", "（“"


def _pieces(text: str) -> Iterator[str]:
    """What stays on one line: a word with its blank, or a wide letter with the marks that close it."""
    piece = ""
    for letter, following in zip(text, [*text[1:], " "], strict=True):
        piece += letter
        if following in CLOSING or letter in OPENING:
            continue
        if letter == " " or columns(letter) > 1 or columns(following) > 1:
            yield piece
            piece = ""
    if piece:
        yield piece

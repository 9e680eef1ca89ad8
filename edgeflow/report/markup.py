"""The few pieces of HTML that the page's sections share; everything from a report passes through `safe` or `code`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from edgeflow.report.values import plain, sentence

Cell = tuple[str, str] | str
"""A cell's markup, or its markup and the value it sorts by."""


def safe(value: Any) -> str:
    """A text of the report, escaped."""
    return escape(sentence(value), quote=True)


def code(value: Any) -> str:
    """A name, escaped; long ones may break anywhere."""
    return f"<code>{escape(plain(value), quote=True)}</code>"


def badge(text: str, kind: str) -> str:
    """A short word on a coloured ground."""
    return f"<span class='badge {kind}'>{escape(text)}</span>"


def section(key: str, title: str, body: str) -> str:
    """One part of the page with its heading."""
    return f"<section id={key} aria-labelledby=h-{key}><h2 id=h-{key}>{title}</h2>{body}</section>"


def bullets(texts: Iterable[str]) -> str:
    """A list of markup."""
    inside = "".join(f"<li>{text}</li>" for text in texts)
    return f"<ul>{inside}</ul>" if inside else ""


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], foot: Sequence[str] = ()) -> str:
    """A captioned table whose first column heads its rows and which scrolls sideways by itself where it is too wide."""
    top = "".join(f"<th scope=col>{cell}" for cell in head)
    body = "".join(f"<tr><th scope=row>{row[0]}" + "".join(f"<td>{cell}" for cell in row[1:]) for row in rows)
    last = (
        f"<tfoot><tr><th scope=row>{foot[0]}" + "".join(f"<td>{cell}" for cell in foot[1:]) + "</tfoot>" if foot else ""
    )
    return (
        f"<div class=scroll role=region tabindex=0 aria-label='{escape(caption, quote=True)}'>"
        f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</thead><tbody>{body}</tbody>{last}</table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and their values; those without a value are left out."""
    inside = "".join(f"<div><dt>{escape(name)}<dd>{value}</div>" for name, value in pairs if value)
    return f"<dl>{inside}</dl>" if inside else ""

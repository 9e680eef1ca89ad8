"""Values of a report as text: nothing in a report is trusted, everything in it may be null or missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NAME_LENGTH_MAX = 300
"""Characters of a name that are shown: names come from files and may be megabytes long."""

SENTENCE_LENGTH_MAX = 2000


def plain(value: Any, length_max: int = NAME_LENGTH_MAX) -> str:
    """One printable line: control characters, surrogates and text-direction marks appear as escapes, never as
    themselves.
    """
    text = "" if value is None else str(value)
    cut = text[:length_max] + ("…" if len(text) > length_max else "")
    return "".join(
        ch if ch.isprintable() else " " if ch in "\n\t\r" else ch.encode("unicode_escape").decode() for ch in cut
    )


def sentence(value: Any) -> str:
    """A longer text of the report, with the same care; an ASCII arrow becomes one."""
    return plain(value, SENTENCE_LENGTH_MAX).replace("->", "→")


def real(value: Any) -> float | None:
    """A number, also one of the strings that stand for infinity and NaN; None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # a whole number of hundreds of digits
            return math.inf if value > 0 else -math.inf
    return float(value) if value in ("inf", "-inf", "nan") else None


def finite(value: Any) -> float | None:
    """A number that a chart can draw."""
    found = real(value)
    return found if found is not None and math.isfinite(found) else None


def figure(value: Any, digits: int = 4) -> str:
    """A measured number; a dash where there is none."""
    found = real(value)
    if found is None:
        return "–"
    if math.isnan(found):
        return "NaN"
    return f"{found:.{digits}g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "−")


def signed(value: Any, digits: int = 4) -> str:
    """A change, with its sign also when it is positive."""
    found = real(value)
    return ("+" if found is not None and found > 0 else "") + figure(value, digits)


def percent(value: Any) -> str:
    """A share between 0 and 1 as a person reads it."""
    found = real(value)
    return "–" if found is None else f"{figure(found * 100, 3)} %"


def items(report: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects in a list of the report; anything else in it is left out."""
    found = report.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def texts(report: Mapping[str, Any], key: str) -> list[str]:
    """The sentences in a list of the report."""
    found = report.get(key)
    return [sentence(item) for item in found] if isinstance(found, (list, tuple)) else []


def part(report: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object within the report; an empty one where it is null or missing."""
    found = report.get(key)
    return found if isinstance(found, Mapping) else {}


def pair(value: Any) -> tuple[float, float] | None:
    """Two finite numbers, such as a range."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else (low, high)


def count(number: int, noun: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{figure(number) if abs(number) >= 10**15 else format(number, ',')} {noun}{'' if number == 1 else 's'}"

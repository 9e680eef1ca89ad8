"""Values of a record as text: nothing in it is trusted, everything in it may be missing."""

from __future__ import annotations

import math

NAME_LENGTH_MAX = 300
"""Characters of a name that are shown: names come from files and may be megabytes long."""

SENTENCE_LENGTH_MAX = 2000


def plain(value: object, length_max: int = NAME_LENGTH_MAX) -> str:
    """One printable line: control characters, surrogates and text-direction marks appear as escapes, never as
    themselves.
    """
    text = "" if value is None else str(value)
    cut = text[:length_max] + ("…" if len(text) > length_max else "")
    return "".join(
        ch if ch.isprintable() else " " if ch in "\n\t\r" else ch.encode("unicode_escape").decode() for ch in cut
    )


def sentence(value: object) -> str:
    """A longer text of the report, with the same care; an ASCII arrow becomes one."""
    return plain(value, SENTENCE_LENGTH_MAX).replace("->", "→")


def real(value: object) -> float | None:
    """A number, also one of the strings that stand for infinity and NaN; None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # a whole number of hundreds of digits
            return math.inf if value > 0 else -math.inf
    return float(value) if value in ("inf", "-inf", "nan") else None


def finite(value: object) -> float | None:
    """A number that a chart can draw."""
    found = real(value)
    return found if found is not None and math.isfinite(found) else None


def figure(value: object, digits: int = 4) -> str:
    """A measured number; a dash where there is none."""
    found = real(value)
    if found is None:
        return "–"
    if math.isnan(found):
        return "NaN"
    return f"{found + 0.0:.{digits}g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "−")


def signed(value: object, digits: int = 4) -> str:
    """A change, with its sign also when it is positive."""
    found = real(value)
    return ("+" if found is not None and found > 0 else "") + figure(value, digits)


def lost_or_gained(drop: float) -> str:
    """What a metric lost, or gained, in words."""
    return "no loss" if drop == 0 else f"{'gain' if drop < 0 else 'loss'} {figure(abs(drop), 3)}"


def percent(value: object) -> str:
    """A share between 0 and 1 as a person reads it."""
    found = real(value)
    return "–" if found is None else f"{figure(found * 100, 3)} %"


def count(number: int, noun: str, nouns: str = "") -> str:
    """`1 layer`, `2 layers`; `nouns` where the plural has no plain s."""
    shown = figure(number) if abs(number) >= 10**15 else format(number, ",")
    return f"{shown} {noun if number == 1 else nouns or noun + 's'}"

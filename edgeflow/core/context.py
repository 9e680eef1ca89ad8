"""NNAdapter's context properties: KEY=VALUE;KEY=VALUE, held to what a target's driver knows.

The runtime aborts on an empty value and passes over a key that the driver does not know, without a word.
Source: Paddle-Lite v2.13-rc lite/backends/nnadapter/nnadapter/src/utility/utility.cc, GetKeyValues;
driver/*/engine.cc.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from edgeflow.core.errors import EdgeflowError, RecipeError, near
from edgeflow.core.targets import ContextProperty, Target

FORMS = {
    "word": (r"[\w.+-]{1,128}", "a word"),
    "words": (r"[\w.+-]{1,64}(,[\w.+-]{1,64}){0,31}", "words with commas between"),
    "number": (r"-?\d{1,12}(\.\d{1,9})?", "a number"),
    "numbers": (r"\d{1,9}(,\d{1,9}){0,31}", "numbers with commas between"),
    "path": (r"/?[\w.+@-]{1,64}(/[\w.+@-]{1,64}){0,15}", "a path on the device"),
}


def told(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """What a target's profile says, overridden by what is given, in the order of the keys.

    Raises:
        RecipeError: a key that the driver does not know, or a value that it cannot have.
    """
    found = {**target.runtime.told, **given}
    validate_context(target, found, f"[targets.{target.name}.context]", RecipeError)
    return dict(sorted(found.items()))


def spelled(found: Mapping[str, str]) -> str:
    """As set_nnadapter_context_properties takes it."""
    return ";".join(f"{key}={value}" for key, value in found.items())


def parsed(text: str) -> dict[str, str]:
    """What `spelled` wrote."""
    return {key: value for key, _, value in (pair.partition("=") for pair in text.split(";")) if key}


def pairs(given: Sequence[str], error: type[EdgeflowError]) -> dict[str, str]:
    """KEY=VALUE of a command line.

    Raises:
        error: one of them is none.
    """
    found = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not (key and equals and value):
            raise error(f"--context {item!r}: should be KEY=VALUE", try_="edgeflow targets NAME, which lists the keys")
        found[key] = value
    return found


def validate_context(target: Target, found: Mapping[str, str], where: str, error: type[EdgeflowError]) -> None:
    """Hold properties to a target's driver.

    Raises:
        error: see told.
    """
    known = target.runtime.context
    for key, value in found.items():
        if key not in known:
            hint = near(key, known, "keys") if known else "its driver takes none"
            raise error(
                f"{where}: {key!r} is no property of {target.name}, and the runtime would pass over it; {hint}",
                try_=f"edgeflow targets {target.name}, which lists the keys with their meanings",
            )
        if (wanted := _unlike(value, known[key])) is not None:
            raise error(f"{where}: {key} is {value[:80]!r}, and should be {wanted} ({known[key].meaning})")


def _unlike(value: str, known: ContextProperty) -> str | None:
    """What a value should be, where it is not that."""
    if known.values:
        return None if value in known.values else f"one of {', '.join(known.values)}"
    form, words = FORMS[known.kind]
    return None if re.fullmatch(form, value, re.ASCII) else words

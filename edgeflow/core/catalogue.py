"""The one catalogue of Chinese messages, `locale/zh_CN/LC_MESSAGES/edgeflow.po`, in gettext's form.

The command line (cli/language.py) and the report page (report/bilingual.py) read the `.mo` that `scripts/catalogue`
makes of it. Messages of the context `sentence` are whole sentences that the stages put together in English, as
patterns: `{...}` stands for a figure or a name, which is kept, or for another sentence or word, which is put into
Chinese too.
"""

from __future__ import annotations

import gettext
import re
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).with_name("locale")
LENGTH_MAX = 2000
"""Characters of a sentence that is looked up; longer ones come from no stage."""

FIELD = re.compile(r"\{(\w+)\}")
CONTEXT = "sentence"

DEPTH_MAX = 4
"""Sentences within fields of sentences."""


@cache
def catalogue() -> gettext.NullTranslations:
    """All messages; English stays where the file is missing."""
    return gettext.translation("edgeflow", LOCALE, ["zh_CN"], fallback=True)


def chinese(text: str) -> str:
    """A message in Chinese; the text itself where the catalogue has none."""
    return catalogue().gettext(text) if text else text


def sentence_in_chinese(text: str, depth: int = 0) -> str:
    """A sentence that a stage put together; its English where no pattern of the catalogue fits."""
    if text.isspace() or len(text) > LENGTH_MAX:
        return text
    for known in (catalogue().pgettext(CONTEXT, text), chinese(text)):
        if known != text:
            return known
    if depth > DEPTH_MAX:
        return text
    for literals, names, said in _patterns():
        fields = _match(text, literals, names)
        if fields is not None:
            own = {name: sentence_in_chinese(value, depth + 1) for name, value in fields.items()}
            if own != fields or any(part.strip(" .:->") for part in literals):  # punctuation alone says nothing
                return said.format(**own)
    return text


@cache
def _patterns() -> tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...]:
    """Messages with fields, as what is fixed and what lies between; those that fix most come first."""
    read = getattr(catalogue(), "_catalog", {})
    found = []
    for key, said in read.items():
        context, _, message = key.partition("\x04") if isinstance(key, str) else ("", "", "")
        parts = FIELD.split(message)
        if context == CONTEXT and len(parts) > 1:
            found.append((tuple(parts[::2]), tuple(parts[1::2]), said))
    return tuple(sorted(found, key=lambda item: (-sum(map(len, item[0])), item[0])))


def _match(text: str, literals: tuple[str, ...], names: tuple[str, ...]) -> dict[str, str] | None:
    """What stands in each field, each as short as it can be; None where the text is another one.

    No regular expression: texts come from files, and one with several fields can be made to search for hours.
    """
    if not text.startswith(literals[0]) or not text.endswith(literals[-1]):
        return None
    at, end = len(literals[0]), len(text) - len(literals[-1])
    fields: dict[str, str] = {}
    for name, literal in zip(names[:-1], literals[1:-1], strict=True):
        stop = text.find(literal, at + 1, end)
        if stop < 0 or fields.setdefault(name, text[at:stop]) != text[at:stop]:
            return None
        at = stop + len(literal)
    if at >= end or fields.setdefault(names[-1], text[at:end]) != text[at:end]:
        return None
    return fields

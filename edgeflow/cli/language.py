"""The language of what the command line says: English, or Chinese where the locale asks for it.

The messages stand in the one catalogue (core/catalogue.py). JSON and error messages of the stages are English
everywhere; sentences of the stages are put into Chinese where the catalogue holds their pattern.
"""

from __future__ import annotations

import gettext
import os
import sys
from functools import lru_cache

from edgeflow.core.catalogue import catalogue, sentence_in_chinese

SIMPLIFIED = ("zh", "zh_CN", "zh_SG", "zh_Hans", "zh_Hans_CN")
"""Locales that are served with the one catalogue; those that write traditional characters stay English."""


def tr(text: str) -> str:
    """A message in the language of the person at the terminal; `text` is a literal that the catalogue holds."""
    return _asked().gettext(text)


def told(sentence: str) -> str:
    """A sentence that a stage put together, in the language of the person at the terminal."""
    return sentence_in_chinese(sentence) if _asked() is catalogue() else sentence


def _asked() -> gettext.NullTranslations:
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    return _catalogue(*(os.environ.get(name, "") for name in names), _writable())


def _writable() -> bool:
    """Whether stdout and stderr can write Chinese at all."""
    for stream in (sys.stdout, sys.stderr):
        try:
            "\u4e2d".encode(getattr(stream, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            return False
    return True


@lru_cache(maxsize=8)
def _catalogue(language: str, lc_all: str, lc_messages: str, lang: str, writable: bool) -> gettext.NullTranslations:
    """The messages of the first language that is asked for and known.

    LANGUAGE counts before the others, except where the locale is C. Source: GNU gettext 0.21, "Specifying a Priority
    List of Languages".
    """
    own = (lc_all or lc_messages or lang).partition(".")[0].partition("@")[0]
    if writable and own not in ("", "C", "POSIX"):
        for asked in (*language.split(":"), own):
            name = asked.partition(".")[0].partition("@")[0]
            if name.startswith("en"):
                break
            if name in SIMPLIFIED:
                return catalogue()
    return gettext.NullTranslations()

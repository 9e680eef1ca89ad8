"""Texts of the page in English and Chinese at once: the same file whoever makes it, and its reader switches.

A text becomes `<span data-zh="...">English</span>`; script.js swaps the two, at first by the reader's own language. The
Chinese comes from the one catalogue (core/catalogue.py); without one the text stays English alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from edgeflow.core.catalogue import chinese, sentence_in_chinese
from edgeflow.report.values import sentence


@dataclass(frozen=True, slots=True)
class Both:
    """A text in both languages, neither escaped; as markup it is a span, as text it is the English."""

    english: str
    chinese: str

    def __html__(self) -> str:
        return f"<span{self.attribute('')}>{escape(self.english)}</span>" if self.chinese else escape(self.english)

    def __str__(self) -> str:
        return self.english

    def __bool__(self) -> bool:
        return bool(self.english)

    def attribute(self, name: str) -> str:
        """As an attribute of that name, and the one that its Chinese waits in; '' gives that one alone."""
        own = f' {name}="{escape(self.english)}"' if name else ""
        dash = "-" if name else ""
        return f'{own} data-zh{dash}{name}="{escape(self.chinese)}"' if self.chinese else own


def t(text: str, **fields: object) -> Both:
    """A message of the catalogue, with its fields; a field that is in both languages itself keeps them apart."""
    own = chinese(text)
    english = text.format(**{name: _side(value, "english") for name, value in fields.items()})
    return Both(english, "" if own == text else own.format(**{k: _side(v, "chinese") for k, v in fields.items()}))


def told(value: object) -> Both:
    """A sentence that a stage put together, which may come from a file: cleaned, and in Chinese where it is known."""
    text = sentence(value)
    own = sentence(sentence_in_chinese("" if value is None else str(value)))
    return Both(text, "" if own == text else own)


def joined(*parts: object, by: str = "") -> Both:
    """Texts one after another; plain strings are the same in both languages."""
    given = [part for part in parts if str(part)]
    english, own = (by.join(_side(part, side) for part in given) for side in ("english", "chinese"))
    return Both(english, "" if own == english else own)


def _side(value: object, side: str) -> str:
    if isinstance(value, Both):
        return value.english if side == "english" or not value.chinese else value.chinese
    return sentence(value)

"""Texts as data: strings of a function, or a file of one text a line, made into inputs by the recipe's tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.samples import LABEL, Array
from edgeflow.core.tensors import TensorSpec
from edgeflow.core.tokenize import VOCABULARY_MAX_BYTES, Tokenize
from edgeflow.core.tokenizer import Text, Tokenizer, tokenizer_of
from edgeflow.files.inside import open_regular, read_inside

FILE_MAX_BYTES = 1 << 28
SUFFIXES = (".txt", ".tsv")
KEPT = 8
"""So many first texts travel with the model."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What makes inputs of texts: the input's name, its tokenizer, and names that stand for classes."""

    name: str
    tokenizer: Tokenizer
    classes: tuple[str, ...] = ()


def texts_of(settings: Mapping[str, Tokenize], classes: tuple[str, ...], folder: Path) -> Texts | None:
    """The one tokenizer of a recipe, or None.

    Raises:
        DataError: the vocabulary is missing, or not the one that the settings were made for.
        BackendMissing: the library is not installed.
    """
    for name, rules in settings.items():
        raw = read_inside(folder, rules.vocab, VOCABULARY_MAX_BYTES)
        return Texts(name, tokenizer_of(rules, raw, str(folder / rules.vocab)), classes)
    return None


def are_texts(value: Any) -> bool:
    """Strings, or bytes of UTF-8: a list or an array of them. Not whether they can be cut into tokens."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "US" or (value.dtype == object and value.size > 0 and are_texts(list(value.ravel())))
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, (str, bytes)) for item in value)


def as_texts(value: Any) -> Array:
    """Texts as object[N]."""
    found = np.empty(len(value), object)
    found[:] = [item if isinstance(item, bytes) else str(item) for item in value]
    return found


def is_texts(path: Path) -> bool:
    """A file of one text a line."""
    return path.suffix in SUFFIXES and path.is_file()


def read_texts(path: Path, classes: Sequence[str], where: str) -> dict[str, Array]:
    """The lines of a file, as `text`, object[N]; what stands after the last tab of each, as `label`, int64[N].

    Args:
        classes: names that stand for 0, 1, 2 …; without them a class is a number.

    Raises:
        DataError: no UTF-8, too large, empty, or a class that is none; all of these are named.
    """
    try:
        with open_regular(path) as stream:
            raw = stream.read(FILE_MAX_BYTES + 1)
        if len(raw) > FILE_MAX_BYTES:
            raise DataError(f"{where}: is larger than {FILE_MAX_BYTES} bytes")
        lines = [line.removesuffix("\r") for line in raw.decode("utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{where}: cannot be read as texts ({err}), and should be UTF-8, one text a line") from err
    pairs = [(number, *_parts(line)) for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise DataError(f"{where}: holds no text")
    given = {tab for _, _, tab, _ in pairs}
    texts = as_texts([text for _, text, _, _ in pairs])
    if given == {""}:
        return {"text": texts}
    number_of = {name: k for k, name in enumerate(classes)}
    labels, wrong = [], []
    for number, _, _, label in pairs:
        found = number_of.get(label, int(label) if label.isdecimal() and len(label) < 10 else -1)
        labels.append(found)
        if found < 0:
            wrong.append(f"line {number}: {label[:40]!r} is no class")
    if wrong:
        raise DataError(
            f"{where}: {len(wrong)} of {len(pairs)} lines have no class after their text",
            try_="text<TAB>class, where the class is a number or a line of [model] labels",
            lines=wrong[:10],
        )
    return {"text": texts, LABEL: np.array(labels, np.int64)}


def _parts(line: str) -> tuple[str, str, str]:
    text, tab, label = line.rpartition("\t")
    return (text, tab, label.strip()) if tab else (line, "", "")


def made_inputs(
    arrays: Mapping[str, Array], texts: Texts, specs: Sequence[TensorSpec], where: str
) -> tuple[dict[str, Array], tuple[Text, ...]]:
    """Arrays with texts made into ids and what goes with them; ids that were given are held to the vocabulary.

    Returns:
        The arrays, and the first few texts.

    Raises:
        DataError: a text cannot be cut, a companion input is given beside texts, or an id is beyond the vocabulary.
    """
    given, rules = arrays.get(texts.name), texts.tokenizer.rules
    if given is None:
        return dict(arrays), ()
    if given.dtype != object:
        low, high = (int(given.min()), int(given.max())) if given.size and given.dtype.kind in "iu" else (0, 0)
        if low < 0 or high >= texts.tokenizer.size:
            raise DataError(
                f"{where}: {texts.name!r} holds the id {low if low < 0 else high}, and the ids of {rules.vocab} are "
                f"0 to {texts.tokenizer.size - 1}",
                try_="ids of this vocabulary, or the texts themselves",
            )
        return dict(arrays), ()
    if both := [name for name in rules.companions.values() if name in arrays]:
        raise DataError(
            f"{where}: gives texts and {both[0]!r} beside them, which is made from the same texts",
            try_=f"leave {both[0]!r} out of the data, or give arrays for all inputs",
        )
    made = texts.tokenizer.inputs(list(given), texts.name, {spec.name: spec for spec in specs}, where)
    rest = {name: array for name, array in arrays.items() if name != texts.name}
    return {**made, **rest}, tuple(given[:KEPT])

"""From texts to a model's inputs, through the library tokenizers; the twin on the device is demos/tokenize.cpp.

Both cut a text into the same ids: cleaned of control characters, ideographs apart, small letters without accents where
the rules say so, blanks and punctuation as borders, then the longest pieces of the vocabulary. Names of special tokens
within a text are plain text, so that no text can play one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.core.errors import DataError
from edgeflow.core.need import need
from edgeflow.core.tensors import TensorSpec
from edgeflow.core.tokenize import TEXT_MAX_BYTES, Tokenize

if TYPE_CHECKING:
    import numpy.typing as npt

WORD_MAX = 100
"""Characters of a word, above which it is unknown. Source: BERT, tokenization.py, max_input_chars_per_word."""

Text = str | bytes


def tokens_of(raw: bytes, where: str) -> list[str]:
    """The lines of a vocabulary, whose numbers are the ids; of a token that stands there twice the last counts.

    Raises:
        DataError: no UTF-8, empty, or lines of a token and its number.
    """
    try:
        lines = raw.decode("utf-8").split("\n")
    except UnicodeDecodeError as err:
        raise DataError(
            f"{where}: cannot be read as a vocabulary ({err}), and should be UTF-8, one token a line"
        ) from err
    lines = [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
    if not lines:
        raise DataError(f"{where}: is empty, and should hold one token a line")
    if all("\t" in line for line in lines[:10]):
        raise DataError(
            f"{where}: holds lines such as {lines[0][:40]!r}, and should hold one token a line, the first being id 0",
            try_="cut -f1, where the numbers count from 0",
        )
    return lines


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Rules with their vocabulary, ready to cut texts; see tokenizer_of."""

    rules: Tokenize
    size: int
    _library: Any
    _ids: Mapping[str, int]

    def ids(self, text: Text) -> list[int]:
        """Ids of one text, special ones included, cut but not padded.

        Raises:
            DataError: it holds no word, takes too many bytes, or is too long and may not be cut.
        """
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        if len(raw) > TEXT_MAX_BYTES:
            raise DataError(f"text takes {len(raw)} bytes, and should take at most {TEXT_MAX_BYTES}")
        found: list[int] = self._library.encode(raw.decode("utf-8", "replace"), add_special_tokens=False).ids
        rules = self.rules
        if not found:
            raise DataError("text holds no word, and should hold one at least")
        room = rules.max_length - rules.special
        if len(found) > room and rules.truncation == "none":
            raise DataError(
                f"text is {len(found) + rules.special} tokens long, and should be at most {rules.max_length}",
                try_="truncation = 'end' in the recipe, or a shorter text",
            )
        around = [[self._ids[token]] if token else [] for token in (rules.cls, rules.sep)]
        return [*around[0], *found[:room], *around[1]]

    def inputs(
        self, texts: Sequence[Text], name: str, specs: Mapping[str, TensorSpec], where: str, length: int = 0
    ) -> dict[str, npt.NDArray[Any]]:
        """The input of ids and those that go with it, [texts, length].

        Args:
            name: of the input of ids.
            specs: of the inputs, by name.
            length: pads further, to this length, where the rules pad to the longest.

        Raises:
            DataError: a text cannot be cut into ids; names its number.
        """
        rows = []
        for number, text in enumerate(texts):
            try:
                rows.append(self.ids(text))
            except DataError as err:
                raise DataError(f"{where}: text {number} ({text[:40]!r}): {err.what}", try_=err.try_) from err
        return padded(self.rules, self._ids[self.rules.pad], rows, name, specs, length)


def padded(
    rules: Tokenize, pad: int, rows: Sequence[Sequence[int]], name: str, specs: Mapping[str, TensorSpec], least: int = 0
) -> dict[str, npt.NDArray[Any]]:
    """Ids of texts as the input `name`, and what goes with them; see Tokenizer.inputs.

    Args:
        pad: id of what fills up.
        least: pads further, to this length, where the rules pad to the longest.
    """
    import numpy as np

    counts = np.array([len(row) for row in rows])
    longest = rules.max_length if rules.padding == "max_length" else max(least, int(counts.max()))
    at = np.arange(longest)
    real = at < counts[:, None]
    ids = np.full(real.shape, pad, np.int64)
    ids[real] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    made = {"token_types": np.zeros_like(ids), "task_types": np.zeros_like(ids), "mask": real, "length": counts}
    made["positions"] = np.broadcast_to(at, ids.shape)
    found = {name: ids, **{other: made[role] for role, other in rules.companions.items()}}
    return {key: np.ascontiguousarray(array).astype(specs[key].dtype) for key, array in found.items()}


def tokenizer_of(rules: Tokenize, raw: bytes, where: str) -> Tokenizer:
    """Rules and the bytes of their vocabulary as a tokenizer.

    Raises:
        DataError: it is not the vocabulary whose hash the rules name, cannot be read, or lacks a special token.
        BackendMissing: the library is not installed.
    """
    if rules.vocab_sha256 and (found := hashlib.sha256(raw).hexdigest()) != rules.vocab_sha256:
        raise DataError(
            f"{where}: is not the vocabulary that the rules were written for (its hash is {found[:12]}…)",
            try_="the vocabulary that the model was trained with, or leave vocab_sha256 out",
        )
    lines = tokens_of(raw, where)
    ids = {token: number for number, token in enumerate(lines)}
    for key in ("unk", "pad", "cls", "sep"):
        token = getattr(rules, key)
        if token and token not in ids:
            raise DataError(
                f"{where}: lacks the token {key} = {token!r}, and should hold it",
                try_=f'{key} = "…" as the vocabulary calls it' + (', or ""' if key in ("cls", "sep") else ""),
            )
    return Tokenizer(rules, len(lines), _library(rules, ids), ids)


def _library(rules: Tokenize, ids: Mapping[str, int]) -> Any:
    need("tokenizers", "text")
    from tokenizers import Regex, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Library

    if rules.kind == "wordpiece":
        model: Any = models.WordPiece(
            dict(ids),
            unk_token=rules.unk,
            max_input_chars_per_word=WORD_MAX,
            continuing_subword_prefix=rules.continuation,
        )
        cut: Any = pre_tokenizers.BertPreTokenizer()
    else:
        model = models.WordLevel(dict(ids), unk_token=rules.unk)
        single = pre_tokenizers.Split(Regex("(?m)."), "isolated")
        cut = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), single])
    made = Library(model)
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=rules.split_cjk,
        strip_accents=rules.without_accents,
        lowercase=rules.lower_case,
    )
    made.pre_tokenizer = cut
    return made

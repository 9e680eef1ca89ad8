"""Texts for a finished model: inputs made of one, and those that travel with it to try the tokenizer of a device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from edgeflow.core.errors import BackendMissing, DataError
from edgeflow.core.samples import Array
from edgeflow.core.tokenize import Tokenize
from edgeflow.core.tokenizer import Tokenizer, tokenizer_of, tokens_of
from edgeflow.files.inside import open_regular
from edgeflow.project.contract import Contract, InputContract, load_json, read_named

TEXT_MAX = 2000
"""Characters of a text that travels; longer ones try nothing that these do not."""
TEXTS_MAX = 1000
ID_MAX = 1 << 24
FILE_MAX_BYTES = 1 << 24
PROBES = (
    "你好，我的iPhone 12订单20240101号怎么还没发货？",
    "ＡＢＣ１２３　全角　ｔｅｘｔ！",
    "Café naïve Ünïcödé ßtraße İstanbul",
    "e\u0301 a\u0308\u0323 \u1100\u1161\u11a8 각 \uf900",
    "👍🏽 👨\u200d👩\u200d👧 ❤\ufe0f",
    "2024-01-01 12:30,¥99.90 (50%off) a_b#c@d.com",
    "\u200b零宽\ufeff空格\u00a0nbsp\u3000全角\ttab",
    "[CLS] [SEP] ##ing",
    "ΑΣ Йод 𝔘𝔫𝔦 𠀀",
    "长" * 64 + "text " * 64,
)
"""What tokenizers differ on: scripts without blanks, full-width forms, accents in both forms, joined emoji, special
tokens as text, and more than fits."""


def golden_texts(tokenizer: Tokenizer, own: Sequence[str]) -> bytes:
    """The file golden/texts.json: the model's own texts first, then those that try the tokenizer."""
    entries = []
    for text in dict.fromkeys([*own, *PROBES]):
        try:
            if len(text) <= TEXT_MAX:
                entries.append({"text": text, "ids": tokenizer.ids(text)})
        except DataError:
            continue  # too long where nothing may be cut, or no word of it is left
    return (json.dumps(entries, separators=(",", ":")).replace('},{"', '},\n{"') + "\n").encode()


def text_tokenizer(folder: Path, contract: Contract) -> tuple[InputContract, Tokenizer] | None:
    """The input of a contract that is made from texts, and its tokenizer; None where there is no such input.

    Raises:
        DataError: the vocabulary beside the contract is missing or another one.
        BackendMissing: the library is not installed.
    """
    spec = contract.text
    if spec is None or spec.tokenize is None:
        return None
    name = spec.tokenize.vocab
    return spec, tokenizer_of(spec.tokenize, read_named(folder, name), str(folder / name))


def text_feed(made: tuple[InputContract, Tokenizer], text: str, contract: Contract) -> dict[str, Array]:
    """Inputs of one text; as many times as the model's batch is fixed to.

    Raises:
        DataError: the text cannot be cut into ids.
    """
    spec, tokenizer = made
    return tokenizer.inputs([text] * max(1, spec.shape[0]), spec.name, contract.specs, "--input")


def given_texts(value: str) -> list[str]:
    """What stands behind `--input NAME=`: the lines of a .txt that is there, else the text itself.

    Raises:
        DataError: the file cannot be read.
    """
    path = Path(value)
    if path.suffix.lower() != ".txt" or not path.is_file():
        return [value]
    try:
        with open_regular(path) as stream:
            return [line for line in stream.read(FILE_MAX_BYTES).decode("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{path}: cannot be read as texts ({err}), and should be UTF-8, one text a line") from err


def hold_to_vocabulary(ids: Array, folder: Path, contract: Contract) -> None:
    """Hold ids that were given as numbers to the vocabulary beside a contract.

    Raises:
        DataError: an id that it has not, which a device would look up beside the embedding.
    """
    spec = contract.text
    if spec is None or spec.tokenize is None or not ids.size or ids.dtype.kind not in "iu":
        return
    name = spec.tokenize.vocab
    size, low, high = len(tokens_of(read_named(folder, name), str(folder / name))), int(ids.min()), int(ids.max())
    if low < 0 or high >= size:
        raise DataError(
            f"--input: {spec.name!r} holds the id {low if low < 0 else high}, and those of {name} are 0 to {size - 1}",
            try_=f"--input {spec.name}=TEXT, which is cut into its ids",
        )


def golden_rows(folder: Path, name: str, most: int, count: int) -> list[list[int]]:
    """Ids of up to `count` golden texts with at most `most` tokens, of lengths that differ, the shortest first.

    Args:
        name: of the file that holds them, in the folder.
    """
    rows: dict[int, list[int]] = {}
    entries = load_json(read_named(folder, name), str(folder / name))
    for entry in entries if isinstance(entries, list) else ():
        ids = entry.get("ids") if isinstance(entry, dict) else None
        if isinstance(ids, list) and 0 < len(ids) <= most and all(type(k) is int and 0 <= k < ID_MAX for k in ids):
            rows[len(ids)] = ids
    lengths = sorted(rows)
    return [rows[length] for length in lengths[:: max(1, len(lengths) // count)][:count]]


def pad_id(folder: Path, rules: Tokenize) -> int:
    """The id of what fills a text up, in the vocabulary beside a contract; of a token that stands there twice the last.

    Raises:
        DataError: the vocabulary is missing or damaged.
    """
    lines = tokens_of(read_named(folder, rules.vocab), rules.vocab)
    return len(lines) - 1 - lines[::-1].index(rules.pad)


def texts_differ(folder: Path, contract: Contract) -> str:
    """Cut the golden texts again, and say which becomes other ids; empty where none does, or none can be cut here."""
    golden = contract.golden
    if golden is None or golden.texts is None:
        return ""
    try:
        made = text_tokenizer(folder, contract)
    except BackendMissing:
        return ""
    where = str(folder / golden.texts)
    entries = load_json(read_named(folder, golden.texts), where)
    if made is None or not isinstance(entries, list) or len(entries) > TEXTS_MAX:
        raise DataError(f"{where}: should be a list of at most {TEXTS_MAX} texts with their ids")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise DataError(f"{where}: an entry holds no text, and should hold a text and its ids")
        found = made[1].ids(entry["text"])
        if found != entry.get("ids"):
            return f"the text {entry['text'][:40]!r} becomes other ids than the build recorded"
    return ""

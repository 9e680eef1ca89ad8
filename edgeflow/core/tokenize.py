"""[inputs.NAME.tokenize]: how a text becomes ids, as a recipe and a contract say it.

What does it: core/tokenizer.py, and on the device demos/tokenize.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from edgeflow.core.errors import RecipeError, near
from edgeflow.core.tensors import TensorSpec

LENGTH_MAX = 4096
"""Tokens of a text, special ones included: what no encoder on an edge device exceeds."""
VOCABULARY_MAX_BYTES = 1 << 24
TEXT_MAX_BYTES = 1 << 20
"""The same in demos/tokenize.cpp."""
INTEGERS = ("int64", "int32")
COMPANIONS = ("token_types", "task_types", "positions", "mask", "length")


@dataclass(frozen=True, slots=True)
class Tokenize:
    """How a text becomes an input of ids, int64 or int32[N, length], and what goes with it.

    `kind`: wordpiece, as BERT and ERNIE have it, or character, each character that is no blank. `vocab`: a file of one
    token a line, whose number from 0 is the id; `vocab_sha256` its hash, which a contract always has. `max_length`
    counts special tokens. `padding`: every text to max_length, or those of a batch to the longest among them.
    `truncation`: what is longer is cut at its end, or refused. `cls` and `sep` stand before and after each text; ""
    leaves them out. `continuation` stands before pieces within a word. `lower_case`: small letters; `strip_accents`: of
    letters with accents only the letters, None as lower_case says; `split_cjk`: ideographs are words of their own.

    The others name further inputs that are made from the same text: `token_types` and `task_types` hold 0, `positions`
    0, 1, 2 …, `mask` 1 for tokens and 0 for padding, each [N, length], and `length` the number of tokens, [N].
    """

    vocab: str
    max_length: int
    kind: Literal["wordpiece", "character"] = "wordpiece"
    vocab_sha256: str = ""
    padding: Literal["max_length", "longest"] = "max_length"
    truncation: Literal["end", "none"] = "end"
    unk: str = "[UNK]"
    pad: str = "[PAD]"
    cls: str = "[CLS]"
    sep: str = "[SEP]"
    continuation: str = "##"
    lower_case: bool = True
    strip_accents: bool | None = None
    split_cjk: bool = True
    token_types: str = ""
    task_types: str = ""
    positions: str = ""
    mask: str = ""
    length: str = ""

    @property
    def companions(self) -> Mapping[str, str]:
        """Further inputs by their role."""
        return {role: getattr(self, role) for role in COMPANIONS if getattr(self, role)}

    @property
    def special(self) -> int:
        """How many special tokens stand around a text."""
        return bool(self.cls) + bool(self.sep)

    @property
    def without_accents(self) -> bool:
        """Whether accents go."""
        return self.lower_case if self.strip_accents is None else self.strip_accents

    def in_contract(self, vocab: str, vocab_sha256: str) -> Tokenize:
        """The same as a contract has it: nothing left open, with the vocabulary that lies beside it."""
        return replace(self, vocab=vocab, vocab_sha256=vocab_sha256, strip_accents=self.without_accents)

    def validate(self, where: str, name: str, specs: Mapping[str, TensorSpec]) -> None:
        """Hold the values to each other and to the inputs.

        Args:
            where: names the table in messages.
            name: of the input that this makes.
            specs: all inputs by name.

        Raises:
            RecipeError: values that exclude each other, or inputs that cannot be made so.
        """
        if not self.special + 1 <= self.max_length <= LENGTH_MAX or self.max_length < 3:
            raise RecipeError(
                f"{where}: max_length is {self.max_length}, and should be 3 to {LENGTH_MAX}, special tokens counted",
                try_="max_length = 64",
            )
        for key in ("unk", "pad"):
            if not getattr(self, key):
                raise RecipeError(f"{where}: {key} is empty, and should be a token of the vocabulary")
        _validate_ids(self, where, specs[name])
        used: dict[str, str] = {}
        for role, other in self.companions.items():
            if other not in specs or other == name or other in used:
                rest = [n for n in specs if n != name and n not in used]
                raise RecipeError(
                    f"{where}: {role} is {other!r}, which is no other input; {near(other, rest, 'inputs')}"
                )
            used[other] = role
            _validate_companion(role, specs[other], specs[name], where)


def _validate_ids(rules: Tokenize, where: str, spec: TensorSpec) -> None:
    if spec.dtype not in INTEGERS or len(spec.shape) != 2:
        raise RecipeError(
            f"{where}: makes ids [N, length], and the input is {spec}", try_='shape = [-1, -1], dtype = "int64"'
        )
    fixed = spec.shape[1]
    if fixed > 0 and fixed != rules.max_length:
        raise RecipeError(
            f"{where}: max_length is {rules.max_length}, and the input's length is fixed to {fixed}",
            try_=f"max_length = {fixed}",
        )
    if fixed > 0 and rules.padding == "longest":
        raise RecipeError(
            f"{where}: padding is 'longest', and the input's length is fixed to {fixed}",
            try_="padding = 'max_length', or -1 for the length in shape, which NPUs do not take",
        )


def _validate_companion(role: str, spec: TensorSpec, ids: TensorSpec, where: str) -> None:
    dtypes = (*INTEGERS, "float32") if role == "mask" else INTEGERS
    wanted = ids.shape[:1] if role == "length" else ids.shape
    if spec.dtype not in dtypes or spec.shape != wanted:
        raise RecipeError(
            f"{where}: {role} makes {list(wanted)} of {' or '.join(dtypes)}, and the input is {spec}",
            try_=f"[inputs.{spec.name}] shape = {list(wanted)}",
        )

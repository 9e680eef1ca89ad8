"""Texts to ids on the Python side: what the rules forbid, and what an id row looks like."""

from __future__ import annotations

import pytest

from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.tensors import TensorSpec
from edgeflow.core.tokenize import Tokenize
from edgeflow.core.tokenizer import Tokenizer, tokenizer_of

VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n订\n单\nhel\n##lo\ncafe\n!\n"
SPECS = {
    "ids": TensorSpec("ids", (-1, -1), "int64"),
    "mask": TensorSpec("mask", (-1, -1)),
    "places": TensorSpec("places", (-1, -1), "int32"),
    "count": TensorSpec("count", (-1,), "int64"),
}


def made(vocab: str = VOCAB, **rules: object) -> Tokenizer:
    return tokenizer_of(Tokenize("v.txt", 8, **rules), vocab.encode(), "v.txt")  # type: ignore[arg-type]


def test_ids_of_a_text() -> None:
    tokenizer = made()
    assert tokenizer.ids("订单 Hello CAFÉ!") == [2, 4, 5, 6, 7, 8, 9, 3]
    assert tokenizer.ids("订单 Hello CAFÉ! 订单") == [2, 4, 5, 6, 7, 8, 9, 3], "cut to max_length, its end kept"
    assert tokenizer.ids("[SEP]") == [2, 1, 1, 1, 3], "no text plays a special token"
    assert tokenizer.ids(b"\xe8\xae\xa2\xff\xe5\x8d") == [2, 4, 3], "what is no UTF-8 is left out"
    assert tokenizer.ids("\ud800订") == [2, 4, 3]
    assert made(lower_case=False).ids("Hello hello") == [2, 1, 6, 7, 3]
    assert made(kind="character", cls="", sep="").ids("订 单x") == [4, 5, 1]


def test_what_goes_with_the_ids() -> None:
    tokenizer = made(padding="longest", mask="mask", positions="places", length="count")
    found = tokenizer.inputs(["订", "订单!"], "ids", SPECS, "data")
    assert found["ids"].tolist() == [[2, 4, 3, 0, 0], [2, 4, 5, 9, 3]]
    assert found["mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert found["places"].tolist() == [list(range(5))] * 2
    assert found["count"].tolist() == [3, 5]
    assert [array.dtype for array in found.values()] == ["int64", "int32", "float32", "int64"]
    assert made().inputs(["订"], "ids", SPECS, "data")["ids"].shape == (1, 8)


@pytest.mark.parametrize(
    ("text", "rules", "said"),
    [
        ("", {}, "text 0 ('')"),
        ("\u3000\u200b", {}, "holds no word"),
        ("订" * 7, {"truncation": "none"}, "is 9 tokens long, and should be at most 8"),
        ("订" * 700000, {}, "takes 2100000 bytes"),
    ],
)
def test_texts_without_ids(text: str, rules: dict[str, object], said: str) -> None:
    with pytest.raises(DataError) as caught:
        made(**rules).inputs([text], "ids", SPECS, "data")
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("vocab", "rules", "said"),
    [
        ("a\nb\n", {}, "lacks the token unk = '[UNK]'"),
        ("[PAD]\t0\n[UNK]\t1\n", {}, "holds lines such as"),
        ("", {}, "is empty"),
        (VOCAB, {"vocab_sha256": "0" * 64}, "is not the vocabulary that the rules were written for"),
    ],
)
def test_vocabularies_that_are_none(vocab: str, rules: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=r"v\.txt") as caught:
        made(vocab, **rules)
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"max_length": 2}, "max_length is 2, and should be 3 to 4096"),
        ({"max_length": 8, "pad": ""}, "pad is empty"),
        ({"max_length": 8, "mask": "maks"}, "mask is 'maks', which is no other input; did you mean 'mask'?"),
        ({"max_length": 8, "mask": "ids"}, "mask is 'ids', which is no other input"),
        ({"max_length": 8, "positions": "mask"}, "positions makes [-1, -1] of int64 or int32, and the input is mask"),
        ({"max_length": 8, "length": "places"}, "length makes [-1] of"),
    ],
)
def test_rules_that_exclude_each_other(rules: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Tokenize("v.txt", **rules).validate("[inputs.ids.tokenize]", "ids", SPECS)  # type: ignore[arg-type]
    assert said in caught.value.what


def test_a_fixed_length_is_the_longest() -> None:
    fixed = {"ids": TensorSpec("ids", (-1, 16), "int64")}
    Tokenize("v.txt", 16).validate("t", "ids", fixed)
    with pytest.raises(RecipeError, match="max_length is 8, and the input's length is fixed to 16"):
        Tokenize("v.txt", 8).validate("t", "ids", fixed)
    with pytest.raises(RecipeError, match="padding is 'longest'"):
        Tokenize("v.txt", 16, padding="longest").validate("t", "ids", fixed)
    with pytest.raises(RecipeError, match=r"makes ids \[N, length\], and the input is ids: float32"):
        Tokenize("v.txt", 16).validate("t", "ids", {"ids": TensorSpec("ids", (-1, 16))})

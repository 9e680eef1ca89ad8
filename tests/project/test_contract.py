"""contract.json: what is written is read back, and nothing else is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.core.errors import DataError
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.preprocess import Preprocess
from edgeflow.project.contract import (
    Contract,
    Golden,
    InputContract,
    ModelFile,
    RuntimeContract,
    dump_contract,
    inside,
    load_contract,
    parse_contract,
)

STEPS = Preprocess(
    resize="short_side",
    size=(256, 256),
    crop=(224, 224),
    colour="RGB",
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    layout="NCHW",
    pad_value=0.0,
)
GOOD = Contract(
    "digits",
    "kirin",
    "classify",
    ModelFile("model.nb", "0" * 64),
    (InputContract("image", "float32", (-1, 3, 224, 224), STEPS),),
    ("softmax_0.tmp_0",),
    Golden(("golden/in_0.npy",), ("golden/out_0.npy",), 1e-3, "golden/picture.png", "golden/picture_in.npy"),
    "labels.txt",
    RuntimeContract(("huawei_kirin_npu",), "A_B=1;C=x,y", ("libnnadapter.so",)),
)


@pytest.mark.parametrize(
    "contract",
    [
        replace(GOOD, kinds=(OutputKind("boxes", "said", columns=("x", "y", "w", "h", "", "score"), normalised=True),)),
        replace(GOOD, golden=None, labels=None, task=None, runtime=RuntimeContract()),
    ],
)
def test_round_trip(contract: Contract, tmp_path: Path) -> None:
    raw = dump_contract(contract)
    (tmp_path / "contract.json").write_bytes(raw)
    assert load_contract(tmp_path / "contract.json") == contract
    assert dump_contract(parse_contract(raw, "c")) == raw


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ([{"kind": "ids", "why": "w"}] * 2, "says what 2 outputs are, and there are 1"),
        ([{"kind": "boxes", "why": "w", "counts": 0}], "names outputs"),
        ([{"kind": "boxes", "why": "w", "columns": ["left"]}], "a column 'left'"),
        ([{"kind": "ctc", "why": "w", "blank": -2}], "blank -2"),
        ([{"kind": "sounds", "why": "w"}], "sounds"),
    ],
)
def test_kinds_are_held_to_the_outputs(kinds: list[dict[str, Any]], text: str) -> None:
    table = {**json.loads(dump_contract(GOOD)), "kinds": kinds}
    with pytest.raises(DataError, match=text):
        parse_contract(json.dumps(table).encode(), "c")


def test_files_are_named_once() -> None:
    assert GOOD.files() == (
        "model.nb",
        "golden/in_0.npy",
        "golden/out_0.npy",
        "golden/picture.png",
        "golden/picture_in.npy",
        "labels.txt",
    )


def changed(*path: Any, value: Any) -> bytes:
    table = json.loads(dump_contract(GOOD))
    spot = table
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return json.dumps(table).encode()


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("model", "file"), "../model.nb", "without .."),
        (("model", "file"), "/etc/passwd", "without .."),
        (("golden", "inputs"), ["golden/../../in.npy"], "without .."),
        (("golden", "outputs"), [".ssh/id"], "without .."),
        (("labels",), "a;b", "without .."),
        (("labels",), "a" * 300, "without .."),
        (("name",), "a/b", "should be a word"),
        (("target",), "$(reboot)", "should be a word"),
        (("model", "sha256"), "abc", "64 hexadecimal"),
        (("runtime", "devices"), ["a b"], "plain words"),
        (("runtime", "libraries"), ["../lib.so"], "plain words"),
        (("runtime", "context"), "A=1;`x`=2", "KEY=VALUE"),
        (("runtime", "context"), "A=$(x)", "KEY=VALUE"),
        (("inputs", 0, "shape"), [-2, 3], "at most 8 dimensions"),
        (("inputs", 0, "shape"), [1 << 40], "at most 8 dimensions"),
        (("inputs", 0, "dtype"), "object", "one of float32"),
        (("inputs",), [], "should list 1 to"),
        (("inputs", 0, "preprocess", "std"), [1, 0, 1], "std not 0"),
        (("inputs", 0, "preprocess", "mean"), [1], "should hold 3"),
        (("inputs", 0, "preprocess", "size"), [0, 224], "height, width"),
        (("inputs", 0, "preprocess", "resize"), "strech", "stretch"),
        (("golden", "max_abs"), -1, "from 0 up"),
        (("golden", "picture_input"), None, "both or neither"),
        (("golden", "inputs"), [], "should list 1"),
        (("format",), 2, "should be 1"),
        (("task",), "clasify", "classify"),
        (("extra",), 1, "unknown key"),
    ],
)
def test_what_breaks_a_rule_is_named(path: tuple[Any, ...], value: Any, word: str) -> None:
    with pytest.raises(DataError, match=word.replace("[", "\\[")):
        parse_contract(changed(*path, value=value), "contract.json")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b" " * (1 << 21)])
def test_no_contract(raw: bytes) -> None:
    with pytest.raises(DataError):
        parse_contract(raw, "contract.json")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"edgeflow build"):
        load_contract(tmp_path / "contract.json")


@given(st.text(alphabet="ab./\\~-_$ \n", max_size=12))
def test_inside_stays_inside(name: str) -> None:
    if inside(name):
        full = Path("/base") / name
        assert ".." not in full.parts
        assert str(full).startswith("/base/")
        assert not set(name) & set("\\~$ \n")

"""Texts on the device: the same ids as on this machine, one line of answer for each line of text."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.tensors import TensorSpec
from edgeflow.core.tokenize import Tokenize
from edgeflow.core.tokenizer import Tokenizer, tokenizer_of
from edgeflow.deploy.texts import golden_texts
from tests.conftest import ROOT
from tests.demos.builds import COMPILERS, Build, built
from tests.texts import REAL, texts, vocabulary

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
VARIANTS = (
    {},
    {"lower_case": False},
    {"lower_case": False, "strip_accents": True, "split_cjk": False},
    {"strip_accents": False},
    {"kind": "character", "cls": "", "sep": ""},
)


def make_case(folder: Path, rules: Tokenize, given: list[str] | None = None) -> tuple[Path, Tokenizer]:
    """A contract with a text input, and a model that answers two of its texts."""
    raw = vocabulary()
    (folder / "vocab.txt").write_bytes(raw)
    tokenizer = tokenizer_of(rules, raw, "vocab.txt")
    specs = {"ids": TensorSpec("ids", (-1, -1), "int64")}
    specs |= {name: TensorSpec(name, (-1, -1), "int64") for name in rules.companions.values()}
    contract = {
        "format": 1,
        "name": "a",
        "target": "arm64",
        "task": "classify_text",
        "model": {"file": "model.nb", "sha256": ""},
        "inputs": [{"name": name, "dtype": spec.dtype, "shape": list(spec.shape)} for name, spec in specs.items()],
        "outputs": ["y"],
        "labels": "labels.txt",
        "golden": None,
    }
    contract["inputs"][0]["tokenize"] = asdict(rules.in_contract("vocab.txt", hashlib.sha256(raw).hexdigest()))
    (folder / "model.nb").write_bytes(bytes([2, 0]) + b"recorded outputs, no model at all")
    contract["model"]["sha256"] = hashlib.sha256((folder / "model.nb").read_bytes()).hexdigest()
    if given:
        arrays = tokenizer.inputs(given, "ids", specs, "data")
        outputs = np.eye(len(given), 3, dtype=np.float32) * 0.9 + 0.05 - np.eye(len(given), 3, dtype=np.float32) * 0.05
        outputs /= outputs.sum(1, keepdims=True)
        (folder / "model.nb.recorded").mkdir()
        (folder / "golden").mkdir()
        for place in (folder / "golden", folder / "model.nb.recorded"):
            for k, name in enumerate(specs):
                np.save(place / f"in_{k}.npy", arrays[name])
            np.save(place / "out_0.npy", outputs)
        (folder / "labels.txt").write_text("refund\ninvoice\n其他\n", encoding="utf-8")
        (folder / "golden" / "texts.json").write_bytes(golden_texts(tokenizer, given))
        contract["golden"] = {
            "inputs": [f"golden/in_{k}.npy" for k in range(len(specs))],
            "outputs": ["golden/out_0.npy"],
            "max_abs": 1e-3,
            "texts": "golden/texts.json",
        }
    (folder / "contract.json").write_text(json.dumps(contract))
    return folder / "contract.json", tokenizer


@pytest.mark.parametrize("preset", COMPILERS)
def test_both_sides_give_the_same_ids(preset: str, tmp_path: Path) -> None:
    build: Build = built(preset)
    own = preset == "host"
    given = texts(4000 if own else 300, seed=20)
    for number, variant in enumerate(VARIANTS if own else VARIANTS[:1]):
        folder = tmp_path / str(number)
        folder.mkdir()
        contract, tokenizer = make_case(folder, Tokenize("vocab.txt", 64, **variant))  # type: ignore[arg-type]
        (folder / "texts").write_text("\n".join(text.hex() for text in given) + "\n")
        done = build.run("tokens", contract, folder / "texts")
        assert done.returncode == 0, done.stderr
        seen = 0
        for text, line in zip(given, done.stdout.splitlines(), strict=True):
            try:
                wanted = " ".join(map(str, tokenizer.ids(text)))
                seen += wanted.count(" 1 ") < len(wanted) // 4
            except DataError:
                wanted = "none"
            assert line.strip() == wanted, (variant, text)
        assert seen > len(given) / 4, "most words should be known, or nothing is compared"


def test_the_tables_are_what_the_library_does() -> None:
    script = ROOT / "scripts" / "unicode_tables"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_classify_text_answers_lines(tmp_path: Path) -> None:
    given = [REAL[0], "发票怎么开"]
    rules = Tokenize("vocab.txt", 32, mask="mask", truncation="none")
    contract, _ = make_case(tmp_path, rules, given)
    build = built("host")
    done = build.run("recorded_classify_text", "--check", contract)
    assert (done.returncode, done.stdout) == (0, "PASS: 1 outputs within 0.001\n"), done.stderr
    # The recorded model knows the reference's ids alone, so an answer means that both cut alike.
    done = build.run("recorded_classify_text", "--contract", contract, *given)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["refund", "invoice"], done.stderr
    (tmp_path / "lines.txt").write_text(f"{given[1]}\r\n\n{'长' * 40}\n{given[0]}", encoding="utf-8")
    done = build.run("recorded_classify_text", "--contract", contract, "--file", tmp_path / "lines.txt", "--json")
    assert done.returncode == 1, "two lines have no answer"
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a.get("label") for a in answers] == ["invoice", None, None, "refund"]
    assert (answers[0]["tokens"], answers[0]["cut"]) == (7, False)
    assert "holds no word" in answers[1]["error"]
    assert "42 tokens long, and should be at most 32" in answers[2]["error"]
    program = [str(build.folder / "bin" / "recorded_classify_text"), "--contract", str(contract), "--top", "2"]
    done = subprocess.run(program, input=f"{given[0]}\n", capture_output=True, text=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["refund", "invoice"]
    table = json.loads((tmp_path / "golden" / "texts.json").read_text())
    table[1]["ids"][1] += 1
    (tmp_path / "golden" / "texts.json").write_text(json.dumps(table))
    done = build.run("recorded_classify_text", "--check", contract)
    assert (done.returncode, done.stdout[:18]) == (3, 'FAIL: text "发票怎么开"'[:18])
    (tmp_path / "vocab.txt").write_bytes(vocabulary() + b"more\n")
    done = build.run("recorded_classify_text", "--contract", contract, "x")
    assert done.returncode == 1
    assert "is not the vocabulary that the contract was written for" in done.stderr


def test_short_texts_take_the_shorter_file(tmp_path: Path) -> None:
    given = ["发票怎么开", REAL[0]]
    for length, answers in ((10, given[:1]), (32, given)):
        (tmp_path / str(length)).mkdir()
        make_case(tmp_path / str(length), Tokenize("vocab.txt", length, mask="mask"), answers)
    build, contracts = built("host"), [tmp_path / length / "contract.json" for length in ("10", "32")]
    words = ("--shorter", contracts[0], "--contract", contracts[1], "--json")
    done = build.run("recorded_classify_text", *words, "--file", lines(tmp_path, given))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    # Each recorded model knows its own texts at its own length alone; both call their first text a refund.
    assert [(a["label"], a["length"]) for a in answers] == [("refund", 10), ("invoice", 32)], done.stderr
    done = build.run("recorded_classify_text", "--shorter", contracts[1], "--contract", contracts[0], "x")
    assert done.returncode == 1
    assert "is for 32 tokens, and lengths should rise up to that of" in done.stderr


def lines(folder: Path, given: list[str]) -> Path:
    (folder / "lines.txt").write_text("\n".join(given), encoding="utf-8")
    return folder / "lines.txt"


@pytest.mark.parametrize(
    ("old", "fresh", "said"),
    [
        ('"kind": "wordpiece"', '"kind": "bpe"', "kind is 'bpe', and should be one of wordpiece, character"),
        ('"max_length": 24', '"max_length": 1e9', "should be a whole number from 3 to 4096"),
        ('"vocab": "vocab.txt"', '"vocab": "../v"', "should be a path inside"),
        ('"lower_case": true', '"lower_case": 1', "should be true or false"),
        ('"unk": "[UNK]"', '"unk": "[NO]"', "lacks the token unk = '[NO]'"),
        ('"unk": "[UNK]"', '"ank": "[UNK]"', "unknown key 'ank'; this program is older than the contract"),
        ('"mask": "mask"', '"mask": ""', "input 'mask' cannot be made from a text"),
    ],
)
def test_contracts_that_cannot_be_kept(tmp_path: Path, old: str, fresh: str, said: str) -> None:
    contract, _ = make_case(tmp_path, Tokenize("vocab.txt", 24, mask="mask"), ["订单"])
    text = contract.read_text()
    assert old in text
    contract.write_text(text.replace(old, fresh))
    done = built("host").run("recorded_classify_text", "--contract", contract, "订单")
    assert done.returncode == 1
    assert said in done.stderr

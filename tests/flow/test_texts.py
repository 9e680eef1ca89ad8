"""A project whose input is a text: planned, built, asked and bundled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import edgeflow
from edgeflow.cli.main import edgeflow as command
from edgeflow.core.errors import EdgeflowError
from edgeflow.deploy.bundle import deploy
from edgeflow.flow.plan import plan
from edgeflow.project.contract import load_contract
from tests.texts import REAL, vocabulary

pytestmark = pytest.mark.build
PROJECT = Path(__file__).parents[1] / "text_project"


def project(folder: Path) -> Path:
    """The small text project, with its vocabulary and data."""
    shutil.copytree(PROJECT, folder)
    (folder / "words.txt").write_bytes(vocabulary())
    (folder / "labels.txt").write_text("a\nb\nc\n")
    lines = [f"{text.strip()}\t{'abc'[k % 3]}\n" for k, text in enumerate((REAL[0], *REAL[1:3], "发票怎么开", "地址"))]
    (folder / "texts.tsv").write_text("".join(lines * 12), encoding="utf-8")
    return folder


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(map(str, words)))
    return done.exit_code, done.output


def test_a_text_from_the_recipe_to_the_bundle(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    [built] = edgeflow.build(folder, ["arm64"])
    place = built.folder
    contract = load_contract(place / "contract.json")
    assert contract.text is not None
    assert contract.text.tokenize is not None
    assert (contract.task, contract.text.tokenize.mask) == ("classify_text", "attention_mask")
    texts = json.loads((place / "golden" / "texts.json").read_text())
    assert texts[0]["text"] == REAL[0]
    assert built.record.contract is not None
    assert built.record.contract.verdict == "same"
    assert "are answered alike at their own length and padded to 24" in (built.record.contract.why or "")
    bundle = deploy(place, None)
    assert {"vocab.txt", "golden/texts.json", "labels.txt"} <= set(bundle.files)
    # A text, and the ids that it becomes, are answered alike; the emulator takes any length.
    code, one = run("run", place / "model.nb", "--input", "input_ids=发票怎么开", "--json")
    assert code == 0, one
    ids = np.array([next(entry["ids"] for entry in texts if entry["text"] == "发票怎么开")])
    for name, array in (("i", ids), ("p", np.arange(ids.size)[None]), ("m", np.ones(ids.shape, np.float32))):
        np.save(tmp_path / f"{name}.npy", array)
    inputs = [f"--input={n}={tmp_path / f}.npy" for n, f in zip((s.name for s in contract.inputs), "ipm", strict=True)]
    code, other = run("run", place / "model.nb", *inputs, "--output-dir", tmp_path / "out")
    assert code == 0, other
    scores = np.load(tmp_path / "out" / "out_0.npy")[0]
    assert json.loads(one)[0]["classes"][0]["class"] == int(scores.argmax())
    np.save(tmp_path / "i.npy", np.full_like(ids, -1))
    code, said = run("run", place / "model.nb", *inputs)
    assert code == 1
    assert "holds the id -1, and those of vocab.txt are 0 to 1565" in " ".join(said.split())
    # Another vocabulary beside the file is refused, other texts are told.
    (place / "golden" / "texts.json").write_text(json.dumps([{"text": "发票", "ids": [1]}]))
    code, said = run("verify", place / "model.nb", "--json")
    assert "becomes other ids than the build recorded" in said
    (place / "vocab.txt").write_bytes(b"x\n")
    code, said = run("run", place / "model.nb", "--input", "input_ids=发票")
    assert code == 1
    assert "is not the vocabulary" in said


def test_padding_that_changes_the_answer_is_named(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    model = folder / "model.py"
    model.write_text(model.read_text().replace("* -1e4", "* 0.0"))
    [built] = edgeflow.build(folder, ["arm64"])
    assert not built.passed
    [said] = [line for line in built.record.broken if line.startswith("padding changes the answer: output 0 by ")]
    assert "softmax (softmax_0.tmp_0) is the first op that it reaches" in said


def test_sizes_are_held_to_the_embeddings(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    (folder / "words.txt").write_bytes(vocabulary() + b"one more\n")
    [found] = plan(folder, ["arm64"])
    [size] = [f for f in found.findings if f.code == "P714"]
    assert size.severity == "error"
    assert "has 1567 tokens, and the embedding embedding_0.w_0 has 1566 rows" in size.why
    recipe = folder / "edgeflow.toml"
    (folder / "words.txt").write_bytes(vocabulary())
    recipe.write_text(recipe.read_text().replace("max_length = 24", "max_length = 65"))
    [found] = plan(folder, ["arm64"])
    assert any("max_length is 65, and the embedding of positions" in f.why for f in found.findings)
    shutil.copy(folder / "words.txt", tmp_path / "words.txt")
    recipe.write_text(recipe.read_text().replace('vocab = "words.txt"', 'vocab = "../words.txt"'))
    with pytest.raises(EdgeflowError, match="leads out"):
        edgeflow.build(folder, ["arm64"])

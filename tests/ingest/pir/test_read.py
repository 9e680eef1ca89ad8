"""Files of Paddle 3 that are damaged, hostile or of no counterpart end in errors that name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeflow.core.errors import ModelError
from edgeflow.graph.structure import known
from edgeflow.ingest.paddle_files import read_paddle_files
from edgeflow.ingest.pir import read
from edgeflow.ingest.pir.table import old_attributes, rules
from edgeflow.ingest.pir.translate import old_program
from tests.ingest.pir.exports import Export, exports
from tests.ingest.pir.mutate import fuzz


@pytest.fixture(scope="module")
def convolution() -> Export:
    return next(export for export in exports("zoo_3.3.1.jsonl.xz") if export.name == "nn.Conv2D")


def _ops(document: Any) -> list[Any]:
    return document["program"]["regions"][0]["blocks"][0]["ops"]


def _changed(export: Export, change: Any) -> bytes:
    document = json.loads(json.dumps(export.program))
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["base_code"].update(version=5), "version 5; versions 1 to 4"),
        (lambda d: d["base_code"].update(magic="json"), "no Paddle 3 program"),
        (lambda d: _ops(d)[3]["I"][0].update({"%": 99}), "reads value 99, which nothing before it gives"),
        (lambda d: _ops(d)[0].update(A=[0, 1, 1, "conv2d_0.w_0"]), "two parameters have one name"),
        (lambda d: _ops(d)[3].update({"#": "1.roll_your_own"}), "no counterpart of roll_your_own"),
        (lambda d: _ops(d)[3]["A"].append({"N": "sharpness", "AT": {"#": "0.a_i32", "D": 1}}), "attribute sharpness"),
        (lambda d: _ops(d)[3]["A"].pop(0) and _ops(d)[3]["A"][0]["AT"].update(D=3), "no Paddle 3 program|damaged"),
        (lambda d: _ops(d)[3]["O"][0]["TT"]["D"][0].update({"#": "0.t_bf16"}), "uses bf16"),
    ],
    ids=range(8),
)
def test_damage_is_named(change: Any, message: str, convolution: Export) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        old_program(read.parse(_changed(convolution, change), "inference.json"), "inference.json")
    assert caught.value.try_ and "inference.json" in caught.value.what


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"[]", b"{}", b'{"base_code": {"magic": "pir"}}', b"\xff"])
def test_what_is_no_program(raw: bytes) -> None:
    with pytest.raises(ModelError, match=r"inference\.json"):
        read.parse(raw, "inference.json")


def test_all_ops_without_counterpart_are_named_before_any_work(convolution: Export) -> None:
    def change(document: Any) -> None:
        for k, op in enumerate(_ops(document)[3:6]):
            op["#"] = f"1.strange_{k % 2}"

    with pytest.raises(ModelError, match=r"strange_0 \(2 times\); strange_1"):
        old_program(read.parse(_changed(convolution, change), "m.json"), "m.json")


def test_weights_of_another_program(convolution: Export, tmp_path: Path) -> None:
    path = convolution.write(tmp_path)
    weights = path.with_suffix(".pdiparams")
    whole = weights.read_bytes()
    for damaged, message in (
        (whole[:-8], "truncated"),
        (whole + b"\0" * 8, "follow the last weight"),
        (b"", "truncated"),
    ):
        weights.write_bytes(damaged)
        with pytest.raises(ModelError, match=message):
            read_paddle_files(tmp_path, "inference.json", None)
    weights.unlink()
    with pytest.raises(ModelError, match="is missing"):
        read_paddle_files(tmp_path, "inference.json", None)


def test_any_json_gives_a_program_or_an_error() -> None:
    seeds = [
        json.dumps(export.program).encode() for k, export in enumerate(exports("zoo_3.3.1.jsonl.xz")) if k % 9 == 0
    ]
    done, refused, faults = fuzz(seeds, runs=700, seconds=20.0, seed=5)
    assert not faults, faults
    assert done > 100 and 0.3 < refused / done < 0.95


def test_the_table_says_what_2_6_2_registered() -> None:
    for name, rule in rules().items():
        entry, attrs = known()["ops"][rule.old], old_attributes()[rule.old]
        slots = [slot.name for slot in rule.inputs] + [slot.many for slot in rule.inputs]
        assert not {slot for slot in slots if slot} - set(entry["inputs"]), name
        assert not {slot for slot in rule.outputs if slot != "_"} - set(entry["outputs"]), name
        wanted = {slot.attr for slot in rule.inputs if slot.attr} | set(rule.renamed.values())
        assert not wanted - set(attrs), name

"""What the canonical file leaves out, and writes once instead of many times."""

from __future__ import annotations

import pytest

from edgeflow import nb
from edgeflow.nb.canonical import TRAINING_ONLY, UNREAD
from tests.conftest import GOLDEN


@pytest.mark.parametrize("case", ["net_lenet__int8_ptq_hist", "net_encoder__int8_ptq_hist", "net_lenet__int8_timvx"])
def test_the_same_model_in_fewer_bytes(case: str) -> None:
    path = GOLDEN / case / "model.nb"
    model = nb.canonical(nb.read(path))
    small = nb.trimmed(model)
    written = nb.to_bytes(small)
    assert nb.read_bytes(written).blocks == small.blocks, "shared strings and attributes read back as they were"
    saved = path.stat().st_size - len(written)
    assert saved > 300 * len(model.blocks[0].operations), "a few hundred bytes an op"
    for before, after in zip(model.blocks, small.blocks, strict=True):
        for a, b in zip(before.operations, after.operations, strict=True):
            gone = set(a.attributes) - set(b.attributes)
            gone = {name for name in gone if not name.endswith("0_threshold")}
            assert gone <= {"quantization_type"} | TRAINING_ONLY | UNREAD.get(a.type, frozenset())
            assert {k: v for k, v in a.attributes.items() if k in b.attributes} == b.attributes


def test_equal_attributes_of_different_sign_stay_apart() -> None:
    ops = tuple(
        nb.Op("scale", {"X": ("x",)}, {"Out": (f"y{k}",)}, {"bias": nb.Attribute(nb.AttrType.FLOAT, value)})
        for k, value in enumerate((0.0, -0.0))
    )
    model = nb.Model(nb.Header(2, "v2.13-rc"), (nb.Block(ops),), {})
    first, second = nb.read_bytes(nb.to_bytes(model)).blocks[0].operations
    assert str(first.attr("bias")) == "0.0" and str(second.attr("bias")) == "-0.0"

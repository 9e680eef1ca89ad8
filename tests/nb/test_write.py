"""Writing: read(write(x)) == x for any model, canonical bytes, and the real runtime loads them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow import nb
from edgeflow.core.errors import NbError
from edgeflow.nb import Attribute, AttrType, Block, Op
from tests.conftest import GOLDEN
from tests.nb.make import model, op

INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = {
    AttrType.INT: INT32,
    AttrType.FLOAT: FLOAT32,
    AttrType.STRING: TEXT,
    AttrType.INTS: st.lists(INT32, max_size=4),
    AttrType.FLOATS: st.lists(FLOAT32, max_size=4),
    AttrType.STRINGS: st.lists(TEXT, max_size=3),
    AttrType.BOOLEAN: st.booleans(),
    AttrType.BOOLEANS: st.lists(st.booleans(), max_size=3),
    AttrType.BLOCK: INT32,
    AttrType.LONG: INT64,
    AttrType.BLOCKS: st.lists(INT32, max_size=2),
    AttrType.LONGS: st.lists(INT64, max_size=3),
    AttrType.FLOAT64S: st.lists(st.floats(allow_nan=False), max_size=3),
    AttrType.VAR: TEXT,
    AttrType.VARS: st.lists(TEXT, max_size=2),
    AttrType.FLOAT64: st.floats(allow_nan=False),
}
ATTRIBUTES = st.one_of(
    *[
        st.builds(Attribute, st.just(k), v.map(lambda x: tuple(x) if isinstance(x, list) else x))
        for k, v in VALUES.items()
    ]
)
ARGUMENTS = st.dictionaries(TEXT, st.lists(TEXT, max_size=3).map(tuple), max_size=3)
OPS = st.builds(Op, TEXT, ARGUMENTS, ARGUMENTS, st.dictionaries(TEXT, ATTRIBUTES, max_size=4), st.booleans())


@settings(max_examples=60, deadline=None)
@given(ops=st.lists(OPS, max_size=4), index=INT32, forward=INT32)
def test_any_model_survives_the_round_trip(ops: list[Op], index: int, forward: int) -> None:
    made = replace(model([]), blocks=(Block(tuple(ops), (), index, 0, forward),))
    written = nb.to_bytes(made)
    again = nb.read_bytes(written)
    assert again == made
    assert nb.to_bytes(again) == written


def test_order_of_parameters_does_not_matter() -> None:
    weights = {"b": np.ones(3, np.float32), "a": np.zeros(2, np.float32)}
    made = model([op("relu", {"X": "x"}, {"Out": "y"})], weights)
    turned = replace(made, parameters=dict(reversed(made.parameters.items())))
    assert nb.to_bytes(made) == nb.to_bytes(turned)


def test_what_the_header_cannot_hold_is_refused() -> None:
    made = model([op("relu", {"X": "x"}, {"Out": "y"})])
    with pytest.raises(NbError, match="opt version takes 17 bytes"):
        nb.to_bytes(replace(made, header=nb.Header(2, "v" * 17)))


def npu_file(order: list[str], garbage: int) -> nb.Model:
    """A subgraph as opt writes it: outputs in pointer order, one twice, garbage in the block's indices."""
    scales = {name: float(i + 1) for i, name in enumerate(sorted(set(order)))}
    attributes = {f"Outputs{i}_scale": Attribute(AttrType.FLOATS, (scales[name],)) for i, name in enumerate(order)}
    inputs = tuple(["x", "v", "w"] if garbage % 2 else ["w", "x", "v"])
    attributes[f"Inputs{inputs.index('w')}_scale"] = Attribute(AttrType.FLOATS, (0.5,))
    sub = op(
        "subgraph",
        {"Inputs": inputs},
        {"Outputs": tuple(order)},
        "def/18/4/1",
        sub_block=1,
        output_data_names=("y",),
        **attributes,
    )
    inner = Block((op("relu", {"X": "x"}, {"Out": "y"}, None),), (), garbage, 0, garbage * 3)
    return model([sub], blocks=(inner,))


def test_content_hash_ignores_what_opt_leaves_to_chance() -> None:
    names = ["a", "b", "c", "y"]
    hashes = set()
    for seed in range(6):
        order = [*names, "b"]
        random.Random(seed).shuffle(order)
        hashes.add(nb.content_hash(npu_file(order, seed * 77 - 300)))
    assert len(hashes) == 1
    other = npu_file(names, 0)
    changed = replace(other, header=nb.Header(2, "v2.12"))
    assert nb.content_hash(changed) not in hashes


def test_garbage_after_the_version_is_ignored() -> None:
    blob = bytearray((GOLDEN / "net_lenet__fp32" / "model.nb").read_bytes())
    first = nb.content_hash(nb.read_bytes(bytes(blob)))
    blob[12:17] = b"\xde\xad\xbe\xef\x01"
    assert nb.content_hash(nb.read_bytes(bytes(blob))) == first


@pytest.mark.build
def test_the_real_runtime_runs_what_we_wrote(built: Path, tmp_path: Path) -> None:
    from edgeflow.deploy.paddle_lite import PaddleLite

    source = built / "build" / "x86" / "model.nb"
    copy = tmp_path / "copy.nb"
    nb.write(nb.read(source), copy)
    reference = np.load(built / "build" / "x86" / "reference.npz")
    feed = {"image": reference["input/image"][:16]}
    with PaddleLite(copy) as runner:
        got = next(iter(runner.infer(feed).values()))
    assert np.abs(got - reference["output/0"][:16]).max() < 1e-4

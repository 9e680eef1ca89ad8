"""Every real file parses, and says what SPEC.md promises."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.nb import AttrType, DType
from tests.conftest import GOLDEN, WHOLE, WILD
from tests.nb.make import model, op

FILES = sorted({p.parent.name: p for root in (WILD, WHOLE, GOLDEN) for p in root.glob("*/model.nb")}.items())


@pytest.mark.parametrize("path", [p for _, p in FILES], ids=[name for name, _ in FILES])
def test_real_files_round_trip(path: Path) -> None:
    found = nb.read(path)
    assert found.header.meta_version == 2
    assert found.inputs
    assert found.outputs
    written = nb.to_bytes(found)
    again = nb.read_bytes(written)
    assert again == found
    assert nb.to_bytes(again) == written
    assert nb.content_hash(again) == nb.content_hash(found)


def test_lenet_in_detail() -> None:
    found = nb.read(GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb")
    assert found.header == nb.Header(2, "v2.13-rc")
    assert found.program_version == 2006002
    first = found.blocks[0].operations[2]
    assert first.type == "conv2d"
    assert first.kernel == nb.Kernel("conv2d", "fp32_out", "arm", "int8", "NCHW")
    assert first.attributes["enable_int8"] == nb.Attribute(AttrType.BOOLEAN, True)
    weight = found.parameters["conv2d_0.w_0"]
    assert weight.dtype is DType.INT8
    assert weight.dims == (6, 1, 5, 5)
    array = weight.array()
    assert array.dtype == np.int8
    assert not array.flags.writeable
    assert np.abs(array.astype(int)).max() <= 127


def test_meta_version_1_reads_the_same() -> None:
    found = nb.read(GOLDEN / "net_lenet__fp32" / "model.nb")
    from dataclasses import replace

    older = replace(found, header=nb.Header(1, "v2.8"))
    again = nb.read_bytes(nb.to_bytes(older))
    assert again == older
    assert again.parameters == found.parameters


def test_every_attribute_type_and_dtype_round_trips() -> None:
    attributes = {
        "i": nb.Attribute(AttrType.INT, -5),
        "f": nb.Attribute(AttrType.FLOAT, 0.5),
        "z": nb.Attribute(AttrType.FLOAT, -0.0),
        "s": nb.Attribute(AttrType.STRING, "ü"),
        "is": nb.Attribute(AttrType.INTS, (1, -2)),
        "fs": nb.Attribute(AttrType.FLOATS, (0.25,)),
        "ss": nb.Attribute(AttrType.STRINGS, ("a", "")),
        "b": nb.Attribute(AttrType.BOOLEAN, True),
        "bs": nb.Attribute(AttrType.BOOLEANS, (True, False)),
        "k": nb.Attribute(AttrType.BLOCK, 3),
        "l": nb.Attribute(AttrType.LONG, -(2**40)),
        "ks": nb.Attribute(AttrType.BLOCKS, (1, 2)),
        "ls": nb.Attribute(AttrType.LONGS, (2**40,)),
        "d": nb.Attribute(AttrType.FLOAT64, 0.1),
        "ds": nb.Attribute(AttrType.FLOAT64S, (0.1, 0.2)),
        "v": nb.Attribute(AttrType.VAR, "x"),
        "vs": nb.Attribute(AttrType.VARS, ("x", "y")),
    }
    weights = {
        name: np.arange(6).reshape(2, 3).astype(name)
        for name in ("bool", "int16", "int32", "int64", "float16", "float32", "float64", "uint8", "int8")
    }
    made = model([op("relu", {"X": "x"}, {"Out": "y"}, **attributes)], weights)
    again = nb.read_bytes(nb.to_bytes(made))
    assert again == made
    assert struct.pack("<d", again.blocks[0].operations[1].attr("z")) == struct.pack("<d", -0.0)
    for name, array in weights.items():
        assert np.array_equal(again.parameters[name].array(), array)


def test_opening_a_large_file_is_instant_and_small(tmp_path: Path) -> None:
    path = tmp_path / "large.nb"
    nb.write(
        model([op("relu", {"X": "x"}, {"Out": "y"})], {f"w{i}": np.ones((1 << 20,), np.float32) for i in range(8)}),
        path,
    )
    nb.read(path)
    tracemalloc.start()
    since = time.process_time()
    found = nb.read(path)
    assert time.process_time() - since < 0.5
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert found.parameters["w3"].array().sum() == 1 << 20

"""Bytes that lie: each rule of the format has a file that breaks it, and the error names the rule and the offset."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import pytest

from edgeflow import nb
from edgeflow.core.errors import NbError
from edgeflow.nb.flat import Flat
from edgeflow.nb.read import HEADER
from tests.conftest import GOLDEN
from tests.nb.make import header, model, op

LENET = (GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb").read_bytes()
TOPOLOGY = struct.unpack_from("<Q", LENET, 18)[0]
PARAMS_AT = HEADER.size + TOPOLOGY


def changed(at: int, value: bytes) -> bytes:
    return LENET[:at] + value + LENET[at + len(value) :]


def topology(build: object) -> bytes:
    """A file whose topology is one root table that `build` fills."""
    builder = flatbuffers.Builder(256)
    builder.Finish(build(builder))  # type: ignore[operator]
    body = bytes(builder.Output())
    return header(size=len(body)) + body


BROKEN = {
    "empty": (b"", "ends inside the header: 0 of 26"),
    "short header": (LENET[:20], "ends inside the header: 20 of 26"),
    "meta version": (changed(0, b"\x07\x00"), "meta version is 7"),
    "topology size": (changed(18, struct.pack("<Q", 1 << 60)), "promises 1152921504606846976 bytes of topology"),
    "root outside": (changed(26, struct.pack("<I", 0xFFFFFFFF)), "lies outside"),
    "vtable outside": (header(size=8) + struct.pack("<Ii", 4, -5000), "lies outside"),
    "no blocks": (topology(lambda b: (b.StartObject(3), b.EndObject())[1]), "has no block"),
    "params version": (changed(PARAMS_AT, b"\x01\x00"), "version is 1, and should be 0"),
    "params meta": (changed(PARAMS_AT + 2, b"\xff\xff"), "header size is|header ends outside|promises|file ends"),
    "params header": (changed(PARAMS_AT + 4, b"\x09\x00"), "header size is 9"),
    "params count": (changed(PARAMS_AT + 6, b"\xff\xff"), "file ends before parameter"),
    "params cut": (LENET[: PARAMS_AT + 5], "ends inside their header"),
    "param size": (changed(PARAMS_AT + 12, struct.pack("<I", 0x7FFFFFFF)), "promises 2147483647 bytes"),
    "param offset": (changed(PARAMS_AT + 16, struct.pack("<I", 1)), "promises"),
    "param tail": (LENET[:-40], "promises"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule_is_named(name: str) -> None:
    blob, message = BROKEN[name]
    with pytest.raises(NbError, match=message):
        nb.read_bytes(blob)


def test_offset_is_named() -> None:
    with pytest.raises(NbError, match=r"\(offset \d+\)"):
        nb.read_bytes(changed(26, struct.pack("<I", 0xFFFFFFFF)))


def test_path_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.nb"
    path.write_bytes(LENET[:100])
    with pytest.raises(NbError, match=r"broken\.nb: header promises"):
        nb.read(path)
    with pytest.raises(NbError, match="cannot be read"):
        nb.read(tmp_path / "missing.nb")


def vector(b: flatbuffers.Builder, item: int) -> int:
    b.StartVector(4, 1, 4)
    b.PrependUOffsetTRelative(item)
    return int(b.EndVector())


def table(b: flatbuffers.Builder, slots: int, **fields: int) -> int:
    """A table whose slots `sN` hold offsets."""
    b.StartObject(slots)
    for name, offset in fields.items():
        b.PrependUOffsetTRelativeSlot(int(name[1:]), offset, 0)
    return int(b.EndObject())


def file_with_op(build: Callable[[flatbuffers.Builder], int]) -> bytes:
    """A file of one block with one op, which `build` makes."""
    return topology(lambda b: table(b, 3, s0=vector(b, table(b, 5, s3=vector(b, build(b))))))


def test_unknown_attribute_type() -> None:
    def build(b: flatbuffers.Builder) -> int:
        name, kind = b.CreateString("a"), b.CreateString("relu")
        b.StartObject(16)
        b.PrependUOffsetTRelativeSlot(0, name, 0)
        b.PrependInt32Slot(1, 99, 0)
        return table(b, 5, s0=kind, s3=vector(b, b.EndObject()))

    with pytest.raises(NbError, match="attribute 'a' has type 99"):
        nb.read_bytes(file_with_op(build))


def test_missing_names() -> None:
    with pytest.raises(NbError, match="op type is missing"):
        nb.read_bytes(file_with_op(lambda b: table(b, 5)))


def one_parameter(dims: tuple[int, ...], dtype: int, data: bytes, tag: int = 1, count: int = 1) -> bytes:
    def build(b: flatbuffers.Builder) -> bytes:
        content = b.CreateByteVector(data)
        b.StartVector(8, len(dims), 8)
        for dim in reversed(dims):
            b.PrependInt64(dim)
        shape, name = b.EndVector(), b.CreateString("w")
        b.StartObject(5)
        b.PrependUOffsetTRelativeSlot(2, shape, 0)
        b.PrependInt32Slot(3, dtype, 0)
        b.PrependUOffsetTRelativeSlot(4, content, 0)
        desc = b.EndObject()
        b.StartObject(4)
        b.PrependUOffsetTRelativeSlot(1, name, 0)
        b.PrependUint8Slot(2, tag, 0)
        b.PrependUOffsetTRelativeSlot(3, desc, 0)
        b.Finish(b.EndObject())
        return bytes(b.Output())

    plain = nb.to_bytes(model([op("relu", {"X": "x"}, {"Out": "y"})]))
    end = HEADER.size + struct.unpack_from("<Q", plain, 18)[0]
    body = build(flatbuffers.Builder(256))
    one = struct.pack("<II", len(body) + 4, 4) + body
    return plain[:end] + struct.pack("<HHHHI", 0, 0, 6, count, len(data)) + one * count


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (one_parameter((2, 2), 5, b"\0" * 15), "takes 16 bytes but holds 15"),
        (one_parameter((1 << 40, 1 << 40), 5, b""), "takes .* bytes but holds 0"),
        (one_parameter((-1,), 5, b""), "has the shape"),
        (one_parameter((1,) * 40, 5, b"\0" * 4), "has the shape"),
        (one_parameter((1,), 7, b"\0" * 4), "holds no numbers"),
        (one_parameter((1,), 99, b"\0" * 4), "variable type 99 is unknown"),
        (one_parameter((1,), 5, b"\0" * 4, tag=3), "holds variant 3"),
        (one_parameter((1,), 5, b"\0" * 4, count=2), "stands twice"),
    ],
    ids=["size", "product", "negative", "rank", "kind", "dtype", "variant", "twice"],
)
def test_lying_parameters(blob: bytes, message: str) -> None:
    with pytest.raises(NbError, match=message):
        nb.read_bytes(blob)


def test_overlapping_tables_cost_no_more_than_the_file() -> None:
    """A vector that names one table a hundred thousand times would cost the square of the file's size."""
    builder = flatbuffers.Builder(1 << 20)
    names = [builder.CreateString("x" * 1000)]
    builder.StartVector(4, 20_000, 4)
    for _ in range(20_000):
        builder.PrependUOffsetTRelative(names[0])
    vector = builder.EndVector()
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(1, vector, 0)
    builder.Finish(builder.EndObject())
    flat = Flat(memoryview(bytes(builder.Output())), 0, "topology")
    since = time.process_time()
    with pytest.raises(NbError, match="overlap"):
        flat.root().strings(1)
    assert time.process_time() - since < 2


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_gives_a_value_or_an_nb_error(seed: int) -> None:
    source = random.Random(seed)
    blob = bytearray(LENET)
    for _ in range(source.randrange(1, 30)):
        blob[source.randrange(len(blob))] = source.randrange(256)
    if source.random() < 0.3:
        del blob[source.randrange(len(blob)) :]
    try:
        nb.to_bytes(nb.read_bytes(bytes(blob)))
    except NbError as err:
        assert err.what


def test_version_0_is_named_for_what_it_is() -> None:
    topology_0 = naive_program(["conv2d", "relu", "conv2d"])
    with pytest.raises(NbError, match=r"before 2\.7.*3 ops \(conv2d x2, relu x1\)") as caught:
        nb.read_bytes(header(0, b"v2.6.1", len(topology_0)) + topology_0)
    assert "edgeflow build" in caught.value.try_
    with pytest.raises(NbError, match="meta version is 0"):
        nb.read_bytes(header(0, b"v2.6.1", 8) + b"\xff" * 8)


def test_a_topology_without_a_header_is_named() -> None:
    """__model__.nb before 2.7, its weights apart: the first bytes are a count."""
    blob = naive_program(["feed", "conv2d", "fetch"], first="feed")
    with pytest.raises(NbError, match=r"is a __model__\.nb as opt wrote it before 2\.7.*it holds 3 ops"):
        nb.read_bytes(blob)


def naive_program(ops: list[str], first: str = "x") -> bytes:
    """A naive-buffer topology: fields one after another, counts as uint64."""

    def text(s: str) -> bytes:
        return struct.pack("<Q", len(s)) + s.encode()

    def empty(n: int) -> bytes:
        return struct.pack("<Q", 0) * n

    attr = (
        text("axis")
        + struct.pack("<iif", 0, 1, 0.0)
        + text("")
        + empty(3)
        + b"\0"
        + empty(1)
        + struct.pack("<iq", 0, 0)
        + empty(2)
    )
    body = b"".join(text(kind) + empty(2) + struct.pack("<Q", 1) + attr + b"\0" for kind in ops)
    tensor = struct.pack("<i", 5) + struct.pack("<Qq", 1, 4)
    var = (
        text(first)
        + struct.pack("<i", 10)
        + tensor
        + tensor
        + struct.pack("<i", 0)
        + tensor
        + struct.pack("<i", 0)
        + empty(2)
        + b"\0"
    )
    block = (
        struct.pack("<ii", 0, -1)
        + struct.pack("<Q", 1)
        + var
        + struct.pack("<Q", len(ops))
        + body
        + struct.pack("<i", -1)
    )
    return struct.pack("<Q", 1) + block + struct.pack("<q", 0)

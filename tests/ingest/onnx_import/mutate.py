"""ONNX models changed at random, by field and by byte, put through reading and translation: scripts/fuzz_onnx."""

from __future__ import annotations

import random
import struct
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import Any

import onnx

from edgeflow.core.errors import EdgeflowError, ModelError
from edgeflow.ingest.onnx_import.families import TABLE
from tests.ingest.onnx_import.nodes import NODES, model_of

NUMBERS = (0, 1, -1, 2, 3, 7, 33, -2, 1000, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 40, (1 << 63) - 1, -(1 << 63))
FLOATS = (0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 1e38, 1e-38, 0.5)
NAMES = ("", "feed", "fetch", "x0", "y0", "\x1b[2J", "a" * 3000, "ä", "../w.bin", "/etc/passwd")
OPS = sorted(TABLE)


@dataclass
class Found:
    """How often it ran, how often it refused, and the faults by the end of their traceback."""

    runs: int = 0
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    slow: float = 0.0


def seeds(folders: Sequence[Path] = ()) -> list[bytes]:
    """The one-node models of the tests, and small files of folders."""
    own = [model_of(node)[0].SerializeToString() for node in NODES]
    files = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.onnx"))]
    return own + [raw for raw in files if len(raw) < 1 << 20]


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """A few fields changed; now and then bytes."""
    if dice.random() < 0.2:
        changed = bytearray(raw)
        for _ in range(dice.choice((1, 1, 2, 5))):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        return bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.1 else changed)
    model = onnx.ModelProto.FromString(raw)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        dice.choice((_node, _node, _node, _tensor, _value, _shuffle, _model))(model, dice)
    return bytes(model.SerializePartialToString())


def _names(model: Any) -> list[str]:
    graph = model.graph
    found = [n for node in graph.node for n in (*node.input, *node.output)]
    return [*found, *(t.name for t in graph.initializer), *(v.name for v in graph.input), *NAMES]


def _node(model: Any, dice: random.Random) -> None:
    if not model.graph.node:
        return
    node, what = dice.choice(model.graph.node), dice.random()
    names = _names(model)
    if what < 0.1:
        node.op_type = dice.choice(OPS)
    elif what < 0.15:
        node.domain = dice.choice(("", "ai.onnx", "com.microsoft", "x"))
    elif what < 0.5:
        slot = dice.choice((node.input, node.input, node.output))
        if dice.random() < 0.3 and slot:
            slot.pop()
        elif dice.random() < 0.3 or not slot:
            slot.append(dice.choice(names))
        else:
            slot[dice.randrange(len(slot))] = dice.choice(names)
    elif node.attribute and what < 0.9:
        attr = dice.choice(node.attribute)
        if dice.random() < 0.1:
            node.attribute.remove(attr)
            return
        if dice.random() < 0.1:
            attr.type = dice.choice(list(onnx.AttributeProto.AttributeType.values()))
        if dice.random() < 0.1:
            attr.name = dice.choice(("axis", "axes", "pads", "perm", "to", "mode", "value", "keepdims"))
        attr.i, attr.f = dice.choice(NUMBERS), dice.choice(FLOATS)
        if attr.ints and dice.random() < 0.3:
            attr.ints.pop()
        elif attr.ints:
            attr.ints[dice.randrange(len(attr.ints))] = dice.choice(NUMBERS)
        if dice.random() < 0.2:
            attr.s = dice.choice((b"", b"edge", b"\xff\xfe", b"linear", b"SAME_UPPER"))
    else:
        name = dice.choice(("axis", "axes", "pads", "strides", "group", "mode", "to", "keepdims", "auto_pad", "perm"))
        choices: tuple[Any, ...] = (
            dice.choice(NUMBERS),
            [dice.choice(NUMBERS)] * dice.randrange(1, 5),
            "SAME_LOWER",
            0.5,
        )
        node.attribute.append(onnx.helper.make_attribute(name, dice.choice(choices)))


def _tensor(model: Any, dice: random.Random) -> None:
    if not model.graph.initializer:
        return
    tensor, what = dice.choice(model.graph.initializer), dice.random()
    if what < 0.2:
        tensor.name = dice.choice(_names(model))
    elif what < 0.4:
        tensor.data_type = dice.choice(list(onnx.TensorProto.DataType.values()))
    elif what < 0.5:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=dice.choice(NAMES))
    elif what < 0.75 and tensor.data_type == onnx.TensorProto.INT64 and tensor.raw_data:
        import struct

        count = len(tensor.raw_data) // 8
        values = list(struct.unpack(f"<{count}q", tensor.raw_data[: 8 * count]))
        values[dice.randrange(count)] = dice.choice(NUMBERS)
        tensor.raw_data = struct.pack(f"<{count}q", *values)
    elif tensor.dims and dice.random() < 0.7:
        tensor.dims[dice.randrange(len(tensor.dims))] = dice.choice(NUMBERS)
    else:
        tensor.dims.append(dice.choice(NUMBERS))


def _value(model: Any, dice: random.Random) -> None:
    values = [*model.graph.input, *model.graph.output]
    value = dice.choice(values)
    shape, what = value.type.tensor_type.shape, dice.random()
    if what < 0.15:
        value.name = dice.choice(_names(model))
    elif what < 0.3:
        value.type.tensor_type.elem_type = dice.choice(list(onnx.TensorProto.DataType.values()))
    elif what < 0.4:
        value.type.sequence_type.SetInParent()
    elif shape.dim and what < 0.8:
        dim = dice.choice(shape.dim)
        dim.dim_value = dice.choice(NUMBERS)
        if dice.random() < 0.3:
            dim.dim_param = dice.choice(("N", "", "?", "H"))
    elif dice.random() < 0.5 or not shape.dim:
        shape.dim.add(dim_value=dice.choice(NUMBERS))
    else:
        shape.dim.pop()


def _shuffle(model: Any, dice: random.Random) -> None:
    """Take a node out, repeat it, or put it elsewhere."""
    nodes = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    if not nodes:
        return
    at = dice.randrange(len(nodes))
    node = nodes[at] if dice.random() < 0.3 else nodes.pop(at)
    if dice.random() < 0.6:
        nodes.insert(dice.randrange(len(nodes) + 1), node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _model(model: Any, dice: random.Random) -> None:
    if dice.random() < 0.5 and model.opset_import:
        model.opset_import[0].version = dice.choice((*range(7, 22), *NUMBERS))
    else:
        model.ir_version = dice.choice((3, 4, 8, 10, 0, 99))


def here(model: Any) -> Any:
    """As edgeflow.ingest.onnx_import.apart.infer_shapes, in this process, which a crash of onnx ends."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as err:
        raise ModelError((str(err).strip().splitlines() or [type(err).__name__])[0]) from err


TALLY = struct.Struct("QQd")
"""Executions, refusals, and the seconds of the slowest."""

SAVED = 0.01
"""Share of executions that also store what was translated."""


def fuzz(
    given: Sequence[bytes],
    *,
    seconds: float,
    seed: int,
    runs: int = 1 << 60,
    keep: Path | None = None,
    apart: bool = True,
    tally: mmap | None = None,
    say: Callable[[str], None] = print,
) -> Found:
    """Mutate and translate; stops by the clock or by the count.

    Args:
        keep: where each file is written before it is read, to be found after a crash; best in memory.
        apart: have onnx infer shapes in a process of its own, as the product does; ten times slower.
        tally: where counts stand (TALLY), for who outlives a crash.
    """
    from edgeflow.ingest.onnx_import import fold
    from edgeflow.ingest.onnx_import.translate import read_onnx, translate

    dice, found, own = random.Random(seed), Found(), fold.infer_shapes
    told = time.monotonic()
    end = told + seconds
    fold.infer_shapes = own if apart else here
    try:
        with tempfile.TemporaryDirectory(dir=None if keep is None else keep.parent) as folder:
            path = Path(folder) / "m.onnx" if keep is None else keep
            while time.monotonic() < end and found.runs < runs:
                raw = mutated(dice.choice(given), dice)
                path.write_bytes(raw)
                found.runs += 1
                start = time.monotonic()
                try:
                    translate(path, Path(folder) / "out") if dice.random() < SAVED else read_onnx(path)
                except EdgeflowError:
                    found.refused += 1
                except Exception:
                    trace = "\n".join(traceback.format_exc().splitlines()[-8:])
                    found.faults[trace] += 1
                    if found.faults[trace] == 1:
                        say(f"new: {trace}")
                took = time.monotonic() - start
                if took > found.slow:
                    found.slow = took
                    if keep is not None:
                        keep.with_suffix(".slowest").write_bytes(raw)
                if tally is not None:
                    TALLY.pack_into(tally, 0, found.runs, found.refused, found.slow)
                if time.monotonic() > told + 60:
                    told = time.monotonic()
                    say(f"{found.runs} executions, {found.refused} refused, {len(found.faults)} kinds of fault")
    finally:
        fold.infer_shapes = own
    return found

"""Files that read, and whose ops and shapes do not fit: an error that names the op, within seconds, and no signal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.errors import NbError
from edgeflow.emulate import Emulator
from edgeflow.nb.diff import diff
from tests.conftest import ROOT
from tests.nb.make import model, op

IMAGE = {"x": (1, 4, 8, 8)}
FILTER = np.ones((6, 4, 3, 3), np.float32)


def conv(kind: str = "conv2d", weight: np.ndarray = FILTER, **attributes: Any) -> nb.Model:
    table: dict[str, Any] = {"strides": (1, 1), "paddings": (0, 0), "dilations": (1, 1), "groups": 1, **attributes}
    return model([op(kind, {"Input": "x", "Filter": "w"}, {"Output": "y"}, **table)], {"w": weight}, IMAGE)


def one(kind: str, inputs: dict[str, Any], out: str = "Out", weights: Any = None, **attributes: Any) -> nb.Model:
    return model([op(kind, inputs, {out: "y"}, **attributes)], weights, IMAGE)


def lstm(*shapes: tuple[int, ...], hidden: int = 3, **attributes: Any) -> nb.Model:
    names = [f"w{i}" for i in range(len(shapes))]
    weights = {name: np.ones(shape, np.float32) for name, shape in zip(names, shapes, strict=True)}
    states = {"h": np.zeros((1, 2, hidden), np.float32), "c": np.zeros((1, 2, hidden), np.float32)}
    inputs = {"Input": "x", "WeightList": tuple(names), "PreState": ("h", "c")}
    made = op(
        "rnn", inputs, {"Out": "y"}, mode="LSTM", num_layers=1, hidden_size=hidden, is_bidirec=False, **attributes
    )
    return model([made], weights | states, {"x": (5, 2, 4)})


GOOD_LSTM = ((12, 4), (12, 3), (12,), (12,))
DAMAGED = {
    "kernel of 0": conv(weight=np.ones((6, 4, 3, 0), np.float32)),
    "no filters": conv(weight=np.ones((0, 4, 3, 3), np.float32)),
    "stride of 0": conv(strides=(0, 1)),
    "stride below 0": conv(strides=(-1, -1)),
    "enormous stride": conv(strides=(2**31 - 1, 1)),
    "padding below 0": conv(paddings=(-2, 1)),
    "enormous padding": conv(paddings=(2**30, 2**30)),
    "dilation of 0": conv(dilations=(0, 0)),
    "enormous dilation": conv(dilations=(2**31 - 1, 2**31 - 1)),
    "kernel larger than the input": conv(weight=np.ones((6, 4, 9, 9), np.float32)),
    "groups of 0": conv(groups=0),
    "groups that do not divide": conv(groups=3),
    "channels that differ": conv(weight=np.ones((6, 5, 3, 3), np.float32)),
    "strides of one number": conv(strides=(1,)),
    "strides of words": conv(strides=("a", "b")),
    "filter of three dimensions": conv(weight=np.ones((6, 4, 3), np.float32)),
    "deconv stride of 0": conv("conv2d_transpose", np.ones((4, 6, 3, 3), np.float32), strides=(0, 0)),
    "deconv channels": conv("conv2d_transpose", np.ones((5, 6, 3, 3), np.float32)),
    "deconv groups": conv("conv2d_transpose", np.ones((4, 6, 3, 3), np.float32), groups=3),
    "deconv that leaves nothing": conv("conv2d_transpose", np.ones((4, 6, 3, 3), np.float32), paddings=(30, 30)),
    "pool kernel of 0": one("pool2d", {"X": "x"}, pooling_type="avg", ksize=(0, 0), strides=(1, 1), paddings=(0, 0)),
    "pool stride of 0": one("pool2d", {"X": "x"}, pooling_type="max", ksize=(2, 2), strides=(0, 0), paddings=(0, 0)),
    "pool padding below 0": one(
        "pool2d", {"X": "x"}, pooling_type="max", ksize=(2, 2), strides=(1, 1), paddings=(-1, -1)
    ),
    "enormous pool kernel": one(
        "pool2d", {"X": "x"}, pooling_type="avg", ksize=(60000, 60000), strides=(1, 1), paddings=(30000, 30000)
    ),
    "lstm rows": lstm((8, 4), *GOOD_LSTM[1:]),
    "lstm input columns": lstm((12, 5), *GOOD_LSTM[1:]),
    "lstm hidden columns": lstm(GOOD_LSTM[0], (12, 2), *GOOD_LSTM[2:]),
    "lstm columns of 0": lstm((12, 0), *GOOD_LSTM[1:]),
    "lstm bias": lstm(*GOOD_LSTM[:2], (8,), (8,)),
    "lstm without weights": lstm(),
    "lstm hidden size": lstm(*GOOD_LSTM, hidden=5),
    "matrix rows": one("matmul_v2", {"X": "x", "Y": "w"}, weights={"w": np.ones((9, 2), np.float32)}),
    "fc rows": one("fc", {"Input": "x", "W": "w"}, weights={"w": np.ones((9, 2), np.float32)}, in_num_col_dims=1),
    "batch norm channels": one(
        "batch_norm",
        {"X": "x", "Scale": "w", "Bias": "w", "Mean": "w", "Variance": "w"},
        "Y",
        {"w": np.ones(5, np.float32)},
    ),
    "slope": one("prelu", {"X": "x", "Alpha": "w"}, weights={"w": np.ones(5, np.float32)}, mode="channel"),
    "rows of an embedding": one(
        "lookup_table_v2",
        {"Ids": "i", "W": "w"},
        weights={"w": np.ones((5, 2), np.float32), "i": np.asarray([7], np.int64)},
    ),
    "indices": one("gather", {"X": "x", "Index": "i"}, weights={"i": np.asarray([9], np.int64)}, axis=1),
    "axis": one("softmax", {"X": "x"}, axis=9),
    "axes": one("transpose2", {"X": "x"}, axis=(0, 0, 1, 2)),
    "sections": one("split", {"X": "x"}, sections=(1, 9), axis=1),
    "parts of a concat": one("concat", {"X": ("x", "w")}, weights={"w": np.ones((1, 4, 7, 7), np.float32)}, axis=1),
    "enormous expand": one("expand_v2", {"X": "x"}, shape=(65536, 4, 65536, 65536)),
    "enormous tile": one("tile", {"X": "x"}, repeat_times=(1, 65536, 65536, 1)),
    "enormous fill": one("fill_constant", {}, shape=(65536, 65536, 65536), value=1.0, dtype=5),
    "enormous picture": one("nearest_interp_v2", {"X": "x"}, out_h=2**31 - 1, out_w=2**31 - 1),
    "reflected padding": one("pad2d", {"X": "x"}, paddings=(9, 9, 9, 9), mode="reflect"),
    "padding below nothing": one("pad2d", {"X": "x"}, paddings=(-9, 0, 0, 0), mode="constant"),
    "shuffle": one("pixel_shuffle", {"X": "x"}, upscale_factor=3),
    "block of 0": one("pixel_shuffle", {"X": "x"}, upscale_factor=0),
    "groups of a norm": one("group_norm", {"X": "x"}, "Y", groups=3),
    "groups of 0 in a norm": one("group_norm", {"X": "x"}, "Y", groups=0),
    "channels of anchors": one("yolo_box", {"X": "x", "ImgSize": "x"}, "Boxes", anchors=(1, 2), class_num=7),
    "reshape": one("reshape2", {"X": "x"}, shape=(5, 7)),
    "missing input": one("relu", {}),
    "even lrn": one("lrn", {"X": "x"}, n=4),
    "diagonal": one("tril_triu", {"X": "w"}, weights={"w": np.ones(3, np.float32)}),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_shapes_that_do_not_fit(name: str) -> None:
    """Refused when the graph is lowered; before, several of these ended the process."""
    damaged = nb.read_bytes(nb.to_bytes(DAMAGED[name]))
    shape = damaged.input_specs[0].shape
    began = time.monotonic()
    with pytest.raises(NbError, match=r"^(op \d|out)") as found, Emulator(damaged) as emulator:
        emulator.infer({"x": np.zeros(shape, np.float32)})
    assert damaged.blocks[0].operations[1].type in str(found.value)
    assert time.monotonic() - began < 5
    with pytest.raises(NbError), Emulator(damaged) as emulator:
        emulator.export({})


def test_those_that_fit_run() -> None:
    for fits in (conv(), lstm(*GOOD_LSTM), conv("conv2d_transpose", np.ones((4, 6, 3, 3), np.float32))):
        with Emulator(fits) as emulator:
            assert emulator.infer({"x": np.ones(fits.input_specs[0].shape, np.float32)})["y"].size


def test_memory_and_work_are_bounded() -> None:
    """Each tensor is allowed, all of them together are not."""
    ops = [op("expand_v2", {"X": "x"}, {"Out": f"e{i}"}, shape=(1 << 14, 4, 64, 64)) for i in range(8)]
    wide = model([*ops, op("sum", {"X": tuple(f"e{i}" for i in range(8))}, {"Out": "y"})], None, {"x": (1, 4, 1, 1)})
    with pytest.raises(NbError, match="MiB would be in use at once"), Emulator(wide) as emulator:
        emulator.export({})
    long = model(
        [
            op("expand_v2", {"X": "x"}, {"Out": "e"}, shape=(1 << 14, 1 << 14)),
            *(op("matmul_v2", {"X": "e", "Y": "e"}, {"Out": f"y{i}"}) for i in range(8)),
        ],
        None,
        {"x": (1, 1)},
        ("y0",),
    )
    with pytest.raises(NbError, match="multiplications"), Emulator(long) as emulator:
        emulator.export({})


def test_whole_division_by_minus_one() -> None:
    """x86 ends the process where the smallest whole number is divided by -1; ARM wraps around."""
    lowest = np.iinfo(np.int32).min
    numbers = np.asarray([[lowest, 7, -7, 7]], np.int32)
    for kind, wanted in (("div", [lowest, -7, -3, 0]), ("mod", [0, 0, -1, 7]), ("floordiv", [lowest, -7, -3, 0])):
        divisors = np.asarray([[-1, -1, 2, 0]], np.int32)
        made = op(f"elementwise_{kind}", {"X": "x", "Y": "w"}, {"Out": "y"}, axis=-1)
        whole = model([made], {"w": divisors}, {"x": (1, 4)}, dtype=nb.DType.INT32)
        with Emulator(whole) as emulator:
            assert emulator.infer({"x": numbers})["y"].ravel().tolist() == wanted, kind


def test_an_export_without_anything_to_compute() -> None:
    for empty in (model([], None, {"x": (1, 2)}, ("x",)), model([], None, {}, ())):
        with pytest.raises(NbError, match="nothing is left to export"), Emulator(empty) as emulator:
            emulator.export({})


def test_an_export_whose_first_op_needs_data() -> None:
    inputs = {"x": (1, 4), "s": (2,)}
    asked = model([op("reshape2", {"X": "x", "Shape": "s"}, {"Out": "y"}, shape=(2, 2))], None, inputs)
    with pytest.raises(NbError, match="known only at run time"), Emulator(asked) as emulator:
        emulator.export({})


CYCLES = {
    "a circle of conversions": [
        op("scale", {"X": "b"}, {"Out": "a"}, scale=2.0),
        op("scale", {"X": "a"}, {"Out": "b"}, scale=2.0),
        op("relu", {"X": "b"}, {"Out": "y"}),
    ],
    "an op that reads itself": [op("calib", {"Input": "y"}, {"Out": "y"}, scale=1.0)],
    "a circle of ops": [op("relu", {"X": "b"}, {"Out": "y"}), op("relu", {"X": "y"}, {"Out": "b"})],
}


@pytest.mark.parametrize("name", CYCLES)
def test_diff_ends_on_cycles(name: str) -> None:
    damaged, good = model(CYCLES[name]), model([op("scale", {"X": "x"}, {"Out": "y"}, scale=2.0)])
    began = time.monotonic()
    assert not diff(damaged, good).same
    assert not diff(good, damaged).same
    assert diff(damaged, damaged).same
    assert time.monotonic() - began < 2


def test_diff_of_very_many_equal_ops() -> None:
    many = [op("relu", {"X": "x"}, {"Out": f"v{i}"}) for i in range(20_000)]
    began = time.monotonic()
    assert not diff(model(many), model([*many, op("tanh", {"X": "x"}, {"Out": "y"})])).same
    assert time.monotonic() - began < 20


def test_a_block_that_thousands_of_ops_name_is_looked_at_once() -> None:
    from edgeflow.nb.dataflow import nodes

    block = nb.Block(tuple(op("relu", {"X": "x"}, {"Out": "y"}, None) for _ in range(2000)))
    named = [op("subgraph", {"Inputs": "x"}, {"Outputs": "y"}, sub_block=1) for _ in range(2000)]
    assert len(nodes(model(named, blocks=(block,)), nested=True)) < 5000


def test_damage_ends_in_errors_only() -> None:
    """A seeded part of scripts/fuzz_topology, sessions in a process of their own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "fuzz_topology"), "--count", "400", "--first", "7000000"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "'ran':" in done.stdout


def test_every_node_that_lowerings_add_has_a_rule() -> None:
    """Quoted names of ONNX operators in the emulator's source are those with a rule."""
    import re

    import onnx

    from edgeflow.emulate.node_rules import RULES

    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    source = "".join(p.read_text() for p in sorted(Path(ROOT / "edgeflow" / "emulate" / "families").glob("*.py")))
    added = {name for name in re.findall(r'(?:add|reduce|add_many)\(\s*"(\w+)"', source) if name in known}
    assert added - set(RULES) == set()
    assert len(added) > 30

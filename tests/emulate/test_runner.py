"""One contract for everything that runs a model, and clear words for what does not fit it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgeflow import nb
from edgeflow.core.errors import DataError, NbError, UnsupportedOps
from edgeflow.emulate import Emulator
from edgeflow.emulate.families import HOST_OPS, LOWERINGS
from tests.conftest import GOLDEN
from tests.nb.make import Block, model, op

W = {"w": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)}
CONV = {"strides": (1, 1), "paddings": (1, 1), "dilations": (1, 1), "groups": 1}
X = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)


def conv(**more: object) -> nb.Op:
    return op("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "y"}, **{**CONV, **more})


@contextmanager
def runner(kind: str, built: Path) -> Iterator[object]:
    if kind == "emulator":
        with Emulator(built / "build" / "arm64" / "model.nb") as found:
            yield found
    elif kind == "paddle":
        from edgeflow.paddle.session import Program

        prefix = next((built / "build" / ".cache" / "ingest").glob("*/model.pdmodel")).with_suffix("")
        with Program(prefix, gpu=False) as program:
            yield program
    else:
        from edgeflow.deploy.paddle_lite import PaddleLite

        with PaddleLite(built / "build" / "x86" / "model.nb") as lite:
            yield lite


@pytest.mark.build
@pytest.mark.parametrize("kind", ["emulator", "paddle", "paddle-lite"])
def test_contract(kind: str, built: Path) -> None:
    reference = np.load(built / "build" / "arm64" / "reference.npz")
    with runner(kind, built) as found:
        assert [spec.name for spec in found.inputs] == ["image"]  # type: ignore[attr-defined]
        assert len(found.outputs) == 1  # type: ignore[attr-defined]
        assert found.name  # type: ignore[attr-defined]
        for count in (1, 5, 64):
            out = found.infer({"image": reference["input/image"][:count]})  # type: ignore[attr-defined]
            assert list(out) == list(found.outputs)  # type: ignore[attr-defined]
            got = next(iter(out.values()))
            assert got.dtype == np.float32
            assert np.abs(got - reference["output/0"][:count]).max() < 1e-4
        with pytest.raises(DataError):
            found.infer({"picture": reference["input/image"][:1]})  # type: ignore[attr-defined]


@pytest.mark.build
def test_paddle_lite_refuses_what_it_would_compute_wrongly(built: Path) -> None:
    from edgeflow.deploy.paddle_lite import PaddleLite

    with pytest.raises(NbError, match="kernels for arm"):
        PaddleLite(built / "build" / "arm64" / "model.nb")
    with pytest.raises(NbError, match="kernels for nnadapter"):
        PaddleLite(built / "build" / "kirin" / "model.nb")
    made = nb.read(built / "build" / "x86" / "model.nb")
    ops = tuple(
        op(o.type, dict(o.inputs), dict(o.outputs), "def/2/2/1") if o.type == "conv2d" else o
        for o in made.blocks[0].operations
    )
    int8 = built / "int8-x86.nb"
    nb.write(replace(made, blocks=(replace(made.blocks[0], operations=ops),)), int8)
    with pytest.raises(NbError, match="int8 kernels"):
        PaddleLite(int8)


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, "'x' missing"),
        ({"x": X, "z": X}, "'z' unknown"),
        ({"y": X}, "'x' missing and 'y' unknown"),
        ({"x": X.astype(np.float64)}, "is float64, and should be float32"),
        ({"x": X[0]}, "should have"),
        ({"x": X[:, :, :0]}, "holds no element"),
        ({"x": np.full_like(X, np.nan)}, "192 values that are NaN"),
        ({"x": X[:, :2]}, "has 2 channels"),
    ],
    ids=["none", "more", "other", "dtype", "rank", "empty", "nan", "channels"],
)
def test_bad_inputs_are_named(feed: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises((DataError, NbError), match=message):
        Emulator(model([conv()], W)).infer(feed)


def test_all_unsupported_ops_are_named_at_once() -> None:
    ops = [
        op("relu", {"X": "x"}, {"Out": "a"}),
        op("magic", {"X": "a"}, {"Out": "b"}),
        op("magic", {"X": "b"}, {"Out": "c"}),
        op("wand", {"X": "c"}, {"Out": "y"}),
    ]
    with pytest.raises(
        UnsupportedOps, match=r"2 op types cannot be emulated: magic \(2\), wand \(1\); they block 3 of 4 ops"
    ):
        Emulator(model(ops))


def test_read_before_write_and_cycles() -> None:
    with pytest.raises(NbError, match=r"op 1 \(relu\) reads 'b', which no earlier op"):
        Emulator(model([op("relu", {"X": "b"}, {"Out": "a"}), op("relu", {"X": "a"}, {"Out": "b"})], outputs=("b",)))
    with pytest.raises(NbError, match="output 'nowhere' is written by no op"):
        Emulator(model([op("relu", {"X": "x"}, {"Out": "y"})], outputs=("nowhere",)))


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf"), -1.0])
def test_impossible_scales(scale: float) -> None:
    made = model(
        [conv(enable_int8=True, Input0_scale=(scale,), Filter0_scale=(0.1,) * 4)], {"w": np.ones((4, 3, 3, 3), np.int8)}
    )
    ops = [op("calib", {"Input": "x"}, {"Out": "q"}, "fp32_to_int8/4/2/1", scale=0.1), *made.blocks[0].operations[1:-1]]
    ops[1] = replace(ops[1], inputs={"Input": ("q",), "Filter": ("w",)})
    whole = model(ops, {"w": np.ones((4, 3, 3, 3), np.int8)})
    with pytest.raises(NbError, match="zero, negative or not finite"):
        Emulator(whole).infer({"x": X})


def test_absurd_shapes_do_not_allocate() -> None:
    huge = model([op("fill_constant", {}, {"Out": "y"}, shape=(1 << 20, 1 << 20), dtype=5, value=0.0)])
    with pytest.raises(NbError, match="would fill the shape"):
        Emulator(huge).infer({"x": X})
    wide = model(
        [op("expand_v2", {"X": "x"}, {"Out": "y"}, shape=(1 << 16, 3, 1 << 10, 8))], inputs={"x": (1, 3, 1, 8)}
    )
    with pytest.raises(NbError, match="more than"):
        Emulator(wide).infer({"x": X[:, :, :1]})


@pytest.mark.parametrize(
    "attributes",
    [{"strides": (0, 0)}, {"groups": 3}, {"paddings": (1,)}, {"act_type": "magic", "with_act": True}],
    ids=["stride", "groups", "paddings", "activation"],
)
def test_attributes_that_make_no_sense(attributes: dict[str, object]) -> None:
    with pytest.raises(NbError):
        Emulator(model([conv(**attributes)], W)).infer({"x": X})


def test_subgraph_that_points_nowhere_or_at_itself() -> None:
    for index in (0, 7, -1):
        sub = op("subgraph", {"Inputs": "x"}, {"Outputs": "y"}, "def/18/4/1", sub_block=index, output_data_names=("y",))
        with pytest.raises(NbError, match="sub_block"):
            Emulator(model([sub])).infer({"x": X})
    nested = op("subgraph", {"Inputs": "x"}, {"Outputs": "y"}, None, sub_block=1)
    sub = op("subgraph", {"Inputs": "x"}, {"Outputs": "y"}, "def/18/4/1", sub_block=1, output_data_names=("y",))
    with pytest.raises(NbError, match="holds a subgraph"):
        Emulator(model([sub], blocks=(Block((nested,)),))).infer({"x": X})


def test_reused_slots_are_told_apart() -> None:
    """A name written three times stands for three tensors, one after another."""
    ops = [
        op("relu", {"X": "x"}, {"Out": "s"}),
        op("scale", {"X": "s"}, {"Out": "s"}, scale=2.0, bias=1.0),
        op("elementwise_add", {"X": "s", "Y": "x"}, {"Out": "s"}, axis=-1),
    ]
    found = Emulator(model(ops, outputs=("s",))).infer({"x": X})["s"]
    assert np.allclose(found, np.maximum(X, 0) * 2 + 1 + X)


def test_looking_does_not_change_the_answer() -> None:
    for case in ("net_lenet__int8_ptq_hist", "net_mobilenet_v2__int8_ptq_hist"):
        found = Emulator(GOLDEN / case / "model.nb")
        feed = {s.name: np.random.default_rng(0).random(s.shape, np.float32) for s in found.inputs}
        before = found.infer(feed)
        seen = list(found.dump(feed))
        after = found.infer(feed)
        for name, array in before.items():
            assert np.array_equal(array, after[name])
        assert len(seen) == len(found.model.blocks[0].operations) - 2
        assert any(item.array.dtype == np.int8 for item in seen)


def test_shapes_that_only_running_can_tell() -> None:
    """range to a computed end, and detections by the thousand or none at all: the graph is cut where it must wait."""
    ops = [
        op("reduce_max", {"X": "x"}, {"Out": "m"}, dim=(), keep_dim=False, reduce_all=True),
        op("cast", {"X": "m"}, {"Out": "e"}, "def/1/4/2", in_dtype=5, out_dtype=3),
        op("range", {"Start": "s", "End": "e", "Step": "one"}, {"Out": "r"}, "int64/1/1/1"),
        op("cast", {"X": "r"}, {"Out": "y"}, "def/1/4/2", in_dtype=3, out_dtype=5),
    ]
    made = model(ops, {"s": np.asarray([0]), "one": np.asarray([1])})
    found = Emulator(made)
    for top in (3, 7):
        got = found.infer({"x": np.clip(X, None, 1) * 0 + top})["y"]
        assert got.tolist() == list(range(top))


def test_multiclass_nms_then_more_ops() -> None:
    boxes = np.asarray([[[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]], np.float32)
    scores = np.asarray([[[0.9, 0.8, 0.7], [0.1, 0.2, 0.6]]], np.float32)
    nms = op(
        "multiclass_nms3",
        {"BBoxes": "x", "Scores": "sc"},
        {"Out": "d", "Index": "i", "NmsRoisNum": "n"},
        "def/1/1/1",
        score_threshold=0.05,
        nms_threshold=0.5,
        nms_top_k=10,
        keep_top_k=10,
        background_label=-1,
        normalized=True,
        nms_eta=1.0,
    )
    after = op("scale", {"X": "d"}, {"Out": "y"}, scale=2.0, bias=0.0)
    found = Emulator(model([nms, after], inputs={"x": (1, 3, 4), "sc": (1, 2, 3)}, outputs=("y", "n")))
    got = found.infer({"x": boxes, "sc": scores})
    # Class 0 keeps boxes 0 and 2; class 1 keeps 2, 1 (0 overlaps 1).
    assert got["n"].tolist() == [4]
    assert (got["y"][:, 0] / 2).tolist() == [0, 0, 1, 1]
    assert np.allclose(got["y"][:, 1] / 2, [0.9, 0.7, 0.6, 0.2])
    none = found.infer({"x": boxes, "sc": scores * 0})
    assert none["n"].tolist() == [0]
    assert none["y"].shape == (0, 6)


def test_export_is_valid_onnx_and_gives_the_same(tmp_path: Path) -> None:
    path = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"
    found = Emulator(path)
    exported = found.export({})
    onnx.checker.check_model(exported, full_check=True)
    scales = json.loads(next(p.value for p in exported.metadata_props if p.key == "edgeflow.scales"))
    assert len(scales) >= 7  # four int8 layers, three conversions
    assert scales["2 conv2d"]["Input0_scale"] == pytest.approx([scales["1 calib"]["scale"][0]])
    session = ort.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {s.name: np.random.default_rng(0).random(s.shape, np.float32) for s in found.inputs}
    for name, got in zip(found.outputs, session.run(list(found.outputs), feed), strict=True):
        assert np.array_equal(got, found.infer(feed)[name])
    dynamic = Emulator(model([conv()], W, inputs={"x": (-1, 3, 8, 8)}))
    with pytest.raises(DataError, match="dynamic dimensions"):
        dynamic.export({})
    assert dynamic.export({"x": (2, 3, 8, 8)}).graph.output[0].type.tensor_type.shape.dim[0].dim_value == 2


def test_tables_do_not_overlap() -> None:
    assert not set(LOWERINGS) & set(HOST_OPS)
    assert len(LOWERINGS) > 150


@pytest.mark.parametrize("seed", range(60))
def test_damaged_graphs_never_end_in_a_traceback(seed: int) -> None:
    """Bytes of the topology changed at random: every tool gives a result or an error of ours."""
    import random

    from edgeflow.core.errors import EdgeflowError
    from edgeflow.emulate.shape_trace import trace_shapes
    from edgeflow.nb.diff import diff
    from edgeflow.nb.lint import lint
    from edgeflow.nb.summary import summarise

    source = random.Random(seed)
    path = source.choice(sorted(p for p in GOLDEN.glob("*/model.nb") if p.stat().st_size < 40_000))
    blob = bytearray(path.read_bytes())
    end = 26 + int.from_bytes(blob[18:26], "little")
    for _ in range(source.choice([1, 1, 2, 4])):
        blob[source.randrange(26, end)] = source.choice([0, 1, 255, 127, 128, source.randrange(256)])
    try:
        found = nb.read_bytes(bytes(blob))
    except NbError:
        return
    shapes, _ = trace_shapes(found)
    summarise(found, nb.content_hash(found), shapes)
    lint(found, None, shapes)
    diff(nb.read(path), found).as_table()
    try:
        runner = Emulator(found, threads=1)
        runner.infer({s.name: np.zeros([1 if d < 0 else min(d, 64) for d in s.shape], s.dtype) for s in runner.inputs})
    except EdgeflowError as err:
        assert err.what

"""Whole ONNX models: shapes that are computed, quantised and half-precision ones, names, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper

from edgeflow.core.errors import ModelError
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from tests.ingest.onnx_import.nodes import model_from, weight

pytestmark = pytest.mark.build


def node(op: str, *given: str, **attrs: Any) -> onnx.NodeProto:
    """`node("Add", "x", "y", "z")`: the last name is the output."""
    return helper.make_node(op, list(given[:-1]), [given[-1]], **attrs)


def value(name: str, *dims: int | str, kind: int = T.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(dims))


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[Any],
    outputs: list[Any],
    opset: int = 17,
    **weights: np.ndarray,
) -> Path:
    held = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    path.write_bytes(model_from(helper.make_graph(nodes, "g", inputs, outputs, held), opset).SerializeToString())
    return path


def ours(path: Path, feed: dict[str, np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """The translation's program, and what Paddle computes with it."""
    from edgeflow.ingest.onnx_import.translate import translate
    from edgeflow.paddle.session import Session

    prefix = path.with_name("translated")
    translate(path, prefix)
    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    names = programs.fetches(program)
    with Session() as session:
        found = session.run(program, weights, feed, names)
    return program, [found[name] for name in names]


def theirs(path: Path, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    import onnxruntime as ort

    return list(ort.InferenceSession(str(path)).run(None, feed))


def random(*dims: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(dims).astype(np.float32)


def ops(program: Any) -> list[str]:
    return [op.type for op in program.blocks[0].ops if op.type not in ("feed", "fetch")]


def test_a_reshape_to_an_open_batch_is_written_as_numbers(tmp_path: Path) -> None:
    """As PyTorch exports x.view(x.shape[0], -1, 2): Shape, Gather, Unsqueeze, Concat."""
    nodes = [
        node("Relu", "x", "r"),
        node("Shape", "r", "s"),
        node("Gather", "s", "zero", "n"),
        node("Unsqueeze", "n", "axes", "n1"),
        node("Concat", "n1", "rest", "shape", axis=0),
        node("Reshape", "r", "shape", "y"),
    ]
    whole = {"zero": np.asarray(0), "axes": np.asarray([0]), "rest": np.asarray([-1, 2])}
    path = saved(tmp_path / "m.onnx", nodes, [value("x", "batch", 3, 4)], [value("y", "batch", 6, 2)], **whole)
    feed = {"x": random(5, 3, 4)}
    program, found = ours(path, feed)
    assert ops(program) == ["relu", "reshape2"]
    assert np.array_equal(found[0], theirs(path, feed)[0])


def test_sizes_that_stay_open_are_computed(tmp_path: Path) -> None:
    """A resize to the height and width of another tensor, and zeros of its batch."""
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s", "two", "four", "hw"),
        node("Shape", "a", "sa"),
        node("Slice", "sa", "null", "two", "nc"),
        node("Concat", "nc", "hw", "sizes", axis=0),
        helper.make_node("Resize", ["a", "", "", "sizes"], ["y"], mode="linear"),
        node("Slice", "s", "null", "one", "n"),
        node("Concat", "n", "seven", "state", axis=0),
        node("ConstantOfShape", "state", "z"),
    ]
    names = {"two": [2], "four": [4], "null": [0], "one": [1], "seven": [7]}
    whole = {name: np.asarray(v) for name, v in names.items()}
    inputs = [value("x", "n", 3, "h", "w"), value("a", "n", 2, "i", "j")]
    outputs = [value("y", "n", 2, "h", "w"), value("z", "n", 7)]
    path = saved(tmp_path / "m.onnx", nodes, inputs, outputs, **whole)
    feed = {"x": random(2, 3, 8, 10), "a": random(2, 2, 3, 4)}
    _, found = ours(path, feed)
    for a, b in zip(theirs(path, feed), found, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 1e-6


def test_a_quantised_model_comes_in_as_float(tmp_path: Path) -> None:
    """QDQ: weights by their scales, activations as they are."""
    nodes = [
        node("QuantizeLinear", "x", "sx", "zx", "q"),
        node("DequantizeLinear", "q", "sx", "zx", "d"),
        node("DequantizeLinear", "w", "sw", "zw", "wf", axis=0),
        node("Conv", "d", "wf", "y"),
    ]
    held = {
        "sx": np.float32(0.02),
        "zx": np.uint8(128),
        "w": np.random.default_rng(1).integers(-127, 128, (4, 3, 1, 1)).astype(np.int8),
        "sw": np.asarray([0.1, 0.2, 0.3, 0.4], np.float32),
        "zw": np.zeros(4, np.int8),
    }
    arrays = {name: np.asarray(array) for name, array in held.items()}
    path = saved(tmp_path / "m.onnx", nodes, [value("x", 1, 3, 4, 4)], [value("y", 1, 4, 4, 4)], **arrays)
    feed = {"x": np.clip(random(1, 3, 4, 4), -2.4, 2.4)}
    program, found = ours(path, feed)
    assert ops(program) == ["conv2d"]
    exact = np.einsum("nchw,oc->nohw", feed["x"], held["w"][:, :, 0, 0] * held["sw"][:, None])
    assert np.abs(found[0] - exact).max() < 1e-4
    assert np.abs(found[0] - theirs(path, feed)[0]).max() < 127 * 0.4 * 3 * 0.02  # half a step of each input


def test_half_precision_comes_in_as_float32(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x", "w", "m"), node("Cast", "m", "y", to=T.FLOAT)]
    half = weight(4, 3).astype(np.float16)
    path = saved(tmp_path / "m.onnx", nodes, [value("x", 2, 4, kind=T.FLOAT16)], [value("y", 2, 3)], w=half)
    x = random(2, 4)
    program, found = ours(path, {"x": x})
    assert ops(program) == ["matmul_v2"]
    assert np.abs(found[0] - x @ half.astype(np.float32)).max() < 1e-6


def test_names_that_paddle_keeps_for_itself(tmp_path: Path) -> None:
    """`feed` is Paddle's own; others, of any characters, stay as they are."""
    nodes = [node("Add", "feed", "x:0 (ä)", "a\nb"), node("Relu", "a\nb", "fetch")]
    path = saved(tmp_path / "m.onnx", nodes, [value("feed", 2), value("x:0 (ä)", 2)], [value("fetch", 2)])
    program, _ = ours(path, {"feed_1": random(2), "x:0 (ä)": random(2)})
    assert [name for name, _, _ in programs.feeds(program)] == ["feed_1", "x:0 (ä)"]
    assert programs.fetches(program) == ["fetch_1"]


def test_outputs_that_are_inputs_constants_or_given_twice(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("Identity", "y", "again"), node("Identity", "c", "k")]
    outputs = [value(name, 2) for name in ("y", "again", "x", "k")]
    path = saved(tmp_path / "m.onnx", nodes, [value("x", 2)], outputs, c=np.asarray([1, 2], np.float32))
    feed = {"x": random(2)}
    _, found = ours(path, feed)
    for a, b in zip(theirs(path, feed), found, strict=True):
        assert np.array_equal(a, b)


def test_all_that_has_no_translation_is_named_before_any_work(tmp_path: Path) -> None:
    nodes = [node("Hardmax", "x", "a"), node("Hardmax", "a", "b"), node("Det", "b", "y")]
    path = saved(tmp_path / "m.onnx", nodes, [value("x", 2, 2)], [value("y")])
    with pytest.raises(ModelError, match=r"Det \(1 times\); Hardmax \(2 times\)"):
        ours(path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_nodes_whose_attributes_have_no_translation_are_all_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a"], name="p", kernel_shape=[2, 2], dilations=[2, 2]),
        helper.make_node("Mod", ["x", "x"], ["b"], name="m", fmod=1),
    ]
    path = saved(tmp_path / "m.onnx", nodes, [value("x", 1, 1, 8, 8)], [value("a", 1, 1, 6, 6), value("b", 1, 1, 8, 8)])
    with pytest.raises(ModelError, match=r"MaxPool 'p': dilations.*Mod 'm': fmod"):
        ours(path, {})


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    from edgeflow.ingest.onnx_import.translate import translate

    nodes = [node("Conv", "x", "w", "c"), node("Relu", "c", "y")]
    path = saved(
        tmp_path / "m.onnx", nodes, [value("x", "n", 4, 5, 5)], [value("y", "n", 8, 3, 3)], w=weight(8, 4, 3, 3)
    )
    for name in ("a", "b"):
        translate(path, tmp_path / name)
    for suffix in (".pdmodel", ".pdiparams"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_places_of_an_open_grid_fold_when_the_recipe_fixes_it(tmp_path: Path) -> None:
    """As detectors export their anchors: ranges over the height of a tensor, expanded, then read by the outputs."""
    from edgeflow.core.tensors import TensorSpec
    from edgeflow.graph.canonicalise import canonicalise
    from edgeflow.graph.fixed_shapes import fix_shapes
    from edgeflow.ingest.onnx_import.translate import read_onnx
    from edgeflow.paddle.session import Session, evaluate
    from edgeflow.paddle.shapes import inferred_dims

    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s", "two", "h"),
        node("Range", "null", "h", "one", "r"),
        node("Cast", "r", "f", to=T.FLOAT),
        node("Shape", "f", "sf"),
        node("Concat", "sf", "sf", "square", axis=0),
        node("Expand", "f", "square", "grid"),
        node("ReduceSum", "grid", "k", keepdims=0),
        node("Add", "x", "k", "y"),
    ]
    whole = {"two": np.asarray(2), "null": np.asarray(0), "one": np.asarray(1)}
    path = saved(tmp_path / "m.onnx", nodes, [value("x", 1, 1, "h", 2)], [value("y", 1, 1, "h", 2)], **whole)
    program, weights, _ = read_onnx(path)
    fix_shapes(program, weights, [TensorSpec("x", (1, 1, 4, 2))], inferred_dims)
    canonicalise(program, weights, evaluate)
    assert ops(program) == ["elementwise_add"]
    feed = {"x": random(1, 1, 4, 2)}
    (name,) = programs.fetches(program)
    with Session() as session:
        found = session.run(program, weights, feed, [name])[name]
    assert np.abs(found - theirs(path, feed)[0]).max() < 1e-6


def test_control_flow_is_refused_with_what_is_missing_where(tmp_path: Path) -> None:
    from edgeflow.ingest.onnx_import.translate import read_onnx

    branches = [
        helper.make_graph([node(op, "x", "two", out)], out, [], [value(out, 2)])
        for op, out in (("Mul", "a"), ("Add", "b"))
    ]
    chosen = helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    nodes = [node("ReduceMax", "x", "s", keepdims=0), node("Greater", "s", "zero", "c"), chosen]
    given = {"two": np.float32([2]), "zero": np.float32(0)}
    path = saved(tmp_path / "m.onnx", nodes, [value("x", 2)], [value("y", 2)], **given)
    with pytest.raises(ModelError, match=r"If \(1 times, a branch: .*Paddle Lite crashes when it runs"):
        read_onnx(path)


def test_a_branch_on_a_size_goes_with_the_size_that_the_recipe_fixes(tmp_path: Path) -> None:
    """PyTorch's squeeze is an If on the size of an axis; windows padded to the same size need it too, and names that
    only a branch has may be those of values outside.
    """
    from edgeflow.ingest.onnx_import.translate import inputs_of, read_onnx

    def branch(*nodes: Any, out: str) -> Any:
        return helper.make_graph(list(nodes), out, [], [helper.make_tensor_value_info(out, T.FLOAT, None)])

    squeezed = branch(node("Squeeze", "p", "one", "inner"), node("Neg", "inner", "b"), out="b")
    chosen = helper.make_node(
        "If", ["c"], ["y"], then_branch=squeezed, else_branch=branch(node("Identity", "p", "k"), out="k")
    )
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
        node("Shape", "p", "s"),
        node("Gather", "s", "at", "n"),
        node("Equal", "n", "at", "c"),
        chosen,
    ]
    given = {"one": np.asarray([1]), "at": np.asarray(1)}
    path = saved(tmp_path / "m.onnx", nodes, [value("x", "n", "c", "h", 5)], [value("y", *"abc")], **given)
    with pytest.raises(ModelError, match="auto_pad of an open dimension"):
        read_onnx(path, {"x": (-1, 1, -1, 5)})
    assert [spec.shape for spec in inputs_of(path)] == [(-1, -1, -1, 5)]
    program, weights, _ = read_onnx(path, {"x": (2, 1, 3, 5)})
    assert "conditional_block" not in ops(program)
    feed = {"x": random(2, 1, 3, 5)}
    (name,) = programs.fetches(program)
    from edgeflow.paddle.session import Session

    with Session() as session:
        found = session.run(program, weights, feed, [name])[name]
    (wanted,) = theirs(path, feed)
    assert found.shape == wanted.shape == (2, 2, 3) and np.array_equal(found, wanted)


def test_sizes_that_are_too_small_are_told_and_a_length_is_found(tmp_path: Path) -> None:
    """As spectrograms want it: a window of 400 over an open length, and another that reflects what it pads."""
    from edgeflow.ingest.given_model import look_at_model
    from edgeflow.ingest.onnx_import.translate import read_onnx

    nodes = [
        node("Unsqueeze", "x", "one", "u"),
        helper.make_node("Conv", ["u", "w"], ["c"], strides=[160]),
        node("Relu", "c", "y"),
    ]
    given = {"one": np.asarray([1]), "w": weight(4, 1, 400)}
    path = saved(tmp_path / "m.onnx", nodes, [value("x", "n", "t")], [value("y", "n", 4, "f")], **given)
    with pytest.raises(ModelError, match=r"would have dims \[.*too small"):
        read_onnx(path, {"x": (1, 32)})
    looked = look_at_model(path)
    assert looked.inputs[0].shape == (1, 512) and looked.shape_sources["x"] == "nothing: open, 512 is taken"
    padded = helper.make_node("Pad", ["x", "p"], ["y"], mode="reflect")
    path = saved(
        tmp_path / "p.onnx", [padded], [value("x", "n", "t")], [value("y", "n", "f")], p=np.asarray([0, 0, 0, 64])
    )
    with pytest.raises(ModelError, match=r"reflects 64 of 32"):
        read_onnx(path, {"x": (1, 32)})

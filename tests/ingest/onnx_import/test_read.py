"""ONNX files that nobody should trust: every size is checked, and nothing outside of the folder is read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper

from edgeflow.core.errors import ModelError
from edgeflow.ingest.onnx_import import apart
from edgeflow.ingest.onnx_import.read import read
from tests.ingest.onnx_import.nodes import model_from, weight


def model(opset: int = 17) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", T.FLOAT, [2, 4])
    y = helper.make_tensor_value_info("y", T.FLOAT, [2, 3])
    held = onnx.numpy_helper.from_array(weight(4, 3), "w")
    return model_from(helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [held]), opset)


def written(folder: Path, made: onnx.ModelProto) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def outside(folder: Path, location: str, **more: str) -> Path:
    """A model whose weight lies in another file."""
    made = model()
    held = made.graph.initializer[0]
    (folder / "model").mkdir()
    held.ClearField("raw_data")
    held.data_location = T.EXTERNAL
    for key, text in {"location": location, **more}.items():
        held.external_data.add(key=key, value=text)
    return written(folder / "model", made)


def test_weights_in_another_file(tmp_path: Path) -> None:
    path = outside(tmp_path, "w.bin", offset="8", length="48")
    (path.parent / "w.bin").write_bytes(b"12345678" + weight(4, 3).tobytes())
    found = read(path)
    assert np.array_equal(found.weights["w"], weight(4, 3))
    assert found.files == (path.resolve(), (path.parent / "w.bin").resolve())


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "link", "a/../../w.bin", "", "w\n.bin", "pipe"])
def test_weights_outside_of_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    path = outside(tmp_path, location)
    (tmp_path / "w.bin").write_bytes(bytes(48))
    (path.parent / "link").symlink_to(tmp_path / "w.bin")
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(ModelError, match=r"out of|regular|cannot be read"):
        read(path)


@pytest.mark.parametrize(
    "entries", [{"offset": "40"}, {"offset": "-8"}, {"length": "4"}, {"offset": "x"}, {"offset": "9" * 30}]
)
def test_weights_that_do_not_lie_where_they_should(tmp_path: Path, entries: dict[str, str]) -> None:
    path = outside(tmp_path, "w.bin", **entries)
    (path.parent / "w.bin").write_bytes(bytes(48))
    with pytest.raises(ModelError, match="weight 'w'"):
        read(path)


def test_dims_that_keep_onnx_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Met by fuzzing: a convolution with auto_pad counts the dims of its input down, for days."""
    dims = [1, 1, 1 << 40, 1]
    value, result = (helper.make_tensor_value_info(name, T.FLOAT, dims) for name in "xy")
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])
    held = onnx.numpy_helper.from_array(weight(1, 1, 3, 3), "w")
    del result.type.tensor_type.shape.dim[:]
    busy = model_from(helper.make_graph([node], "g", [value], [result], [held]), 17)
    with pytest.raises(ModelError, match="nothing can hold"):
        read(written(tmp_path, busy))
    monkeypatch.setattr(apart, "CPU_SECONDS_MAX", 1)
    with pytest.raises(ModelError, match=r"SIGKILL|SIGXCPU"):
        apart.infer_shapes(busy)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Met by fuzzing: protobuf hands them out as bytes."""
    made = model()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "NAME"
    made.graph.doc_string = "REMARK"
    path = written(tmp_path, made)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"REMARK", b"\xff\xfeMARK"))
    assert read(path).opset == 17
    path.write_bytes(raw.replace(b"NAME", b"\xff\xfeME"))
    with pytest.raises(ModelError, match="no UTF-8 text"):
        read(path)


@pytest.mark.parametrize("opset", [6, 22, 99])
def test_an_unknown_opset(tmp_path: Path, opset: int) -> None:
    with pytest.raises(ModelError, match=rf"opset {opset}, and should be of 7 to 21"):
        read(written(tmp_path, model(opset)))


def test_a_weight_larger_than_what_is_there(tmp_path: Path) -> None:
    made = model()
    made.graph.initializer[0].dims[:] = [1 << 40, 3]
    with pytest.raises(ModelError, match="nothing can hold"):
        read(written(tmp_path, made))
    made.graph.initializer[0].dims[:] = [1 << 20, 3]
    with pytest.raises(ModelError, match="holds 48 bytes"):
        read(written(tmp_path, made))


def test_files_that_are_none(tmp_path: Path) -> None:
    raw = model().SerializeToString()
    for content in (b"", raw[: len(raw) // 2], b"\x80" * 100, b"not a model"):
        path = tmp_path / "m.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelError):
            read(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="regular"):
        read(tmp_path)


def test_a_constant_that_would_fill_the_memory(tmp_path: Path) -> None:
    """ConstantOfShape of a terabyte is not computed, and no program can hold it."""
    pytest.importorskip("paddle")
    from edgeflow.ingest.onnx_import.translate import translate

    shape = onnx.numpy_helper.from_array(np.asarray([1 << 20, 1 << 20]), "s")
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    x = helper.make_tensor_value_info("x", T.FLOAT, [1])
    y = helper.make_tensor_value_info("y", T.FLOAT, [1 << 20, 1 << 20])
    path = written(tmp_path, model_from(helper.make_graph(nodes, "g", [x], [y], [shape])))
    with pytest.raises(ModelError, match="nothing can hold"):
        translate(path, tmp_path / "out")
    assert not (tmp_path / "out.pdmodel").exists()

"""Programs in the files of older Paddle, with open dimensions and without attributes: the same numbers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.core.errors import DataError, ModelError
from edgeflow.core.tensors import TensorSpec
from edgeflow.graph import defaults, parameters
from edgeflow.graph import program as programs
from edgeflow.graph.fixed_shapes import fix_shapes, validate_inputs
from edgeflow.ingest.paddle_files import read_paddle_files

pytestmark = pytest.mark.build


def net() -> Any:
    import paddle
    from paddle import nn

    class Net(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out = nn.Conv2D(3, 8, 3, 2, 1), nn.Linear(8, 4)
            self.body = nn.Sequential(nn.ReLU(), nn.Dropout(0.5))
            self.shape, self.resize = paddle.shape, nn.functional.interpolate

        def forward(self, x: Any) -> Any:
            y = self.body(self.conv(x))
            batch, _, height, width = self.shape(y)
            wide = self.resize(y, size=[height * 2, width * 2])
            rows = wide.reshape([batch, 8, height * 2 * width * 2]).transpose([0, 2, 1])
            return self.out(rows).reshape([batch, 4 * height * 2 * width * 2])

    return Net()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgeflow.paddle import session

    folder = tmp_path_factory.mktemp("open")
    session.seed(1)
    session.export(net, (TensorSpec("x", (-1, 3, -1, -1)),), folder / "m", "test")
    return folder


def run(program: Any, weights: dict[str, Any], x: np.ndarray, folder: Path) -> np.ndarray:
    from edgeflow.paddle.session import Program

    programs.save(program, folder / "run.pdmodel")
    parameters.save(program, weights, folder / "run.pdiparams")
    with Program(folder / "run", gpu=False) as runner:
        return next(iter(runner.infer({"x": x}).values()))


@pytest.mark.parametrize("shape", [(2, 3, 16, 24), (-1, 3, 16, 24)])
def test_a_recipe_s_shape_fixes_a_program(exported: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    from edgeflow.paddle.shapes import inferred_dims

    given = read_paddle_files(exported, "m.pdmodel", None)
    x = np.random.default_rng(0).normal(size=(2, 3, 16, 24)).astype(np.float32)
    before = run(given.program, given.weights, x, tmp_path)
    assert fix_shapes(given.program, given.weights, (TensorSpec("x", shape),), inferred_dims) >= 3
    kinds = [op.type for op in given.program.blocks[0].ops]
    assert not {"shape", "slice", "fill_constant", "concat", "cast"} & set(kinds), kinds
    declared = programs.variable(given.program.blocks[0], programs.fetches(given.program)[0])
    assert list(declared.type.lod_tensor.tensor.dims) == [shape[0], 4 * 16 * 24]
    assert np.array_equal(run(given.program, given.weights, x, tmp_path), before)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (TensorSpec("image", (-1, 3, 8, 8)), "its inputs are x; the recipe declares image"),
        (TensorSpec("x", (-1, 3, 8)), r"has shape \[-1, 3, -1, -1\], and the recipe declares \[-1, 3, 8\]"),
        (TensorSpec("x", (-1, 1, 8, 8)), r"and the recipe declares \[-1, 1, 8, 8\]"),
        (TensorSpec("x", (-1, 3, 8, 8), "int64"), "is float32, and the recipe declares int64"),
    ],
)
def test_what_contradicts_the_program(exported: Path, spec: TensorSpec, says: str) -> None:
    with pytest.raises(DataError, match=says):
        validate_inputs(programs.load(exported / "m.pdmodel"), (spec,), "m.pdmodel")


def test_a_file_for_each_weight(exported: Path, tmp_path: Path) -> None:
    whole = read_paddle_files(exported, "m.pdmodel", None)
    raw, position = memoryview((exported / "m.pdiparams").read_bytes()), 0
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(exported / "m.pdmodel", old / "__model__")
    for name in parameters.names_of(whole.program):
        _, end = parameters._record(raw, position, name)
        (old / name).write_bytes(raw[position:end])
        position = end
    for program, params in (("old/__model__", "old"), ("old/__model__", None), ("old", None)):
        apart = read_paddle_files(tmp_path, program, params)
        assert apart.weights.keys() == whole.weights.keys()
        assert all(np.array_equal(array, whole.weights[name]) for name, array in apart.weights.items())
    name = parameters.names_of(whole.program)[0]
    outside = tmp_path / "outside"
    shutil.move(old / name, outside)
    (old / name).symlink_to(outside)
    with pytest.raises(ModelError, match="leads out of"):
        read_paddle_files(tmp_path, "old/__model__", "old")


def test_attributes_left_out_are_paddle_s_own(exported: Path, tmp_path: Path) -> None:
    """Whatever an exporter left out: the numbers are those of the whole program, which opt takes."""
    from edgeflow.convert import opt
    from edgeflow.graph.legalise import legalise

    whole = read_paddle_files(exported, "m.pdmodel", None)
    bare = type(whole.program).FromString(whole.program.SerializeToString())
    left_out = 0
    for op in bare.blocks[0].ops:
        own = defaults.known()["defaults"].get(op.type, {})
        for index in reversed(range(len(op.attrs))):
            attr = op.attrs[index]
            single = [getattr(attr, slot) for slot in ("i", "f", "s", "b") if attr.HasField(slot)]
            if attr.name == "is_test" or (attr.name in own and single and single == list(own[attr.name].values())):
                del op.attrs[index]
                left_out += 1
    assert left_out > 10
    assert defaults.fill(bare)["conv2d.groups"] == 1
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    wanted = run(whole.program, whole.weights, x, tmp_path)
    assert np.array_equal(run(bare, whole.weights, x, tmp_path), wanted)
    legalise(bare)
    programs.save(bare, tmp_path / "run.pdmodel")
    opt.convert(tmp_path / "run", tmp_path / "m.nb", opt.Conversion("arm"), tmp_path / "log")


def test_a_training_program_is_named(exported: Path) -> None:
    program = programs.load(exported / "m.pdmodel")
    for kind in ("conv2d_grad", "conv2d_grad", "adam"):
        program.blocks[0].ops.add(type=kind)
    with pytest.raises(ModelError, match=r"is a training program: 3 of its ops .*\(2 conv2d_grad, 1 adam\)"):
        programs.parse(program.SerializeToString(), "m.pdmodel")


@pytest.mark.parametrize("target", ["arm64", "kirin"])
def test_fetched_as_they_are(exported: Path, tmp_path: Path, target: str) -> None:
    """Paddle 1.x fetched feeds, weights and constants without an op between."""
    from edgeflow.convert import opt
    from edgeflow.core.targets import load_target
    from edgeflow.emulate import Emulator
    from edgeflow.graph.edit import Editor
    from edgeflow.graph.placement import off_npu
    from tests.graph.programs import rewritten

    given = read_paddle_files(exported, "m.pdmodel", None)
    block = given.program.blocks[0]
    weight = parameters.names_of(given.program)[0]
    constant = next(op for op in block.ops if op.type == "fill_constant").outputs[0].arguments[0]
    last = next(op for op in block.ops if op.type == "fetch")
    for column, name in enumerate((weight, "x", constant), 1):
        added = block.ops.add()
        added.CopyFrom(last)
        added.inputs[0].arguments[0] = name
        next(attr for attr in added.attrs if attr.name == "col").i = column
    programs.save(given.program, tmp_path / "raw.pdmodel")
    parameters.save(given.program, given.weights, tmp_path / "raw.pdiparams")
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    from edgeflow.paddle.session import Program

    with Program(tmp_path / "raw", gpu=False) as runner:
        wanted = list(runner.infer({"x": x}).values())
    rewritten(programs.load(tmp_path / "raw.pdmodel"), tmp_path / "raw", tmp_path / "made", target)
    profile = load_target(target)
    kept = off_npu(Editor(programs.load(tmp_path / "made.pdmodel")), profile, ()) if profile.uses_npu else ()
    way = opt.Conversion(profile.lite.valid_targets, off_npu=kept)
    opt.convert(tmp_path / "made", tmp_path / "m.nb", way, tmp_path / "log")
    with Emulator(tmp_path / "m.nb") as emulator:
        found = list(emulator.infer({"x": x}).values())
    assert len(found) == len(wanted) == 4
    for a, b in zip(found, wanted, strict=True):
        assert np.allclose(a.reshape(b.shape), b, rtol=1e-5, atol=1e-6)

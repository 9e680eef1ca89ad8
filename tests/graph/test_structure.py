"""What a program from elsewhere may be: only ops that compute, whole, and within bounds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.core.errors import ModelError
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.structure import known
from edgeflow.graph.trained_weights import validate_weights
from tests.conftest import ROOT
from tests.graph.mutate import fuzz, seeds_in

pytestmark = pytest.mark.build
SECONDS = int(os.environ.get("EDGEFLOW_FUZZ_SECONDS", "5"))
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three small programs: convolutions, matrices with a split, and a loop."""
    import paddle
    from paddle import nn

    from edgeflow.core.tensors import TensorSpec
    from edgeflow.paddle import session

    class Parts(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.f = nn.Linear(8, 6)

        def forward(self, x: Any) -> Any:
            a = self.f(x)
            grid = paddle.meshgrid(paddle.arange(3, dtype="float32"), paddle.arange(2, dtype="float32"))
            return paddle.split(a, 3, axis=1), a.reshape([-1, 3, 2]) + grid[0] + grid[1], self.f.weight

    class Choice(nn.Layer):
        def forward(self, x: Any) -> Any:
            return paddle.static.nn.cond(x.mean() > 0, lambda: x * 2.0, lambda: x + 1.0)

    def convolutions() -> Any:
        return nn.Sequential(
            nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.ReLU6(), nn.Flatten(), nn.Linear(4 * 36, 5), nn.Hardswish()
        )

    folder = tmp_path_factory.mktemp("programs")
    for name, build, shape in (
        ("conv", convolutions, (-1, 3, 8, 8)),
        ("parts", Parts, (-1, 8)),
        ("choice", Choice, (-1, 8)),
    ):
        session.seed(0)
        session.export(build, (TensorSpec("x", shape),), folder / name, name)
        assert (folder / f"{name}.pdmodel").exists()
    return folder


def changed(exported: Path, name: str, change: Change) -> bytes:
    program = programs.load(exported / f"{name}.pdmodel")
    change(program)
    return bytes(program.SerializePartialToString())


def refused(exported: Path, name: str, change: Change) -> str:
    with pytest.raises(ModelError) as caught:
        programs.parse(changed(exported, name, change), "m.pdmodel")
    assert str(caught.value).startswith("m.pdmodel: ") and "try: " in str(caught.value)
    return str(caught.value)


def find(program: Any, type_: str) -> Any:
    return next(op for block in program.blocks for op in block.ops if op.type == type_)


def inserted(type_: str, block: int = 0) -> Change:
    def change(program: Any) -> None:
        op = program.blocks[block].ops.add(type=type_)
        name = program.blocks[0].vars[0].name
        op.inputs.add(parameter="X").arguments.append(name)
        op.attrs.add(name="file_path", type=programs.schema().STRING, s="anywhere")

    return change


def test_what_paddle_and_this_project_export_is_read(exported: Path) -> None:
    assert [programs.load(path) for path in sorted(exported.glob("*.pdmodel"))]


EFFECTS = [
    "save",
    "save_combine",
    "load",
    "load_combine",
    "print",
    "py_func",
    "assert",
    "read",
    "run_program",
    "send_v2",
    "recv_v2",
    "c_allreduce_sum",
    "c_broadcast",
    "all_reduce",
    "enqueue",
    "read_file",
    "pylayer",
    "listen_and_serv",
    "as_strided",
    "barrier",
]


@pytest.mark.parametrize("type_", [*EFFECTS, "no_such_op", "tensorrt_engine", "\x1b[2Jsave"])
def test_an_op_that_does_more_than_compute_is_refused_by_name(exported: Path, type_: str) -> None:
    what = refused(exported, "conv", inserted(type_))
    assert ascii(type_) in what
    assert type_ not in EFFECTS or known()["refused"][type_] in what


def test_sub_blocks_are_held_to_the_list_too(exported: Path) -> None:
    assert "of block 1 is 'save'" in refused(exported, "choice", inserted("save", block=1))


def test_the_list_says_something_of_every_op_of_paddle() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "pure_ops"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:]


def test_nothing_in_the_list_writes_reads_talks_or_calls() -> None:
    words = re.compile(r"save|load|file|print|func|send|recv|push|pull|allreduce|queue|serv|comm|barrier")
    assert [name for name in known()["ops"] if words.search(name)] == []


def rename_input(new: str) -> Change:
    def change(program: Any) -> None:
        block = program.blocks[0]
        next(var for var in block.vars if var.name == "x").name = new
        for op in block.ops:
            for var in (*op.inputs, *op.outputs):
                for k, name in enumerate(var.arguments):
                    if name == "x":
                        var.arguments[k] = new

    return change


def dims_of(name: str, dims: list[int]) -> Change:
    def change(program: Any) -> None:
        var = next(
            v
            for v in program.blocks[0].vars
            if v.name == name or (name == "weight" and v.persistable and "w_0" in v.name)
        )
        del var.type.lod_tensor.tensor.dims[:]
        var.type.lod_tensor.tensor.dims.extend(dims)

    return change


def without(kind: str, type_: str, parameter: str) -> Change:
    def change(program: Any) -> None:
        for var in getattr(find(program, type_), kind):
            if var.parameter == parameter:
                del var.arguments[:]

    return change


def ints(type_: str, name: str, values: list[int]) -> Change:
    def change(program: Any) -> None:
        attr = programs.attribute(find(program, type_), name)
        assert attr is not None
        attr.type = programs.schema().INTS
        del attr.ints[:]
        attr.ints.extend(values)

    return change


def number(type_: str, name: str, value: int) -> Change:
    def change(program: Any) -> None:
        attr = programs.attribute(find(program, type_), name)
        assert attr is not None
        attr.type, attr.i = programs.schema().INT, value

    return change


def undeclared(program: Any) -> None:
    find(program, "relu6").inputs[0].arguments[0] = "nothing"


def moved_last(program: Any) -> None:
    block = program.blocks[0]
    ops = [type(op).FromString(op.SerializeToString()) for op in block.ops]
    at = next(k for k, op in enumerate(ops) if op.type == "conv2d")
    ops.insert(len(ops) - 1, ops.pop(at))
    del block.ops[:]
    block.ops.extend(ops)


def twice(program: Any) -> None:
    program.blocks[0].vars.add().CopyFrom(program.blocks[0].vars[0])


def two_of(program: Any) -> None:
    find(program, "fetch").inputs[0].arguments.append("x")


def block_zero(program: Any) -> None:
    attr = programs.attribute(find(program, "conditional_block"), "sub_block")
    assert attr is not None
    attr.block_idx = 0


def no_data_type(program: Any) -> None:
    find_var = next(var for var in program.blocks[0].vars if var.type.HasField("lod_tensor"))
    find_var.type.lod_tensor.tensor.ClearField("data_type")


DAMAGED: dict[str, tuple[str, Change, str]] = {
    "an input called feed": ("conv", rename_input("feed"), "Paddle keeps for itself"),
    "an input called fetch": ("conv", rename_input("fetch"), "Paddle keeps for itself"),
    "a name that moves the cursor": ("conv", rename_input("\x1b[2J"), "printable"),
    "an empty name": ("conv", rename_input(""), "printable"),
    "an op without its filter": ("conv", without("inputs", "conv2d", "Filter"), "conv2d.*no input Filter"),
    "an op without its result": ("conv", without("outputs", "conv2d", "Output"), "conv2d.*no output"),
    "a variable nobody declared": ("conv", undeclared, "relu6.*'nothing'"),
    "an op before what it reads": ("conv", moved_last, "no weight, input or earlier op"),
    "an output of two tensors": ("conv", two_of, "fetch.*has 2 variables"),
    "a variable declared twice": ("conv", twice, "twice"),
    "dims beyond everything": ("conv", dims_of("x", [1 << 62, 1 << 62]), "nothing can hold"),
    "a weight of open dims": ("conv", dims_of("weight", [-1, 3]), "known ones"),
    "no data type": ("conv", no_data_type, "damaged"),
    "strides of zero": ("conv", ints("conv2d", "strides", [0, 1]), "strides"),
    "three strides for a picture": ("conv", ints("conv2d", "strides", [1, 1, 1]), "strides has 3 entries"),
    "groups of zero": ("conv", number("conv2d", "groups", 0), "groups"),
    "an attribute of another kind": ("conv", ints("conv2d", "data_format", [1]), "data_format.*INTS"),
    "a split into other parts": ("parts", number("split", "num", 7), "num is 7"),
    "a constant of terabytes": ("parts", ints("reshape2", "shape", [1 << 20, 1 << 20]), "nothing can hold"),
    "a block that holds itself": ("choice", block_zero, "names block 0"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(exported: Path, name: str) -> None:
    seed, change, said = DAMAGED[name]
    assert re.search(said, refused(exported, seed, change))


def test_open_dims_of_old_exporters_are_minus_one(exported: Path) -> None:
    program = programs.parse(changed(exported, "conv", dims_of("x", [-64, 3, 8, 8])), "m")
    assert next(dims for name, dims, _ in programs.feeds(program) if name == "x")[0] == -1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.pdmodel")
    with pytest.raises(ModelError, match="no regular file"):
        programs.load(tmp_path / "m.pdmodel")


def test_weights_of_another_model_are_refused(exported: Path) -> None:
    program = programs.load(exported / "conv.pdmodel")
    weights = parameters.load(program, exported / "conv.pdiparams")
    name = next(name for name, array in weights.items() if array.ndim == 2)
    for other in (weights[name][:, :-1], weights[name].astype(np.float16), weights[name].ravel()):
        with pytest.raises(ModelError, match=re.escape(f"{name!r} is ") + ".*two models"):
            parameters.hold(program, {**weights, name: other}, "w")
    with pytest.raises(ModelError, match="is not in the weights"):
        parameters.hold(program, {k: v for k, v in weights.items() if k != name}, "w")


def test_a_weight_that_no_training_gave(exported: Path) -> None:
    program = programs.load(exported / "conv.pdmodel")
    weights = parameters.load(program, exported / "conv.pdiparams")
    validate_weights(program, weights, "m")
    conv = next(name for name, array in weights.items() if array.ndim == 4)
    variance = next(name for name in weights if name.endswith("w_2"))
    for name, value in ((conv, np.nan), (conv, np.inf), (variance, np.inf), (variance, np.nan)):
        spoilt = weights[name].copy()
        spoilt.flat[0] = value
        with pytest.raises(ModelError, match=re.escape(repr(name))):
            validate_weights(program, {**weights, name: spoilt}, "m")
    with pytest.raises(ModelError, match="zero throughout"):
        validate_weights(program, {**weights, conv: np.zeros_like(weights[conv])}, "m")
    for name, array in weights.items():
        if array.ndim == 1:  # biases, shifts and means may be zero; so may most of a pruned layer
            validate_weights(program, {**weights, name: np.zeros_like(array)}, "m")
    pruned = np.where(np.arange(weights[conv].size).reshape(weights[conv].shape) == 0, weights[conv], 0)
    validate_weights(program, {**weights, conv: pruned.astype(np.float32)}, "m")


def test_the_one_way_to_paddle_holds_programs_to_the_list(exported: Path, tmp_path: Path) -> None:
    from edgeflow.paddle.session import Program

    (tmp_path / "m.pdmodel").write_bytes(changed(exported, "conv", inserted("save")))
    (tmp_path / "m.pdiparams").write_bytes((exported / "conv.pdiparams").read_bytes())
    with pytest.raises(ModelError, match="'save'"):
        Program(tmp_path / "m", gpu=False)
    pattern = re.compile(r"static\.load_inference_model\(|jit\.load\(")
    callers = [p.name for p in (ROOT / "edgeflow").rglob("*.py") if pattern.search(p.read_text())]
    assert callers == ["session.py"]


@pytest.mark.slow
def test_no_program_crashes_a_pass(exported: Path) -> None:
    found = fuzz(seeds_in(exported), seconds=SECONDS, seed=int.from_bytes(os.urandom(4), "big"))
    assert not found.faults, json.dumps(found.faults, indent=1)
    assert found.refused > found.runs / 10, "mutations that nothing notices test nothing"
    assert sum(found.contradictions.values()) < found.runs / 50, found.contradictions


def test_results_of_ops_with_several_are_folded_together(exported: Path) -> None:
    from edgeflow.graph.canonicalise import canonicalise
    from edgeflow.graph.legalise import legalise
    from edgeflow.paddle.session import Session, evaluate

    program = programs.load(exported / "parts.pdmodel")
    weights = parameters.load(program, exported / "parts.pdiparams")
    outputs, feed = programs.fetches(program), {"x": np.ones((2, 8), np.float32)}
    with Session() as session:
        before = session.run(program, weights, feed, outputs)
    legalise(program)
    canonicalise(program, weights, evaluate)
    assert "meshgrid" not in {op.type for op in program.blocks[0].ops}
    with Session() as session:
        after = session.run(program, weights, feed, outputs)
        assert session.run(program, weights, feed, []) == {}
        assert list(session.run(program, weights, feed, outputs[:1])) == outputs[:1], "beside the program's own outputs"
    for name in outputs:
        np.testing.assert_allclose(before[name], after[name], atol=1e-6)


def test_a_weight_that_is_an_output_is_not_the_layer_s(exported: Path) -> None:
    from edgeflow.graph.edit import Editor
    from edgeflow.graph.quantised import own_weights

    program = programs.load(exported / "parts.pdmodel")
    editor = Editor(program, parameters.load(program, exported / "parts.pdiparams"))
    name = next(name for name, array in (editor.parameters or {}).items() if array.ndim == 2)
    assert len(editor.readers[name]) == 2
    assert own_weights(editor) == 1 and own_weights(editor) == 0
    assert [op.type for op in editor.readers[name]] in (["matmul_v2"], ["fetch"])


def test_constants_that_need_gigabytes_end_in_an_error() -> None:
    from edgeflow.paddle.session import CONSTANTS_MAX_BYTES, evaluate

    proto = programs.schema()
    program = proto.ProgramDesc()
    block = program.blocks.add(idx=0, parent_idx=-1)
    programs.add_variable(block, "out", [-1])
    op = block.ops.add(type="fill_constant")
    op.outputs.add(parameter="Out").arguments.append("out")
    op.attrs.add(name="shape", type=proto.LONGS).longs.extend([CONSTANTS_MAX_BYTES])
    op.attrs.add(name="dtype", type=proto.INT, i=5)
    op.attrs.add(name="value", type=proto.FLOAT, f=1.0)
    with pytest.raises(ModelError, match="constants of the program"):
        evaluate(program, {}, ["out"])


def test_every_op_says_its_part_before_quantisation() -> None:
    """PaddleSlim ends in "Attribute op_role is not found" on a program of Paddle 3, whose translation has none."""
    from edgeflow.graph.quantised import give_roles

    program = programs.load(Path(__file__).parent / "quantised" / "static.pdmodel")
    assert give_roles(program) == 0
    ops = program.blocks[0].ops
    for op in ops[:3]:
        del op.attrs[next(k for k, attr in enumerate(op.attrs) if attr.name == "op_role")]
    assert give_roles(program) == 3 and give_roles(program) == 0
    assert all(any(attr.name == "op_role" and attr.i == 0 for attr in op.attrs) for op in ops[:3])

"""What stays off an NPU though its driver has the op's type, and what stands between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.targets import load_target
from edgeflow.emulate import Emulator
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor, attr_of
from edgeflow.graph.placement import off_npu, takes

pytestmark = pytest.mark.build


def head() -> Any:
    import paddle
    from paddle import nn

    class Head(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2D(3, 8, 1)
            self.ones, self.argmax = paddle.ones, paddle.argmax

        def forward(self, x: Any) -> Any:
            y = self.conv(x).reshape([0, 8, -1])
            return y[:, 2:5] * 2.0, self.argmax(y, 1), self.ones([2, 3])

    return Head()


@pytest.mark.parametrize("name", ["rockchip", "verisilicon-timvx", "kirin"])
def test_slices_whole_numbers_and_constants(name: str, tmp_path: Path) -> None:
    from edgeflow.convert import opt
    from tests.graph.programs import export, rewritten

    export(head, (1, 3, 4, 4), tmp_path / "raw")
    rewritten(programs.load(tmp_path / "raw.pdmodel"), tmp_path / "raw", tmp_path / "made", name)
    target = load_target(name)
    program = programs.load(tmp_path / "made.pdmodel")
    editor = Editor(program, parameters.load(program, tmp_path / "made.pdiparams"))
    made = {op.type: op for op in editor.ops}
    between = made.get("leaky_relu")
    assert (between is not None) == (name == "rockchip"), "rockchip's NPU has no slice, and opt takes that of bool"
    if between is not None:
        assert attr_of(between, "alpha") == 1.0
        assert not takes(editor, between, target)
    assert takes(editor, made["arg_max"], target) == (name == "kirin")
    assert not takes(editor, made["assign"], target)
    kept = off_npu(editor, target, ())
    opt.convert(
        tmp_path / "made", tmp_path / "m.nb", opt.Conversion(target.lite.valid_targets, off_npu=kept), tmp_path / "l"
    )
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)
    with Emulator(nb.read(tmp_path / "m.nb")) as runner:
        sliced, _, constant = runner.infer({"x": x}).values()
    assert sliced.shape == (1, 3, 16)
    assert np.array_equal(constant, np.ones((2, 3), np.float32))


def embedding() -> Any:
    import paddle

    class Words(paddle.nn.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = paddle.nn.Embedding(9, 4, padding_idx=2)
            self.words.weight.set_value(paddle.ones([9, 4]))  # padding that training or loading has overwritten

        def forward(self, x: Any) -> Any:
            return self.words(paddle.cast(x, "int64")) * 2.0

    return Words()


def test_padding_of_an_embedding_stands_in_the_weights_for_an_npu(tmp_path: Path) -> None:
    """An NPU gathers rows and knows of no padding."""
    from tests.graph.programs import export, rewritten, run

    export(embedding, (1, 9), tmp_path / "raw")
    made = rewritten(programs.load(tmp_path / "raw.pdmodel"), tmp_path / "raw", tmp_path / "made", "kirin")
    assert made["embedding padding in the weights"] == 1
    program = programs.load(tmp_path / "made.pdmodel")
    editor = Editor(program, parameters.load(program, tmp_path / "made.pdiparams"))
    (lookup,) = [op for op in editor.ops if op.type.startswith("lookup_table")]
    assert attr_of(lookup, "padding_idx") == -1
    ids = np.arange(9, dtype=np.float32)[None]
    wanted = run(tmp_path / "raw", ids)
    assert not wanted[0, 2].any() and wanted[0, 3].all()
    np.testing.assert_array_equal(run(tmp_path / "made", ids), wanted)

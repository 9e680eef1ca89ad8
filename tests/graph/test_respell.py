"""What the ARM runtime has wrong, with open dimensions, on NPU targets, and where no spelling exists.

Every form with fixed shapes is in the zoo.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeflow.core.targets import load_target
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Editor
from edgeflow.graph.legality import examine
from edgeflow.graph.program import schema
from edgeflow.graph.respell import defective
from edgeflow.graph.spellings import rearrange

pytestmark = pytest.mark.build
ARM, KIRIN = load_target("arm64"), load_target("kirin")


def mixed() -> Any:
    """[N, 4, 9, 9] through an adaptive pool, a group norm in 1-D, a bidirectional GRU's states and reductions."""
    import paddle
    from paddle import nn

    class Mixed(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.gru = nn.GroupNorm(2, 4), nn.GRU(9, 3, direction="bidirect")
            self.pool, self.matmul, self.concat = nn.AdaptiveAvgPool2D(3), paddle.matmul, paddle.concat

        def forward(self, x: Any) -> Any:
            pooled = self.norm(self.pool(x).reshape([0, 4, 9]))
            _, states = self.gru(pooled)
            sums = x.sum(axis=[1, 3]).reshape([0, 9]) + x.max(axis=[1, 2, 3], keepdim=True).reshape([0, 1])
            return self.concat([states.transpose([1, 0, 2]).reshape([0, 6]), sums, x.mean().reshape([1, 1]) + sums], 1)

    return Mixed()


def opened(path: Path) -> Editor:
    program = programs.load(path.with_suffix(".pdmodel"))
    return Editor(program, parameters.load(program, path.with_suffix(".pdiparams")))


def test_an_open_batch_is_respelled_too(tmp_path: Path) -> None:
    from tests.graph.programs import export, rewritten, run

    program = export(mixed, (-1, 4, 9, 9), tmp_path / "raw")
    assert {defect.code for _, defect in defective(Editor(program), ARM)} >= {"pool-adaptive-3x3", "reduce-mean-all"}
    made = rewritten(program, tmp_path / "raw", tmp_path / "made")
    assert {"norm-1d", "reduce-sum-axes", "reduce-max-axes", "rnn-backward-state"} <= set(made)
    editor = opened(tmp_path / "made")
    assert list(defective(editor, ARM)) == []
    assert [finding for finding in examine(editor, ARM, "float32")[0] if finding.severity == "error"] == []
    x = np.random.default_rng(0).normal(size=(3, 4, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(run(tmp_path / "made", x), run(tmp_path / "raw", x), rtol=1e-5, atol=1e-5)


def vanilla() -> Any:
    from paddle import nn

    class Vanilla(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.SimpleRNN(6, 4)

        def forward(self, x: Any) -> Any:
            return self.rnn(x)[0]

    return Vanilla()


def test_what_has_no_spelling_is_refused_with_the_reason(tmp_path: Path) -> None:
    from tests.graph.programs import export, rewritten

    rewritten(export(vanilla, (1, -1, 6), tmp_path / "raw"), tmp_path / "raw", tmp_path / "made")
    (found,) = [f for f in examine(opened(tmp_path / "made"), ARM, "float32")[0] if f.severity == "error"]
    assert found.code == "P106" and found.op.startswith("rnn (")
    assert "unsupport mode except gru and lstm" in found.why and "fixed length" in found.fix


def test_what_an_npu_takes_stays_as_it_is(tmp_path: Path) -> None:
    """The ARM runtime's defects are none of its; an op that is told to stay on the CPU meets them."""
    from tests.graph.programs import export

    editor = Editor(export(mixed, (1, 4, 9, 9), tmp_path / "raw"))
    pool = next(op for op in editor.ops if op.type == "pool2d")
    assert "pool2d" not in {op.type for op, _ in defective(editor, KIRIN)}
    assert "pool2d" in {op.type for op, _ in defective(editor, KIRIN, frozenset({id(pool)}))}
    assert list(defective(editor, load_target("x86"))) == []


def test_a_constant_of_any_size_is_not_made() -> None:
    """Met by fuzzing: an `eye` of 1,000 x 2^20 took 12 GB out of a program of 300 bytes."""
    op = schema().OpDesc(type="eye")
    op.outputs.add(parameter="Out").arguments.append("y")
    for name, value in (("num_rows", 1000), ("num_columns", 1 << 20)):
        op.attrs.add(name=name, type=schema().LONG, l=value)
    speller = SimpleNamespace(editor=SimpleNamespace(dtype=lambda name: "float32"))
    assert rearrange._eye(speller, op, "") is None  # type: ignore[arg-type]
    assert can_make(1 << 12, 1 << 12) and not can_make(1 << 12, 1 << 13) and not can_make(-1, 4)

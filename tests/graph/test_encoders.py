"""Networks of texts as PaddleNLP exports them: positions become weights where the length is fixed, and NPUs get one
piece.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.core.targets import load_target
from edgeflow.core.tensors import TensorSpec
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.legality import partition_of
from edgeflow.paddle import session as backend
from tests.graph.programs import export, rewritten

pytestmark = pytest.mark.build
LENGTH = 12
ROWS = {"bert": 1, "ernie": 2, "tinybert": 1, "roberta": 0, "tagger": 2}
"""What becomes a weight: positions, and task ids where there are any; those of RoBERTa depend on the padding."""


def exported(name: str, length: int, folder: Path) -> Any:
    from tests.graph.text_nets import NETS, inputs_of

    backend.seed(0)
    specs = tuple(TensorSpec(key, (-1, length), "int64") for key in inputs_of(name))
    folder.mkdir()
    backend.export(NETS[name], specs, folder / "model", "test")
    return programs.load(folder / "model.pdmodel")


def run(prefix: Path, ids: np.ndarray) -> np.ndarray:
    with backend.Program(prefix, gpu=False) as program:
        feed = {spec.name: ids if spec.name == "input_ids" else ids % 2 for spec in program.inputs}
        return next(iter(program.infer(feed).values()))


def ids(batch: int, length: int) -> np.ndarray:
    """Texts of several lengths, padded with 0."""
    random = np.random.default_rng(1)
    found = random.integers(1, 50, (batch, length))
    for row in found:
        row[random.integers(3, length + 1) :] = 0
    return found


@pytest.mark.parametrize("name", ROWS)
def test_a_fixed_length_gives_one_piece_with_the_same_numbers(name: str, tmp_path: Path) -> None:
    program = exported(name, LENGTH, tmp_path / "raw")
    out = tmp_path / "out" / "model"
    made = rewritten(program, tmp_path / "raw" / "model", out, "kirin")
    assert made.get("row", 0) == ROWS[name]
    spelled = programs.load(out.with_suffix(".pdmodel"))
    kinds = {op.type for op in spelled.blocks[0].ops}
    assert not kinds & {"fill_any_like", "shape", "cumsum", "slice"}
    for batch in (1, 3):
        texts = ids(batch, LENGTH)
        np.testing.assert_allclose(run(out, texts), run(tmp_path / "raw" / "model", texts), atol=1e-6)
    assert len(partition_of(Editor(spelled), load_target("kirin"), set()).pieces) == 1


def test_slices_become_parts_of_splits(tmp_path: Path) -> None:
    def build() -> Any:
        from paddle import nn

        class Net(nn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = nn.ReLU(), nn.Tanh()

            def forward(self, x: Any) -> Any:
                x = self.a(x)
                return self.b(x[:, 0]), self.b(x[:, -1]), self.b(x[:, 2:5]), self.b(x[:, 1:3, 4:]), self.b(x[:, :])

        return Net()

    program = export(build, (-1, 9, 8), tmp_path / "raw" / "model")
    out = tmp_path / "out" / "model"
    rewritten(program, tmp_path / "raw" / "model", out, "kirin")
    spelled = programs.load(out.with_suffix(".pdmodel"))
    assert "slice" not in {op.type for op in spelled.blocks[0].ops}
    x = {"x": np.random.default_rng(1).normal(size=(3, 9, 8)).astype(np.float32)}
    with backend.Program(out, gpu=False) as ours, backend.Program(tmp_path / "raw" / "model", gpu=False) as raw:
        for got, wanted in zip(ours.infer(x).values(), raw.infer(x).values(), strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert len(partition_of(Editor(spelled), load_target("kirin"), set()).pieces) == 1


@pytest.mark.parametrize("name", ["ernie", "bilstm last"])
def test_an_open_length_stays_open(name: str, tmp_path: Path) -> None:
    program = exported(name, -1, tmp_path / "raw")
    out = tmp_path / "out" / "model"
    assert not rewritten(program, tmp_path / "raw" / "model", out).get("row")
    texts = ids(2, 7)
    np.testing.assert_allclose(run(out, texts), run(tmp_path / "raw" / "model", texts), atol=1e-6)

"""Encoders as PaddleNLP exports them: positions become weights where the length is fixed, and NPUs get one piece."""

from __future__ import annotations

from collections.abc import Callable
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
from tests.graph.programs import rewritten

pytestmark = pytest.mark.build


def encoder(pick: Callable[[Any], Any]) -> Callable[[], Any]:
    """ERNIE in small: mask, positions and task ids made of the ids; `pick` takes what is scored."""

    def build() -> Any:
        import paddle
        from paddle import nn

        class Net(nn.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.words, self.places = nn.Embedding(20, 8, padding_idx=0), nn.Embedding(12, 8)
                self.tasks = nn.Embedding(3, 8)
                self.norm = nn.LayerNorm(8)
                self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu")
                self.score, self.pick = nn.Linear(8, 3), pick

            def forward(self, ids: Any) -> Any:
                mask = (ids == 0).astype("float32").unsqueeze([1, 2]) * -1e4
                ones = paddle.full_like(ids, 1)
                places = paddle.cumsum(ones, axis=1) - ones
                x = self.places(places) + self.words(ids) + self.tasks(paddle.ones_like(ids) * 2)
                return self.score(self.pick(self.layer(self.norm(x), mask)))

        return Net()

    return build


PICKS: dict[str, Callable[[Any], Any]] = {
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
    "middle": lambda x: x[:, 2:5],
    "both": lambda x: x[:, 1:3, 4:].reshape([-1, 8]),
    "whole": lambda x: x[:, :],
}


def exported(pick: str, length: int, folder: Path) -> Any:
    backend.seed(0)
    spec = TensorSpec("ids", (-1, length), "int64")
    folder.mkdir()
    backend.export(encoder(PICKS[pick]), (spec,), folder / "model", "test")
    return programs.load(folder / "model.pdmodel")


def run(prefix: Path, ids: np.ndarray) -> np.ndarray:
    with backend.Program(prefix, gpu=False) as program:
        return next(iter(program.infer({"ids": ids}).values()))


@pytest.mark.parametrize("pick", PICKS)
def test_a_fixed_length_gives_one_piece_with_the_same_numbers(pick: str, tmp_path: Path) -> None:
    program = exported(pick, 9, tmp_path / "raw")
    out = tmp_path / "out" / "model"
    made = rewritten(program, tmp_path / "raw" / "model", out, "kirin")
    assert made["row"] == 2, "positions and task ids"
    spelled = programs.load(out.with_suffix(".pdmodel"))
    kinds = {op.type for op in spelled.blocks[0].ops}
    assert not kinds & {"fill_any_like", "cumsum", "slice"}
    random = np.random.default_rng(1)
    for batch in (1, 3):
        ids = random.integers(0, 20, (batch, 9))
        np.testing.assert_allclose(run(out, ids), run(tmp_path / "raw" / "model", ids), atol=1e-6)
    assert len(partition_of(Editor(spelled), load_target("kirin"), set()).pieces) == 1


def test_an_open_length_stays_open(tmp_path: Path) -> None:
    program = exported("first", -1, tmp_path / "raw")
    out = tmp_path / "out" / "model"
    assert not rewritten(program, tmp_path / "raw" / "model", out).get("row")
    ids = np.random.default_rng(1).integers(0, 20, (2, 7))
    np.testing.assert_array_equal(run(out, ids), run(tmp_path / "raw" / "model", ids))

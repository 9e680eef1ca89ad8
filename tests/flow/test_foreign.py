"""Paddle works on a program from elsewhere in a process that writes in one folder alone, for plan and inspect too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edgeflow.core import fence
from edgeflow.flow.foreign import ForeignPaddle
from edgeflow.flow.plan import plan
from edgeflow.flow.workers import Workers
from edgeflow.verify.inspect_program import inspect_program
from tests.graph.programs import export

pytestmark = pytest.mark.build


def test_plan_and_inspect_compute_behind_the_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import paddle

    class Net(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.kept = self.create_parameter([3, 4])

        def forward(self, x: Any) -> Any:
            return paddle.matmul(x, paddle.cumsum(self.kept, 0).transpose([1, 0]))

    export(Net, (-1, 4), tmp_path / "m")
    asked: list[str] = []
    processes: set[int] = set()

    def here(*_: Any) -> Any:
        raise AssertionError("Paddle works on it in this process")

    for name in ("edgeflow.paddle.session.Session.run", "edgeflow.paddle.shapes.paddle"):
        monkeypatch.setattr(name, here)
    for method in ("evaluate", "infer"):
        whole = getattr(ForeignPaddle, method)
        monkeypatch.setattr(
            ForeignPaddle,
            method,
            lambda *given, whole=whole, method=method: (
                asked.append(method),
                processes.add(id(given[0])),
                whole(*given),
            )[-1],
        )
    (found,) = plan(tmp_path / "m.pdmodel", ["arm64"])
    assert found.buildable and set(asked) == {"evaluate", "infer"}, (asked, found.findings)
    assert len(processes) == 1, "a model without a recipe is looked at and planned by one process"
    with ForeignPaddle(tmp_path / "inside") as fenced:
        assert inspect_program(tmp_path / "m.pdmodel", fenced.infer).macs == 3 * 4
        if fence.abi():
            with pytest.raises(PermissionError):
                fenced._pool().run(Path.write_text, tmp_path / "outside", "x")
    assert not (tmp_path / "outside").exists()


def test_a_fence_around_a_folder_that_comes_later_lets_its_process_in(tmp_path: Path) -> None:
    """A first build starts its quantising worker while nothing has made the cache yet: it could not write its log."""
    later = tmp_path / "build" / ".cache"
    with Workers(1, (), inside=later) as workers:
        assert workers.run(os.getpid)  # the fence stands
        (later / "compress").mkdir(parents=True, exist_ok=True)
        assert workers.run(Path.write_text, later / "compress" / "compress.log", "x") == 1
    if fence.abi():
        with pytest.raises(FileNotFoundError):
            fence.write_only_in([tmp_path / "nowhere"])

"""Paddle's work on a program from elsewhere that is planned or inspected: in a worker that writes in one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeflow.core.samples import Array
from edgeflow.flow.workers import Workers
from edgeflow.graph.program import schema


class ForeignPaddle:
    """Constants and dims of programs as Paddle computes them, behind the fence; the worker starts when it is needed.

    Args:
        folder: where the worker may write, and nowhere else (core/fence.py).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: Workers | None = None
        self._used = False

    def expect(self) -> None:
        """Begin to import Paddle while a model is read that will most likely need it."""
        self._started().start()

    def __enter__(self) -> ForeignPaddle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._workers is not None and self._used:
            self._workers.__exit__(kind, err, trace)
        elif self._workers is not None:
            self._workers.kill()  # nobody waits for an import

    def evaluate(self, program: Any, weights: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """The same as `edgeflow.paddle.session.evaluate`."""
        read = {name for op in program.blocks[0].ops for var in op.inputs for name in var.arguments}
        held = {name: array for name, array in weights.items() if name in read}
        return self._pool().run(_evaluate, program.SerializeToString(), held, list(names))

    def infer(self, program: Any) -> dict[str, tuple[int, ...]]:
        """The same as `edgeflow.paddle.shapes.inferred_dims`."""
        return self._pool().run(_infer, program.SerializeToString())

    def _pool(self) -> Workers:
        self._used = True
        return self._started()

    def _started(self) -> Workers:
        if self._workers is None:
            self._workers = Workers(1, ("paddle", "edgeflow.paddle.shapes"), inside=self._folder)
        return self._workers


def _evaluate(raw: bytes, weights: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    from edgeflow.paddle.session import evaluate

    return evaluate(schema().ProgramDesc.FromString(raw), weights, names)


def _infer(raw: bytes) -> dict[str, tuple[int, ...]]:
    from edgeflow.paddle.shapes import inferred_dims

    return inferred_dims(schema().ProgramDesc.FromString(raw))

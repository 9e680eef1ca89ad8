"""Small Paddle programs for tests: exported, repaired, converted and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.backends import paddle as backend
from edgeflow.core.tensors import TensorSpec
from edgeflow.graph import program as programs


def export(build: Callable[[], Any], shape: tuple[int, ...], prefix: Path) -> Any:
    """Export a layer with one input `x`; returns the program."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    backend.seed(0)
    backend.export(build, (TensorSpec("x", shape),), prefix, "test")
    return programs.load(prefix.with_suffix(".pdmodel"))


def run(prefix: Path, x: np.ndarray) -> np.ndarray:
    with backend.Program(prefix, gpu=False) as program:
        return next(iter(program.infer({"x": x}).values()))

"""Small Paddle programs for tests: exported, repaired, converted and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow import nb
from edgeflow.core.targets import load_target
from edgeflow.core.tensors import TensorSpec
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.canonicalise import canonicalise
from edgeflow.graph.edit import Editor
from edgeflow.graph.legalise import legalise
from edgeflow.graph.specialise import specialise
from edgeflow.paddle import session as backend


def export(build: Callable[[], Any], shape: tuple[int, ...], prefix: Path) -> Any:
    """Export a layer with one input `x`; returns the program."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    backend.seed(0)
    backend.export(build, (TensorSpec("x", shape),), prefix, "test")
    return programs.load(prefix.with_suffix(".pdmodel"))


def run(prefix: Path, x: np.ndarray) -> np.ndarray:
    with backend.Program(prefix, gpu=False) as program:
        return next(iter(program.infer({"x": x}).values()))


def rewritten(program: Any, raw: Path, out: Path, target: str = "arm64") -> dict[str, int]:
    """Repair, rewrite and spell a copy of a program for a target; writes `out`, returns what was made."""
    copy = type(program).FromString(program.SerializeToString())
    weights = parameters.load(copy, raw.with_suffix(".pdiparams"))
    made = legalise(copy)
    made.update(canonicalise(copy, weights, backend.evaluate))
    editor = Editor(copy, weights)
    made.update(specialise(editor, load_target(target)))
    editor.commit()
    legalise(copy)
    out.parent.mkdir(parents=True, exist_ok=True)
    programs.save(copy, out.with_suffix(".pdmodel"))
    parameters.save(copy, weights, out.with_suffix(".pdiparams"))
    return made


def pieces(model: nb.Model) -> set[frozenset[str]]:
    """Each NPU subgraph as the set of its ops' results."""
    found = set()
    for op in model.blocks[0].operations:
        if op.type == "subgraph":
            block = model.blocks[op.attr("sub_block")]
            found.add(
                frozenset(
                    next(o.outputs[key][0] for key in ("Out", "Output", "Y") if key in o.outputs)
                    for o in block.operations
                )
            )
    return found

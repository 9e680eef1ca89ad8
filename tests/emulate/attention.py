"""Writes attention/model.nb and case.npz: an encoder quantised as it was exported, and what Paddle makes of it.

python -m tests.emulate.attention
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

CASE = Path(__file__).parent / "attention"


def write(work: Path) -> None:
    """Export, PaddleSlim's defaults, opt: no rewriting in between, so that opt fuses the attention."""
    from edgeflow.compress.slim import Calibration, quantise
    from edgeflow.convert.opt import Conversion, convert
    from edgeflow.core.tensors import TensorSpec
    from edgeflow.graph import parameters
    from edgeflow.graph import program as programs
    from edgeflow.graph.legalise import legalise
    from edgeflow.paddle import session as backend
    from tests.graph.text_nets import LENGTH, NETS

    specs = tuple(TensorSpec(name, (-1, LENGTH), "int64") for name in ("input_ids", "token_type_ids"))
    backend.seed(0)
    backend.export(NETS["ernie"], specs, work / "model", "test")
    program = programs.load(work / "model.pdmodel")
    programs.forget_callstacks(program)
    legalise(program)
    programs.save(program, work / "model.pdmodel")
    random = np.random.default_rng(0)
    ids = random.integers(1, 50, (40, LENGTH))
    for row in ids:
        row[random.integers(3, LENGTH + 1) :] = 0
    feed = {"input_ids": ids, "token_type_ids": ids % 2}
    out = work / "int8" / "model"
    quantise(work / "model", out, {name: array[:32] for name, array in feed.items()}, Calibration("hist", True, 32))
    program = programs.load(out.with_suffix(".pdmodel"))
    weights = parameters.load(program, out.with_suffix(".pdiparams"))
    legalise(program)
    programs.forget_callstacks(program)
    programs.save(program, out.with_suffix(".pdmodel"))
    parameters.save(program, weights, out.with_suffix(".pdiparams"))
    convert(out, CASE / "model.nb", Conversion("arm"), work / "log")
    with backend.Program(out, gpu=False) as runner:
        given = {name: array[32:] for name, array in feed.items()}
        outputs = [next(iter(runner.infer({n: a[k : k + 1] for n, a in given.items()}).values())) for k in range(8)]
    np.savez_compressed(CASE / "case.npz", **given, out_0=np.concatenate(outputs))


if __name__ == "__main__":
    CASE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))

"""fused_attention: an encoder that PaddleSlim and opt quantised as it was exported (tests/emulate/attention.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.errors import NbError
from edgeflow.emulate import Emulator

CASE = Path(__file__).parent / "attention"


def test_the_file_gives_what_its_program_gives() -> None:
    arrays = dict(np.load(CASE / "case.npz"))
    wanted = arrays.pop("out_0")
    model = nb.read(CASE / "model.nb")
    assert sum(op.type == "fused_attention" for op in model.blocks[0].operations) == 2
    with Emulator(model) as runner:
        single = [{name: array[k : k + 1] for name, array in arrays.items()} for k in range(len(wanted))]
        got = np.concatenate([next(iter(runner.infer(one).values())) for one in single])
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        with pytest.raises(NbError, match="computes one text at a time, and 8 are given"):
            runner.infer(arrays)

"""The emulator is held to NNAdapter's own device: outputs of Paddle Lite v2.13-rc's libnnadapter, run under qemu-user.

Each case is a file that opt wrote for target nnadapter-builtin in one or two subgraphs, and what builtin_device gave for two or
three inputs. Between them the networks have convolutions, depthwise ones too, relu, relu6, products, sums with a constant
and with each other, both ways of pooling, global and with padding, concat, reshape, scale with and without a bias, and softmax.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.emulate import Emulator
from edgeflow.nb.partition import placement

CASES = sorted(path.parent for path in (Path(__file__).parent / "builtin").glob("*/model.nb"))


def run(case: Path, npu: str) -> tuple[np.ndarray, np.ndarray]:
    """What the emulator gives, and what the device gave."""
    arrays = np.load(case / "case.npz")
    model = nb.read(case / "model.nb")
    assert placement(model).npu
    with Emulator(model, npu=npu) as runner:
        got = [next(iter(runner.infer({model.inputs[0]: one[None]}).values())) for one in arrays["in_0"]]
    return np.concatenate(got), arrays["out_0"]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_outputs_are_those_of_the_device(case: Path) -> None:
    got, wanted = run(case, "int8")
    gap = np.abs(got - wanted)
    if case.name.startswith("float32"):
        assert gap.max() < 1e-6
        return
    assert np.array_equal(got, wanted), "in int8 nothing is left to rounding"
    rounded, _ = run(case, "uint8")
    assert np.abs(rounded - wanted).max() > 0.01, "rounding in place of cutting off is told apart"

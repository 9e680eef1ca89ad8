"""The emulator is held to NNAdapter's own device: outputs of Paddle Lite v2.13-rc's libnnadapter, run under qemu-user.

Each case is a file that opt wrote for target nnadapter-builtin, and what builtin_device gave for three inputs. The
network has convolutions, relu, relu6, products, sums, pooling, reshape, scale and softmax.
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
    model = nb.read(case / "model.nb")
    (step,) = [op.numbers("Out0_scale")[0] for op in model.blocks[-1].operations if op.type == "softmax"]
    # Sums whose order differs fall on either side of a step now and then, and later ops carry that on.
    assert (gap > 1e-5).mean() < 0.1 and gap.max() < 4.1 * step
    rounded, _ = run(case, "uint8")
    assert np.abs(rounded - wanted).max() > 10 * step, "rounding in place of cutting off is told apart"

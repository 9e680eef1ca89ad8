"""A damaged file is told from a rough quantisation: by the compressed program's own outputs."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.samples import Array
from edgeflow.emulate import Emulator
from edgeflow.nb.faults import faults
from edgeflow.project.reference import Reference
from edgeflow.verify.exactness import exactness, inexact
from edgeflow.verify.execute import outputs_of
from tests.conftest import GOLDEN

LENET = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"


def arrays(count: int = 400) -> tuple[Array, Array]:
    """A float output, and what a quantisation of 30 dB makes of it."""
    random = np.random.default_rng(0)
    floats = random.normal(size=(count, 10)).astype(np.float32)
    return floats, floats + random.normal(0, 0.03, floats.shape).astype(np.float32)


def test_ties_are_no_damage() -> None:
    floats, rough = arrays()
    tied = rough.copy()
    tied[:4, 3] += 0.03  # one step in one of a hundred samples
    assert inexact([exactness(floats, rough, rough * np.float32(1 + 1e-7), "int8")]) == []
    built = exactness(floats, rough, tied, "int8")
    assert built.exact == 0.99 and inexact([built]) == inexact([built], [built]) == []


@pytest.mark.parametrize("built", [True, False])
def test_what_every_sample_shows_is_damage_however_rough_the_quantisation(built: bool) -> None:
    floats, rough = arrays()
    damaged = rough.copy()
    damaged[:, 3] *= 1.1
    own = [exactness(floats, rough, rough, "int8")] if built else []
    (said,) = inexact([exactness(floats, rough, damaged, "int8")], own)
    assert "more than rounding ties" in said
    damaged[0, 0] = np.inf
    assert inexact([exactness(floats, rough, damaged, "int8")], own)


def test_a_slight_fault_is_seen_where_the_build_was_exact() -> None:
    floats, rough = arrays()
    slight = rough.copy()
    slight[:, 3] *= 1.001
    own = exactness(floats, rough, rough, "int8")
    assert inexact([exactness(floats, rough, slight, "int8")], [own])


def test_every_fault_of_the_self_test_that_changes_an_output_is_seen() -> None:
    runner = Emulator(LENET)
    x = np.random.default_rng(0).random((16, 1, 32, 32), np.float32)
    given = Reference({"x": x}, (np.zeros(1),), None)
    (rough,) = outputs_of(runner, given)
    floats = rough + np.random.default_rng(1).normal(0, 0.05 * rough.std(), rough.shape)
    own, seen = [exactness(floats, rough, rough, "int8")], 0
    for fault in faults(nb.read(LENET)):
        try:
            with np.errstate(all="ignore"):
                (output,) = outputs_of(Emulator(fault.model), given)
        except EdgeflowError:
            continue  # it does not even run
        differs = not np.allclose(output, rough, rtol=0, atol=1e-5 * np.abs(rough).max())
        said = inexact([exactness(floats, rough, output, "int8")], own)
        assert bool(said) == differs, (fault.kind, fault.size, fault.where)
        seen += differs
    assert seen > 15

"""A damaged file is told from a rough quantisation: by the compressed program's own outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.samples import Array
from edgeflow.core.settings import VerifySettings
from edgeflow.emulate import Emulator
from edgeflow.emulate.decisions import own_values, sites
from edgeflow.nb.faults import faults
from edgeflow.project.reference import Reference
from edgeflow.verify.decided import Ties, as_arrays, decided_outputs, from_arrays
from edgeflow.verify.exactness import exactness, inexact
from edgeflow.verify.execute import Ran, outputs_of
from edgeflow.verify.judge import CompressedOutputs, judge
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


def test_with_ties_as_they_fell_a_deep_net_is_exact_and_a_slight_fault_is_none() -> None:
    """The program is played by the file itself with its ties rounded up, of which the input has one."""
    model = nb.read(GOLDEN / "net_mobilenet_v2__int8_ptq_hist" / "model.nb")
    feed = {"x": np.random.default_rng(2).normal(size=(1, 3, 32, 32)).astype(np.float32)}
    given = Reference(feed, (np.zeros(1),), None)
    places = {site.place for site in sites(model)}
    with Emulator(model, rounding=1, threads=1) as program, Emulator(model, threads=1) as plain:
        (wanted,), (got,) = program.infer(feed).values(), plain.infer(feed).values()
        steps = {item.index: item.array for item in program.dump(feed) if item.index in places}
    own = own_values(model, feed, steps, threads=1)
    assert set(own) == set(steps) == places
    rows = [[0, k, i, own[k].flat[i], a.flat[i]] for k, a in steps.items() for i in np.flatnonzero(own[k] != a)]
    known = Ties(np.asarray(rows, np.int32), {place: array.shape for place, array in own.items()}, 1, 1)
    floats = wanted + np.float32(0.3 * wanted.std())
    assert len(rows) == 1 and np.abs(got - wanted).max() > 1e-3 * np.abs(wanted).max()
    (decided,) = decided_outputs(model, given, known)
    assert inexact([exactness(floats, wanted, got, "int8", decided)]) == []

    layer = next(op for op in model.blocks[0].operations if op.type == "conv2d" and op.numbers("Filter0_scale"))
    scales = layer.attributes["Filter0_scale"]
    slight = (scales.value[0] * 1.02, *scales.value[1:])  # of one channel of one layer
    damaged = replace(layer, attributes={**layer.attributes, "Filter0_scale": replace(scales, value=slight)})
    block = model.blocks[0]
    ops = tuple(damaged if op is layer else op for op in block.operations)
    faulty = replace(model, blocks=(replace(block, operations=ops), *model.blocks[1:]))
    with Emulator(faulty, threads=1) as runner:
        (got,) = runner.infer(feed).values()
    (decided,) = decided_outputs(faulty, given, known)
    assert inexact([exactness(floats, wanted, got, "int8")]) == [], "without the ties it passes for them"
    assert "every rounding tie" in inexact([exactness(floats, wanted, got, "int8", decided)])[0]
    assert from_arrays(as_arrays(known), "here") is not None
    for key, value in (("ties/rows", known.rows + np.int32(1 << 30)), ("ties/runs", np.asarray([9999, 1], np.int32))):
        with pytest.raises(DataError, match="no known kind"):
            from_arrays({**as_arrays(known), key: value}, "here")


def test_fewer_outputs_than_the_reference_has() -> None:
    """Met by fuzzing: compressed.npz without one of its arrays, and a manifest that vouches for it."""
    one = np.zeros((2, 3), np.float32)
    given = Reference({"x": one}, (one, one), None)
    with pytest.raises(DataError, match="holds 1 outputs"):
        judge(given, Ran((one, one), ("a", "b"), "x"), VerifySettings(), None, CompressedOutputs((one,)))
    with pytest.raises(DataError, match="without a sample"):
        judge(given, Ran((one, one), ("a", "b"), "x"), VerifySettings(), None, CompressedOutputs((one, one[:0])))

"""Copies of a .nb that hand out intermediates."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.emulate import Emulator
from edgeflow.nb.dataflow import nodes
from edgeflow.nb.probe import points, probe
from tests.conftest import golden_cases

NAMES = ("net_lenet__fp32", "net_mobilenet_v2__int8_ptq_hist", "net_ssd__fp16", "net_lenet__fp32_rockchip")
CASES = {case.name: case for case in golden_cases() if case.name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_handed_out_is_what_the_ops_gave_and_the_answer_stays(name: str) -> None:
    case = CASES[name]
    model = nb.read(case.model)
    feed = dict(zip((spec.name for spec in model.input_specs), case.inputs(), strict=True))
    watched = points(model)
    assert len({point.value for point in watched}) == len(watched) > 3
    copy = nb.read_bytes(nb.to_bytes(probe(model, watched)))
    own = list(Emulator(model, threads=1).infer(feed).values())
    found = list(Emulator(copy, threads=1).infer(feed).values())
    assert len(found) == len(own) + len(watched)
    for before, after in zip(own, found, strict=False):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * float(np.abs(before).max()))
    dumped = {(item.index, item.variable): item.array for item in Emulator(model, threads=1).dump(feed)}
    for point, array in zip(watched, found[len(own) :], strict=True):
        ((slot,),) = [
            [name for v, name in zip(values, point.node.op.outputs[parameter], strict=True) if v == point.value]
            for parameter, values in point.node.outputs.items()
            if point.value in values
        ]
        expected = dumped[point.node.index, slot].astype(np.float64)
        np.testing.assert_allclose(array, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max(initial=1.0)))


def test_no_value_shares_a_name_with_one_that_is_written_later() -> None:
    """Else a device's fetch, which shares the buffer, would hand out what came later."""
    model = nb.read(CASES["net_mobilenet_v2__int8_ptq_hist"].model)
    assert len({name for op in model.blocks[0].operations for names in op.outputs.values() for name in names}) < len(
        nodes(model)
    ), "opt lets values share names"
    copy = probe(model, points(model))
    handed_out = {op.input("X") for op in copy.blocks[0].operations if op.type == "fetch"}
    written = [name for op in copy.blocks[0].operations for names in op.outputs.values() for name in names]
    assert handed_out and all(written.count(str(name)) == 1 for name in handed_out)

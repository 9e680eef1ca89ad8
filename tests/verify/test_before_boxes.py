"""Drift of a detector is measured up to what its NMS reads: an NMS hides none of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.settings import VerifySettings
from edgeflow.emulate import Emulator
from edgeflow.emulate.examined import Examined
from edgeflow.nb.dataflow import nodes
from edgeflow.project.reference import Reference
from edgeflow.verify.before_boxes import of_unknown_size, read_in_file, up_to
from edgeflow.verify.hops import Step, waterfall
from tests.kinds.nets import drawn
from tests.kinds.run import GOLDEN

MODEL = GOLDEN / "boxes_a.nb"


def test_what_an_nms_reads_is_compared_hop_by_hop() -> None:
    file = Examined(MODEL)
    x, _ = drawn("boxes", 2, 20)
    with Emulator(file.model) as runner:
        given = Reference({"x": x}, tuple(runner.infer({"x": x}).values()), None)
    boxes, scores = read_in_file(file, given, "float32")
    assert boxes.shape == (16, 64, 4) and scores.shape == (16, 2, 64)
    with Emulator(file.model) as runner:
        first = runner.infer({"x": x[:16]})
    rows = next(array for array in first.values() if array.ndim == 2 and array.shape[1] == 6)
    assert np.isin(rows[:, 1], scores).all() and np.isin(rows[:, 2:], boxes).all()
    settings = VerifySettings(outputs=(OutputKind("boxes", counts=1), OutputKind("ids", belongs_to=0)))
    one = Step("cpu_fp32", given.outputs, before=(boxes, scores))
    (hop,) = waterfall([one, replace(one, key="nb_emulated", before=(boxes * 1.01, scores))], given, settings, None)
    assert hop.agreement == 1 and hop.sqnr_db == pytest.approx(40, abs=0.1), "no box is lost, and the drift is seen"
    (hop,) = waterfall([one, replace(one, key="nb_emulated", before=())], given, settings, None)
    assert hop.agreement == 1 and hop.sqnr_db is None


def test_layers_stop_where_the_data_decides_how_much_there_is() -> None:
    graph = nodes(nb.read(MODEL), nested=True)
    nms = next(node for node in graph if node.op.type == "multiclass_nms3")
    assert set(nms.writes) <= of_unknown_size(graph) and not of_unknown_size(graph).intersection(nms.reads)
    (said,) = up_to(graph)
    assert "multiclass_nms3" in said and up_to(nodes(nb.read(GOLDEN / "scores_a.nb"))) == ()

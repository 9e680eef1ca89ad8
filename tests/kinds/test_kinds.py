"""Two networks of each kind, as scripts/kinds built them: the true file is no FAIL, a slight fault in each layer that
the answers rest on is, and what a verification does beside inference is quick.
"""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.targets import load_target
from edgeflow.emulate import Emulator
from edgeflow.files.arrays import load_npz
from edgeflow.nb.faults import faults
from edgeflow.project.reference import Reference
from edgeflow.verify.execute import run_with
from edgeflow.verify.judge import Verdict, judge
from edgeflow.verify.output_kinds import kinds_of
from edgeflow.verify.worst_inputs import worst
from tests.kinds.nets import METRICS, evaluation
from tests.kinds.run import GOLDEN, KEPT, TARGETS

KEPT_FILES = sorted(path.stem for path in GOLDEN.glob("*.nb"))
BOTH = [(name[:-2], name[-1]) for name in KEPT_FILES]
GROSS = ("a layer zeroed", "two channels swapped")
"""Faults that no answer survives in the last layer."""


@cache
def given(kind: str, which: str) -> tuple[nb.Model, Reference, VerifySettings, str]:
    drawn = evaluation(kind)
    arrays = load_npz(GOLDEN / f"{kind}_{which}.npz")
    outputs = tuple(arrays[f"output/{k}"] for k in range(len(arrays)))
    target = load_target(TARGETS[which])
    metric = None if ".py:" in METRICS[kind] else METRICS[kind]
    limits = target.drift if metric else target.drift.overridden(DriftLimits()).without(["metric_drop_max"])
    reference = Reference({"x": drawn["x"][:KEPT]}, outputs, drawn["label"][:KEPT])
    return nb.read(GOLDEN / f"{kind}_{which}.nb"), reference, VerifySettings(metric, limits), target.npu_arithmetic


def verdict(model: nb.Model, kind: str, which: str, *, doubted: bool = False) -> Verdict:
    _, reference, settings, npu = given(kind, which)
    with np.errstate(all="ignore"), Emulator(model, npu=npu) as runner:
        return judge(reference, run_with(runner, reference), settings, doubted=doubted)


@pytest.mark.parametrize(("kind", "which"), BOTH)
def test_the_true_file_is_no_fail_and_faults_are(kind: str, which: str) -> None:
    model, reference, settings, _ = given(kind, which)
    started = time.process_time()
    found = verdict(model, kind, which, doubted=True)
    assert not found.broken
    assert kinds_of(reference, settings)[0].kind == kind
    shown = worst(reference, found.arrays, [item.kind for item in found.outputs])
    assert shown and all(item.reference for item in shown)
    assert time.process_time() - started < 5, "CPU seconds, of 100 samples"
    for fault in [one for one in faults(model) if one.kind in GROSS][-2:]:
        assert verdict(fault.model, kind, which).broken, f"{fault.kind} in {fault.where}"

"""edgeflow verify --self-test: would the verdict notice? Known faults are put into copies of the .nb and into its
inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeflow import nb
from edgeflow.core.boxes import chosen
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.metrics import loss
from edgeflow.core.samples import Array
from edgeflow.core.settings import VerifySettings
from edgeflow.emulate import Emulator
from edgeflow.files.temporary import scratch
from edgeflow.nb.faults import faults
from edgeflow.project.reference import Reference
from edgeflow.report.record_parts import InjectedFault, SelfTest
from edgeflow.verify.execute import run_with
from edgeflow.verify.judge import Verdict, judge, with_ties
from edgeflow.verify.output_kinds import kinds_of
from edgeflow.verify.stage import BESIDE, Against, prepared

COPIES = 100
BUDGET = 0.01
"""What counts as beyond the budget where no limit on the metric's drop is set: one point."""


def self_test(
    model: Path,
    against: Against = BESIDE,
    *,
    copies: int = COPIES,
    say: Callable[[str], None] | None = None,
) -> SelfTest:
    """Inject faults and ask for the verdict on each.

    Returns:
        Each fault with the metric's drop and whether it was noticed (any verdict but PASS), faults beyond the budget
        that were missed, and false alarms on unchanged copies, each judged on its own draw of half the samples.
    """
    basis = prepared(model, against)
    loaded, settings, npu, folder = basis.reference, basis.settings, basis.npu, basis.folder
    original = nb.read(model)
    budget = settings.limits.metric_drop_max if settings.limits.metric_drop_max is not None else BUDGET

    def verdict(candidate: nb.Model, given: Reference) -> Verdict | str:
        try:
            with np.errstate(all="ignore"), Emulator(candidate, npu=npu) as runner:
                ran = with_ties(run_with(runner, given), candidate, given, basis.compressed)
                return judge(loaded, ran, settings, folder, basis.compressed)
        except EdgeflowError as err:
            return err.what

    base = verdict(original, loaded)
    rows = []
    for kind, where, size, candidate, given in _cases(original, loaded):
        if say is not None:
            say(f"self-test: {kind} ({size}) in {where}")
        rows.append(_row(kind, where, size, verdict(candidate, given), base, budget))
    alarms = 0 if isinstance(base, str) else _false_alarms(original, loaded, settings, npu, folder, copies)
    noticed = [row for row in rows if row.noticed]
    smallest = min(noticed, key=lambda row: abs(row.metric_drop or 0.0), default=None)
    return SelfTest(
        budget=budget,
        faults=tuple(rows),
        noticed=len(noticed),
        injected=len(rows),
        missed_beyond_budget=sum(bool(row.beyond_budget) and not row.noticed for row in rows),
        false_alarms=alarms,
        unchanged_copies=copies,
        smallest_noticed=None if smallest is None else f"{smallest.fault} ({smallest.size}) in {smallest.where}",
    )


def _cases(model: nb.Model, reference: Reference) -> Iterator[tuple[str, str, str, nb.Model, Reference]]:
    for fault in faults(model):
        yield fault.kind, fault.where, fault.size, fault.model, reference
    for name, array in reference.inputs.items():
        if array.dtype.kind != "f":
            continue
        for kind, size, changed in _inputs(array):
            yield kind, f"input {name}", size, model, replace(reference, inputs={**reference.inputs, name: changed})


def _inputs(array: Array) -> Iterator[tuple[str, str, Array]]:
    if array.ndim == 4 and array.shape[1] == 3:
        yield "RGB and BGR swapped", "3 channels", np.ascontiguousarray(array[:, ::-1])
    spread = np.float32(array.std())
    for share in (0.05, 0.5):
        yield "mean off", f"{share:g} of the spread", (array + share * spread).astype(array.dtype)


def _row(kind: str, where: str, size: str, found: Verdict | str, base: Verdict | str, budget: float) -> InjectedFault:
    if isinstance(found, str):  # it does not even run: nobody misses that
        return InjectedFault(kind, where, size, None, beyond_budget=True, noticed=True, verdict="FAIL")
    drop = None
    if found.decision is not None:
        drop = found.decision.drop
    elif found.metric is not None and found.metric_candidate is not None and not isinstance(base, str):
        before = base.metric_candidate
        drop = None if before is None else loss(found.metric, before, found.metric_candidate)
    beyond = drop is not None and not drop <= budget
    noticed = found.verdict != "PASS"
    return InjectedFault(kind, where, size, drop, beyond_budget=beyond, noticed=noticed, verdict=found.verdict)


def _false_alarms(
    model: nb.Model, reference: Reference, settings: VerifySettings, npu: str, folder: Path | None, copies: int
) -> int:
    """Copies written anew; the judgement is given other samples each time, as another test set would."""
    with scratch() as place:
        path = place / "copy.nb"
        nb.write(model, path)
        with Emulator(path, npu=npu) as runner:
            ran = run_with(runner, reference)
    count, kinds = reference.samples, kinds_of(reference, settings)
    alarms = 0
    for k in range(copies):
        which = np.sort(np.random.default_rng(k).choice(count, max(count // 2, 1), replace=False))
        sides = [chosen(side, kinds, count, which) for side in (reference.outputs, ran.outputs)]
        if sides[0] is None or sides[1] is None:
            return int(bool(judge(reference, ran, settings, folder, doubted=False).broken))
        part = Reference(
            {name: array[which] for name, array in reference.inputs.items()},
            sides[0],
            None if reference.labels is None else reference.labels[which],
        )
        alarms += bool(judge(part, replace(ran, outputs=sides[1]), settings, folder, doubted=False).broken)
    return alarms

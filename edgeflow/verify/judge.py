"""Stage 4: execute the .nb's own bytes on the host and say how far it is from the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from edgeflow.core.detection import mean_average_precision
from edgeflow.core.drift import Drift, broken, measure
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.metrics import Metric, metric_named
from edgeflow.core.samples import Array, batches, joined
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.statistics import Decision, decide_bootstrap, decide_paired
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.project.functions import load_function
from edgeflow.project.reference import Reference

CALLS = 200
"""Resamples of metrics that are called anew for each: an interval to about a tenth of its width."""

PROBES = 3
"""Samples on which batches are tried for a file with a fixed batch of one."""

ELEMENTS_A_CALL = 1 << 20
"""Input elements fed at once where the batch is open: large enough for speed, small enough for memory."""


@dataclass(frozen=True, slots=True)
class OutputDrift:
    """Drift of one output, which the reference knows by its position."""

    index: int
    name: str
    drift: Drift


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one comparison showed. `broken` lists the limits that do not hold; `decision` judges the metric's drop by
    statistics.

    `judged` is false where no limit was given at all. `arrays` are the candidate's outputs, all samples together.
    """

    outputs: tuple[OutputDrift, ...]
    samples: int
    runner: str
    broken: tuple[str, ...]
    metric: str | None = None
    metric_reference: float | None = None
    metric_candidate: float | None = None
    not_checked: tuple[str, ...] = ()
    decision: Decision | None = None
    judged: bool = True
    arrays: tuple[Array, ...] = ()

    @property
    def verdict(self) -> Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT JUDGED"]:
        """FAIL where a limit is broken, INCONCLUSIVE where too few samples judge the metric's drop, else PASS."""
        if self.broken:
            return "FAIL"
        if self.decision is not None and self.decision.verdict == "INCONCLUSIVE":
            return "INCONCLUSIVE"
        return "PASS" if self.judged else "NOT JUDGED"

    @property
    def passed(self) -> bool:
        """Every limit holds, and the samples suffice to say so: INCONCLUSIVE and NOT JUDGED have not passed."""
        return self.verdict == "PASS"


class Runner(Protocol):
    """One loaded model, whatever runs it. Inputs and outputs are keyed by tensor name."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: every input by name, every output by name."""


def verify(
    model: Path,
    reference: Reference,
    settings: VerifySettings,
    *,
    on: str = "emulator",
    npu: str = "float32",
    folder: Path | None = None,
    not_checked: Sequence[str] = (),
    runner: Runner | None = None,
) -> Verdict:
    """Run the .nb on the reference's inputs and judge it.

    Args:
        on: `emulator`, or `paddle-lite` for its real x86 runtime.
        npu: arithmetic of NNAdapter subgraphs, from the target.
        folder: where a metric named `file.py:function` is looked for.
        runner: what runs it instead of `on`, such as a device.

    Raises:
        NbError, UnsupportedOps: the file cannot be run here.
        DataError: the reference belongs to another model.
    """
    notes = list(not_checked)
    if runner is not None:
        outputs = outputs_of(runner, reference)
        return judge(reference, outputs, runner.outputs, settings, runner.name, folder=folder, not_checked=notes)
    if on == "paddle-lite":
        from edgeflow.deploy.paddle_lite import PaddleLite

        with PaddleLite(model) as real:
            outputs = outputs_of(real, reference)
            return judge(reference, outputs, real.outputs, settings, real.name, folder=folder, not_checked=notes)
    with Emulator(model, npu=npu) as emulator:
        outputs = outputs_of(emulator, reference)
        if any(op.type == "subgraph" for op in emulator.model.blocks[0].operations):
            notes.append(
                f"NPU subgraphs were computed in {npu} on the host, an approximation: vendors' rounding is not public"
            )
        return judge(reference, outputs, emulator.outputs, settings, emulator.name, folder=folder, not_checked=notes)


def outputs_of(runner: Runner, reference: Reference) -> list[Array]:
    """What a runner makes of the reference's inputs, all samples together, by position.

    Raises:
        DataError: the reference's inputs or outputs are not this model's.
    """
    if len(reference.outputs) != len(runner.outputs):
        raise DataError(
            f"the model has {len(runner.outputs)} outputs, the reference {len(reference.outputs)}: "
            "it belongs to another model"
        )
    wanted = {spec.name for spec in runner.inputs}
    if wanted != set(reference.inputs):
        raise DataError(
            f"the model's inputs are {', '.join(sorted(wanted))}, the reference's "
            f"{', '.join(sorted(reference.inputs))}: it belongs to another model"
        )
    per_sample = sum(int(np.prod(array.shape[1:])) for array in reference.inputs.values())
    most = max(ELEMENTS_A_CALL // max(per_sample, 1), 1)
    free = getattr(runner, "takes_samples", False) or (
        isinstance(runner, Emulator) and takes_batches(runner, reference)
    )
    return _joined(runner, batches(dict(reference.inputs), runner.inputs, most, free=free))


def takes_batches(runner: Runner, reference: Reference) -> bool:
    """A file made for one sample a run gives the same for several at once: tried on the first few, not assumed."""
    if any(spec.shape[:1] != (1,) for spec in runner.inputs):
        return False
    one_by_one = batches({name: array[:PROBES] for name, array in reference.inputs.items()}, runner.inputs, 1)
    if len(one_by_one) < PROBES:
        return False
    try:
        together = _joined(runner, [{name: array[:PROBES] for name, array in reference.inputs.items()}])
    except EdgeflowError:
        return False  # the graph has the batch written into it
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(together, _joined(runner, one_by_one), strict=True)
    )


def _joined(runner: Runner, feeds: Sequence[Mapping[str, Array]]) -> list[Array]:
    found = joined([runner.infer(feed) for feed in feeds])
    return [found[name] for name in runner.outputs]  # by name: a file may fetch one variable twice


def judge(
    reference: Reference,
    outputs: Sequence[Array],
    names: Sequence[str],
    settings: VerifySettings,
    runner: str,
    *,
    folder: Path | None = None,
    not_checked: Sequence[str] = (),
) -> Verdict:
    """Compare outputs with the reference's; what produced them does not matter here."""
    drifts = tuple(
        OutputDrift(k, name, measure(a, b))
        for k, (name, a, b) in enumerate(zip(names, reference.outputs, outputs, strict=True))
    )
    notes = list(not_checked)
    limits = settings.limits
    found: list[str] = []
    for item, wanted, got in zip(drifts, reference.outputs, outputs, strict=True):
        prefix = f"output {item.index}: " if len(drifts) > 1 else ""
        found += [prefix + text for text in broken(item.drift, limits, None)]
        if _is_constant(got) and not _is_constant(wanted):
            found.append(f"{prefix}is the same for every sample, and the reference's is not")
    scores = None
    if settings.metric is not None:
        scores, note = score(settings.metric, reference, outputs, folder, limits.metric_drop_max)
        notes += [note] if note else []
    if limits == DriftLimits():
        notes.append("no limit was given, so nothing was judged")
    if limits.metric_drop_max is not None and scores is None:
        notes.append("the limit on the metric's drop: there is no metric to measure it with")
    if limits.top1_agreement_min is not None and all(item.drift.top1_agreement is None for item in drifts):
        notes.append("the limit on top-1 agreement: no output looks like scores")
    decision = None if scores is None else scores.decision
    if decision is not None and decision.verdict == "FAIL":
        found.append(f"metric drop {decision.drop:.4g}, limit <= {decision.budget:.4g}")
    if decision is None and scores is not None:  # no interval can be had: the plain difference has to do
        found += broken(
            drifts[0].drift, DriftLimits(metric_drop_max=limits.metric_drop_max), scores.reference - scores.candidate
        )
    return Verdict(
        drifts,
        reference.samples,
        runner,
        tuple(dict.fromkeys(found)),
        settings.metric,
        None if scores is None else scores.reference,
        None if scores is None else scores.candidate,
        tuple(notes),
        decision,
        limits != DriftLimits(),
        tuple(outputs),
    )


def _is_constant(array: Array) -> bool:
    """Several samples, and not one of them differs."""
    return array.ndim > 0 and len(array) > 1 and bool(np.all(array == array[:1]))


@dataclass(frozen=True, slots=True)
class Scores:
    """A metric of reference and candidate, and what it says of the budget where there is one."""

    reference: float
    candidate: float
    decision: Decision | None


def score(
    name: str, reference: Reference, outputs: Sequence[Array], folder: Path | None, budget: float | None
) -> tuple[Scores | None, str]:
    """Measure a metric on both, and judge the difference.

    Returns:
        The scores, or None with the reason why there are none.

    Raises:
        DataError: the metric does not take these outputs and labels.
        BackendMissing: it needs a package that is not installed.
    """
    labels = reference.labels
    if labels is None:
        return None, f"metric {name}: the reference has no labels"
    built_in = metric_named(name)
    if built_in is not None:
        return _summed(built_in, reference.outputs, outputs, labels, budget), ""
    function: Callable[..., float]
    if name == "map":
        function = mean_average_precision
    elif folder is not None and (folder / name.partition(":")[0]).is_file():
        function = load_function(name, folder)
    else:
        return (
            None,
            f"metric {name}: left out: its Python files are not a build's made here; edgeflow build, or --trust",
        )
    try:
        before, after = float(function(reference.outputs, labels)), float(function(outputs, labels))
        return Scores(before, after, _resampled(name, function, reference.outputs, outputs, labels, budget)), ""
    except EdgeflowError:
        raise
    except (Exception, SystemExit) as err:
        raise DataError(
            f"metric {name}: failed ({type(err).__name__}: {err}), and should return one number",
            try_="call it by hand with the reference's outputs and labels",
        ) from err


def _summed(
    metric: Metric, before: Sequence[Array], after: Sequence[Array], labels: Array, budget: float | None
) -> Scores:
    a, b = metric.parts(before, labels), metric.parts(after, labels)
    count, values = len(a), (metric.total(a.sum(0), len(a)), metric.total(b.sum(0), len(b)))
    if budget is None:
        return Scores(*values, None)
    if metric.counts_samples:
        return Scores(*values, decide_paired(a[:, 0] > 0, b[:, 0] > 0, budget))

    def both(chosen: Array) -> tuple[float, float]:
        weights = np.bincount(chosen, minlength=count).astype(np.float64)
        return metric.total(weights @ a, count), metric.total(weights @ b, count)

    return Scores(*values, decide_bootstrap(both, count, budget, higher_is_better=metric.higher_is_better))


def _resampled(
    name: str,
    function: Callable[..., float],
    before: Sequence[Array],
    after: Sequence[Array],
    labels: Array,
    budget: float | None,
) -> Decision | None:
    """A metric that only knows whole sets: called again for each draw of samples, fewer times than sums are."""
    count = len(labels)
    sliced = all(array.ndim and len(array) == count for array in (*before, *after))
    if budget is None or not (sliced or name == "map"):
        return None

    def both(chosen: Array) -> tuple[float, float]:
        if name == "map":
            return mean_average_precision(before, labels, chosen), mean_average_precision(after, labels, chosen)
        a, b = (float(function([array[chosen] for array in arrays], labels[chosen])) for arrays in (before, after))
        return a, b

    return decide_bootstrap(both, count, budget, resamples=CALLS)

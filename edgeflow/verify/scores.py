"""The metric of reference and candidate, what their difference says of the budget, and whether it says anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.boxes import canonical
from edgeflow.core.chance import doubts, doubts_of_function
from edgeflow.core.drift import distance
from edgeflow.core.errors import DataError, EdgeflowError, last_line
from edgeflow.core.metric import Metric, Weighed
from edgeflow.core.metric_names import kind_of
from edgeflow.core.metrics import class_scores, left_out, loss, metric_named, weighed_named
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.samples import Array
from edgeflow.core.settings import VerifySettings
from edgeflow.core.statistics import Decision, decide_bootstrap, decide_paired
from edgeflow.project.functions import in_folder, load_function
from edgeflow.project.reference import Reference
from edgeflow.project.user_errors import user_lines
from edgeflow.report.record_parts import ClassFigure

CLASSES_MAX = 1000
"""Classes that a report names."""

CALLS = 200
"""Resamples of metrics that are called anew for each: an interval to about a tenth of its width."""

ROUNDING = 1e-4
"""Differences up to this share of the largest value are float32 rounding; see ROOM in verify/golden.py."""

AMPLIFIED = 1000.0
"""So many times the difference is tried where it is rounding alone."""

SAFETY = 10.0
"""How much denser near ties may be than the amplified difference shows them to be."""

ROUNDING_SAMPLES_MIN = 100
"""With fewer samples, rounding is no evidence either: an input that goes another way altogether would not be seen."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A metric of reference and candidate, and what it says of the budget where there is one.

    `doubts`: why the reference's own score says nothing. `left_out`: which labels did not count.
    """

    reference: float
    candidate: float
    decision: Decision | None
    doubts: tuple[str, ...] = ()
    left_out: str = ""


def score(
    name: str,
    reference: Reference,
    outputs: Sequence[Array],
    folder: Path | None,
    budget: float | None,
    *,
    doubted: bool = False,
) -> tuple[Scores | None, str]:
    """Measure a metric on both, and judge the difference.

    Args:
        doubted: ask too whether the reference's own score says anything.

    Returns:
        The scores, or None with the reason why there are none.

    Raises:
        DataError: the metric does not take these outputs and labels.
        BackendMissing: it needs a package that is not installed.
    """
    labels = reference.labels
    if labels is None:
        return None, f"metric {name}: the reference has no labels"
    built_in, weighed = metric_named(name), weighed_named(name)
    if built_in is not None or weighed is not None:
        if built_in is not None:
            found = _summed(built_in, reference.outputs, outputs, labels, budget)
        elif weighed is not None:
            found = _weighed(weighed, reference.outputs, outputs, labels, budget)
        if doubted:
            said = tuple(doubts(name, reference.outputs, labels))
            found = replace(found, doubts=said, left_out=left_out(name, reference.outputs, labels))
        return found, ""
    if folder is not None and (folder / name.partition(":")[0]).is_file():
        with in_folder(folder):
            function = _at_home(name, load_function(name, folder), folder)
        found = _of_function(function, reference, labels, outputs, budget)
        if doubted and not math.isfinite(found.reference):
            nothing = f"metric {name}: is {found.reference:g} for the reference, so it measures nothing"
            found = replace(found, doubts=(nothing,))
        elif doubted:
            found = replace(found, doubts=tuple(doubts_of_function(name, function, reference.outputs, labels)))
        return found, ""
    return None, f"metric {name}: left out: its Python files are not a build's made here; edgeflow build, or --trust"


def as_boxes(
    name: str, reference: Reference, outputs: Sequence[Array], kinds: Sequence[OutputKind]
) -> tuple[Reference, list[Array]]:
    """Reference and outputs as the metric `map` reads them, where the recipe or the program says how boxes lie in
    them; of every other metric as they are.
    """
    if kind_of(name) == "map":
        sides = [canonical(side, kinds, reference.samples) for side in (reference.outputs, outputs)]
        if sides[0] is not None and sides[1] is not None:
            return replace(reference, outputs=tuple(sides[0])), sides[1]
    return reference, list(outputs)


def _of_function(
    function: Callable[..., float],
    reference: Reference,
    labels: Array,
    outputs: Sequence[Array],
    budget: float | None,
) -> Scores:
    """A recipe's own metric, as `_at_home` calls it."""
    before, after = function(reference.outputs, labels), function(outputs, labels)
    return Scores(before, after, _resampled(function, reference.outputs, outputs, labels, budget))


def class_figures(name: str | None, reference: Reference, outputs: Sequence[Array]) -> tuple[ClassFigure, ...]:
    """A metric's classes one by one, those that lose most first; none where it has no classes."""
    labels = reference.labels
    if name is None or labels is None or (metric_named(name) is None and weighed_named(name) is None):
        return ()
    before, after = class_scores(name, reference.outputs, labels), class_scores(name, outputs, labels)
    theirs = {row.name: row.value for row in after}
    rows = [ClassFigure(row.name, row.wanted, row.value, theirs.get(row.name)) for row in before if row.wanted]
    sign = loss(name, 1.0, 0.0)
    return tuple(sorted(rows, key=lambda row: -sign * ((row.reference or 0.0) - (row.candidate or 0.0)))[:CLASSES_MAX])


def _at_home(name: str, function: Callable[..., float], folder: Path) -> Callable[..., float]:
    """A user's metric: relative paths start at the recipe's folder, and errors show the user's own lines."""

    def called(*arguments: Any) -> float:
        try:
            with in_folder(folder):
                return float(function(*arguments))
        except EdgeflowError:
            raise
        except (Exception, SystemExit) as err:
            raise DataError(
                f"metric {name}: failed ({type(err).__name__}: {last_line(err)}), and should return one number",
                try_="call it by hand with the reference's outputs and labels",
                lines=user_lines(err, folder),
            ) from err

    return called


def held_to_expectation(settings: VerifySettings, reference: Reference, folder: Path | None) -> None:
    """Hold the reference's own score to what the recipe expects, before any work rests on it.

    Raises:
        DataError: labels that do not fit the outputs, or a score below what is expected.
    """
    name = settings.metric
    known = None if name is None else metric_named(name) or weighed_named(name)
    if name is None or reference.labels is None or (settings.expected is None and known is None):
        return
    reference, outputs = as_boxes(name, reference, reference.outputs, settings.outputs)
    found, _ = score(name, reference, outputs, folder, None)
    if found is None or settings.expected is None:
        return
    metric = metric_named(name)
    sign = 1.0 if metric is None or metric.higher_is_better else -1.0
    if not sign * (found.reference - settings.expected) >= -settings.tolerance:
        asked_for, within = "expected", f" (tolerance {settings.tolerance:g})"
        if settings.tolerance == 0:
            asked_for, within = "expected_min", ""
        raise DataError(
            f"metric {name}: the reference itself scores {found.reference:.4g}, and [metric] {asked_for} is "
            f"{settings.expected:g}{within}",
            try_="another mean and std, RGB for BGR, another resize, other weights, or labels in another order than "
            "where the model was trained",
        )


def _summed(
    metric: Metric, before: Sequence[Array], after: Sequence[Array], labels: Array, budget: float | None
) -> Scores:
    a, b = metric.parts(before, labels), metric.parts(after, labels)
    count, values = len(a), (metric.total(a.sum(0), len(a)), metric.total(b.sum(0), len(b)))
    if budget is None:
        return Scores(*values, None)
    if metric.counts_samples:
        return Scores(*values, decide_paired(a[:, 0] > 0, b[:, 0] > 0, budget))
    if a.shape != b.shape:  # class maps that hold other classes
        wide = max(a.shape[1], b.shape[1]) // 2
        a, b = (_padded(array, wide) for array in (a, b))

    def both(chosen: Array) -> tuple[float, float]:
        weights = np.bincount(chosen, minlength=count).astype(np.float64)
        return metric.total(weights @ a, count), metric.total(weights @ b, count)

    reach = count / max(int(np.count_nonzero(a.any(1) | b.any(1))), 1)  # samples without labels lose nothing
    return Scores(*values, decide_bootstrap(both, count, budget, higher_is_better=metric.higher_is_better, reach=reach))


def _weighed(
    metric: Weighed, before: Sequence[Array], after: Sequence[Array], labels: Array, budget: float | None
) -> Scores:
    a, b = metric.prepare(before, labels), metric.prepare(after, labels)
    if budget is None:
        return Scores(a(), b(), None)
    # What a lost sample would have cost is shared by those that hold labels.
    reach = metric.reach * a.count / max(a.counted, 1)
    decision = decide_bootstrap(lambda chosen: (a(chosen), b(chosen)), a.count, budget, resamples=CALLS, reach=reach)
    return Scores(a(), b(), decision)


def _padded(parts: Array, wide: int) -> Array:
    halves = np.split(parts, 2, axis=1)
    return np.concatenate([np.pad(half, ((0, 0), (0, wide - half.shape[1]))) for half in halves], axis=1)


def _resampled(
    function: Callable[..., float],
    before: Sequence[Array],
    after: Sequence[Array],
    labels: Array,
    budget: float | None,
) -> Decision | None:
    """A metric that only knows whole sets: called again for each draw of samples, fewer times than sums are."""
    count = len(labels)
    sliced = all(array.ndim and len(array) == count for array in (*before, *after))
    if budget is None or not sliced:
        return None
    everything = np.arange(count)

    def both(chosen: Array) -> tuple[float, float]:
        try:
            a, b = (float(function([array[chosen] for array in arrays], labels[chosen])) for arrays in (before, after))
        except Exception:  # a draw may lack what the metric needs, such as one of two classes
            if chosen is everything:
                raise
            return math.nan, math.nan
        return a, b

    whole = float(function(before, labels))
    reach = max(abs(whole), 1e-12) if math.isfinite(whole) else 1.0
    return decide_bootstrap(both, count, budget, resamples=CALLS, reach=reach)


def amplified(reference: Reference, outputs: Sequence[Array], precision: str | None) -> list[list[Array]]:
    """Outputs whose differences are a thousand times as large, either way, where they are float32 rounding alone.

    What changes an answer then is a near tie; where none changes even so, the share of inputs that change is about a
    thousandth of what counting alone could exclude, for near ties are as rare as they are near. SAFETY takes ten
    times that.
    """
    if precision != "float32" or reference.samples < ROUNDING_SAMPLES_MIN:
        return []
    far: list[list[Array]] = [[], []]
    for wanted, got in zip(reference.outputs, outputs, strict=True):
        if wanted.squeeze().shape != got.squeeze().shape:
            return []  # another number of boxes
        got = got.reshape(wanted.shape)
        gap = distance(wanted, got)
        if wanted.dtype.kind != "f":
            if gap.any():
                return []
            for arrays in far:
                arrays.append(got)
            continue
        finite = wanted[np.isfinite(wanted)]
        if not gap.max(initial=0.0) <= ROUNDING * float(np.abs(finite).max(initial=0.0)):
            return []
        wide = wanted.astype(np.float64)
        step = np.where(np.isfinite(wide) & np.isfinite(got), got.astype(np.float64), 0.0)
        step = AMPLIFIED * (step - np.where(np.isfinite(wide), wide, 0.0))
        far[0].append(wide + step)
        far[1].append(wide - step)
    return far


def decided_by_rounding(
    decision: Decision, name: str, reference: Reference, far: Sequence[Sequence[Array]], folder: Path | None
) -> Decision:
    """The decision once more for a candidate that differs by rounding alone; a thousand times that has to pass too."""
    if decision.verdict != "INCONCLUSIVE" or not far or decision.drop > decision.budget:
        return decision
    high, low = decision.drop, decision.drop
    for arrays in far:
        found, _ = score(name, reference, arrays, folder, decision.budget)
        if found is None or found.decision is None or not all(map(math.isfinite, found.decision.interval)):
            return decision
        low = min(low, found.decision.interval[0] * SAFETY / AMPLIFIED)
        high = max(high, found.decision.interval[1] * SAFETY / AMPLIFIED)
    if high > decision.budget:
        return decision
    return replace(
        decision,
        test="amplified rounding",
        interval=(low, high),
        verdict="PASS",
        more_samples=None,
        sentence=f"the outputs differ by float32 rounding alone, and the metric drops by {decision.drop:.4g}; with "
        f"{AMPLIFIED:g} times the difference too few answers change for a drop beyond {high:.2g}, budget "
        f"{decision.budget:.4g}: within it",
    )

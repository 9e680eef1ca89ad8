"""Which compression to try next, in the light of what was measured: simple before costly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from edgeflow.core.settings import Algo, CompressSettings, FineTuneSettings
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.smoothing import has_norm
from edgeflow.nb.predict import chip_costs
from edgeflow.tuning.ranking import Tried, drifts_too_far, misses
from edgeflow.tuning.sensitivity import layer_costs, or_inf, prune_costs
from edgeflow.tuning.trials import Candidate, Trials

ALGOS: tuple[Algo, ...] = ("hist", "KL", "mse", "avg", "abs_max")
PRUNED = (0.25, 0.5)
SPARSITY = 0.75
EPOCHS = 30


def candidates(trials: Trials) -> Iterator[Candidate]:
    """What to try next, in the light of what was measured: simple before costly."""
    target, plain = trials.target, trials.plain
    allowed = target.precision.allowed
    base = CompressSettings(
        fine_tune=plain.fine_tune,
        keep_float=plain.keep_float,
        prune_skip=plain.prune_skip,
        prune_criterion=plain.prune_criterion,
        weights=plain.weights,
        smoothing=plain.smoothing,
    )
    arm = target.lite.valid_targets == "arm"
    kind = "float32" if "float32" in allowed else "float16"
    if kind in allowed or arm:
        yield Candidate("float", replace(base, precision=kind), 0)  # type: ignore[arg-type]
    costs = chip_costs(trials.goal.chip) if trials.goal.chip else {}
    if arm and not target.lite.fp16 and "float16" in costs:
        yield Candidate("fp16", replace(base, precision="float16"), 1, fp16=True)
    if arm and trials.goal.size_bytes_max is not None and "float32" in allowed:
        for bits in ("int16", "int8"):
            yield Candidate(f"weights {bits}", replace(base, precision="float32", weight_only=bits), 1)
    if "int8" in allowed:
        yield from _int8(trials, base)
    tune = (
        plain.fine_tune if plain.fine_tune.epochs else replace(FineTuneSettings(), epochs=EPOCHS, learning_rate=0.003)
    )
    if arm and "float32" in allowed:
        yield Candidate("sparse", replace(base, precision="float32", sparsity=SPARSITY, fine_tune=tune), 2)
    yield from _pruned(trials, base, tune)
    if "int8" in allowed and not any(
        item.precision == "int8" and not misses(item, trials.goal) for item in trials.tried
    ):
        slow = replace(tune, learning_rate=tune.learning_rate / 10)
        yield Candidate("int8 trained", replace(base, precision="int8", qat=True, fine_tune=slow), 4)


def _int8(trials: Trials, base: CompressSettings) -> Iterator[Candidate]:
    """Ways to calibrate, then the best way for each layer, then the costliest layers left in float, as few as do."""
    int8 = replace(base, precision="int8")
    algos = list(dict.fromkeys((trials.plain.algo, *ALGOS)))
    each = [Candidate(f"int8 {algo}", replace(int8, algo=algo), 2) for algo in algos]
    trials.make_elsewhere(each)
    yield from each
    best = _least(trials.tried, "int8 ")
    if best is None:
        return
    int8 = replace(int8, algo=best.changes["algo"])
    yield Candidate(f"{best.name} bias corrected", replace(int8, bias_correction=True), 3)
    if int8.smoothing != "all" and has_norm(Editor(programs.load(trials.ingested.folder / "model.pdmodel"))):
        smoothed = Candidate("int8 smoothed", replace(int8, smoothing="all"), 3)
        yield smoothed
        if _least(trials.tried, "int8 ") is trials.tried[-1]:
            int8 = smoothed.settings
    usable = [algo for algo in algos if any(item.name == f"int8 {algo}" and not item.error for item in trials.tried)]
    costs = trials.costs(
        "what each layer costs",
        lambda: {
            algo: {item.name: item.error for item in layer_costs(trials.flow, trials.target, replace(int8, algo=algo))}
            for algo in usable
        },
    )
    if costs is None:
        return
    main = costs[best.changes["algo"]]
    chosen = {name: min(usable, key=lambda algo: (or_inf(costs[algo].get(name)), algo != int8.algo)) for name in main}
    mixed = {name: algo for name, algo in chosen.items() if algo != int8.algo}
    if mixed:
        yield Candidate("int8 each layer its own", replace(int8, layer_algo=mixed), 3)
        best = _least(trials.tried, "int8 ") or best
        if best.changes.get("layer_algo"):
            int8 = replace(int8, layer_algo=mixed)
    if drifts_too_far(best, trials.goal):
        yield from _partly_float(trials, int8, sorted(main, key=lambda name: -or_inf(main[name])))
    if drifts_too_far(_least(trials.tried, "int8 ") or best, trials.goal):
        yield Candidate("int8 reconstructed", replace(int8, rounding="reconstruction"), 4)


def _partly_float(trials: Trials, int8: CompressSettings, names: Sequence[str]) -> Iterator[Candidate]:
    """The costliest layers in float: twice as many each time until it is enough, then halfway back."""

    def candidate(count: int) -> Candidate:
        kept = tuple(dict.fromkeys((*int8.keep_float, *names[:count])))
        return Candidate(f"int8 but {count} layers", replace(int8, keep_float=kept), 3)

    most = len(names) - 1
    low, count = 0, min(1, most)
    while count > low:
        yield candidate(count)
        if not drifts_too_far(trials.tried[-1], trials.goal):
            break
        low, count = count, min(count * 2, most)
    else:
        return
    while count - low > 1:
        middle = (low + count) // 2
        yield candidate(middle)
        low, count = (low, middle) if not drifts_too_far(trials.tried[-1], trials.goal) else (middle, count)


def _pruned(trials: Trials, base: CompressSettings, tune: FineTuneSettings) -> Iterator[Candidate]:
    """Channels by what they cost: each layer loses the share whose error stays below one bar for all."""
    costs = trials.costs("what pruning costs", lambda: prune_costs(trials.flow, trials.target, base))
    if not costs:
        return
    allowed = trials.target.precision.allowed
    precision = next((kind for kind in ("float32", "float16") if kind in allowed), None)
    int8 = _least(trials.tried, "int8 ")
    for share in PRUNED:
        layers = shares(costs, share)
        pruned = replace(base, prune_layers=layers, fine_tune=tune)
        name = f"{share:.0%} pruned"
        if precision is not None:
            yield Candidate(name, replace(pruned, precision=precision), 2)
        if int8 is not None and "int8" in allowed:
            yield Candidate(f"int8 {name}", replace(pruned, precision="int8", algo=int8.changes["algo"]), 4)


def shares(costs: Sequence[Any], share: float) -> dict[str, float]:
    """Which share each layer loses so that about `share` of all channels goes and the worst error is least.

    Args:
        costs: pipeline.sensitivity.PruneCost of each layer at several ratios.
    """
    found = dict.fromkeys((item.name for item in costs), 0.0)
    channels = {item.name: item.channels / item.ratio for item in costs}
    wanted = share * sum(channels.values())
    for item in sorted(costs, key=lambda item: (or_inf(item.error), item.name)):
        if sum(found[name] * count for name, count in channels.items()) >= wanted:
            break
        found[item.name] = max(found[item.name], item.ratio)
    return {name: ratio for name, ratio in found.items() if ratio > 0}


def _least(tried: Sequence[Tried], prefix: str) -> Tried | None:
    """The measured candidate of a kind with the least drift, noise deciding between equals."""
    of_kind = [
        item
        for item in tried
        if item.name.startswith(prefix) and not item.error and not item.changes.get("prune_layers")
    ]
    return min(of_kind, key=lambda item: (item.drift, -(item.sqnr_db or 0.0), item.steps), default=None)

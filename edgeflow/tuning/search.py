"""edgeflow search: which compression meets a budget of drift, size and latency, found within a time limit.

Simple candidates come first and every one runs through the real stages, so whenever the search stops (time, Ctrl-C, a
crash)
the best so far is known and written down. Stages are cached: a search that is started again goes on where it was.
What fails
(a candidate, or measuring layers) is noted among what was tried, and the search goes on without it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from edgeflow import nb
from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import CompressFailed, EdgeflowError, RecipeError
from edgeflow.core.metrics import loss
from edgeflow.core.settings import Algo, CompressSettings, FineTuneSettings
from edgeflow.core.targets import Target, load_target
from edgeflow.emulate.shapes import trace_shapes
from edgeflow.files.atomic import write_atomic
from edgeflow.flow.build import Flow
from edgeflow.nb.predict import chip_costs, predict, published
from edgeflow.project.manifest import FORMAT
from edgeflow.project.recipe import Recipe, load_recipe
from edgeflow.project.reference import load_reference
from edgeflow.tuning.ranking import Goal, Ranking, Tried, as_row, closest, drifts_too_far, misses, rank
from edgeflow.tuning.sensitivity import layer_costs, or_inf, prune_costs
from edgeflow.verify.judge import verify

ALGOS: tuple[Algo, ...] = ("hist", "KL", "mse", "avg", "abs_max")
PRUNED = (0.25, 0.5)
SPARSITY = 0.75
EPOCHS = 30

T = TypeVar("T")
Told = Callable[[Tried, Sequence[str]], None]
"""Told of each candidate as it was measured, and of what it misses."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a search ended: `stopped` is `done`, `time`, `interrupted` or what went wrong; `recipe` is the best one as
    TOML.
    """

    target: str
    goal: Goal
    tried: tuple[Tried, ...]
    ranking: Ranking
    stopped: str
    seconds: float
    certificate: Path
    recipe: str

    @property
    def met(self) -> bool:
        return self.ranking.best is not None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings to try; see Tried for `steps`."""

    name: str
    settings: CompressSettings
    steps: int
    fp16: bool = False


def search(
    recipe: Path | str,
    target: str,
    goal: Goal,
    *,
    chip: str | None = None,
    build_dir: Path | None = None,
    say: Callable[[str, str, str], None] | None = None,
    told: Told | None = None,
) -> Found:
    """Search for the fastest candidate that meets the goal; see core.search.rank for the order.

    Args:
        goal: where it has neither a drop nor an SQNR, all limits that a build judges by take their place.
        chip: for predicted latencies, a name of targets/latency.json.

    Raises:
        RecipeError: the goal cannot be met by anything, such as a size of 0, or a drop of a metric that the recipe
            has not.
        TargetError: the chip has no published latencies.
        DataError, ModelError: as a build; nothing was tried then.
    """
    loaded, profile = load_recipe(Path(recipe)), load_target(target)
    chip = chip or published()["chips_by_target"].get(profile.name)
    goal = _completed(goal, loaded, profile, chip)
    root = loaded.folder / "build" if build_dir is None else build_dir.resolve()
    certificate = root / f"search-{profile.name}.json"
    since = time.monotonic()
    tried: list[Tried] = []
    with Flow(loaded, root, say or (lambda *_: None), quantisers=2) as flow:
        flow.begin(profile)
        ingested = flow.ingest(profile, "int8" if "int8" in profile.precision.allowed else "float32")
        run = _Run(flow, loaded, profile, goal, chip, ingested, since + goal.budget_s)
        stopped = "done"
        try:
            for candidate in _candidates(run, tried):
                if run.left_s <= 0 and tried:
                    stopped = "time"
                    break
                item = run.measure(candidate, in_any_case=not tried)
                tried.append(item)
                _write(certificate, profile, goal, tried, "going on", time.monotonic() - since, run)
                if told is not None:
                    told(item, misses(item, goal))
        except KeyboardInterrupt:
            stopped = "interrupted"
            flow.abandon()
        except Exception as err:
            if not tried:
                raise
            stopped = f"it failed ({_said(err)})"
    seconds = time.monotonic() - since
    ranking = _write(certificate, profile, goal, tried, stopped, seconds, run)
    best = ranking.best or closest(tried, goal)
    return Found(
        profile.name,
        goal,
        tuple(tried),
        ranking,
        stopped,
        seconds,
        certificate,
        "" if best is None else as_toml(profile.name, best),
    )


def _completed(goal: Goal, recipe: Recipe, target: Target, chip: str | None) -> Goal:
    for key in ("size_bytes_max", "latency_ms_max", "budget_s"):
        value = getattr(goal, key)
        if value is not None and not value > 0:
            raise RecipeError(f"{key}: is {value}, and should be above 0")
    if goal.metric_drop_max is not None and recipe.metric is None:
        raise RecipeError(
            "drop: the recipe has no [metric] whose drop could be measured", try_="--sqnr 25, or a [metric]"
        )
    if goal.latency_ms_max is not None and chip is None:
        raise RecipeError(
            f"latency: target {target.name!r} has no published latencies to predict from",
            try_=f"--chip, one of {', '.join(sorted(published()['chips']))}",
        )
    if chip is not None:
        chip_costs(chip)  # refuse a name that is in no table before any work
    return replace(goal, as_build=goal.metric_drop_max is None and goal.sqnr_db_min is None)


def _said(err: BaseException) -> str:
    return err.what if isinstance(err, EdgeflowError) else f"{type(err).__name__}: {err}"


class _Run:
    """Measures candidates of one model for one target."""

    def __init__(
        self,
        flow: Flow,
        recipe: Recipe,
        target: Target,
        goal: Goal,
        chip: str | None,
        ingested: Artifact,
        deadline: float,
    ) -> None:
        self.flow, self.recipe, self.target, self.goal, self.ingested = flow, recipe, target, goal, ingested
        self.chip, self.deadline = chip, deadline
        self.reference = load_reference(ingested.folder / "reference.npz")
        self.plain = recipe.compress_settings(target)

    @property
    def left_s(self) -> float:
        """Seconds that may still be searched."""
        return self.deadline - time.monotonic()

    def measure(self, candidate: Candidate, *, in_any_case: bool) -> Tried:
        """Run one candidate through compress, convert and verify; what fails is a result too.

        Args:
            in_any_case: whatever time it takes, so that there is always an answer.
        """
        since = time.monotonic()
        empty = Tried(candidate.name, _changes(candidate.settings, self.plain, candidate.fp16), candidate.steps)
        try:
            item = self._within(lambda: self._measure(candidate, empty), None if in_any_case else self.left_s)
        except Exception as err:
            item = replace(empty, error=_said(err))
        return replace(item, seconds=time.monotonic() - since)

    def costs(self, what: str, work: Callable[[], T], tried: list[Tried]) -> T | None:
        """What measuring layers gives within the time that is left; what fails is noted, and None."""
        try:
            return self._within(work, self.left_s)
        except Exception as err:
            tried.append(Tried(what, {}, 0, error=_said(err)))
            return None

    def _within(self, work: Callable[[], T], limit_s: float | None) -> T:
        future: Future[T] = Future()

        def thread() -> None:
            try:
                future.set_result(work())
            except BaseException as err:  # whatever it is, whoever waits is told
                future.set_exception(err)

        since = time.monotonic()
        # A daemon: nobody waits for what was given up, not even the interpreter when it ends.
        threading.Thread(target=thread, daemon=True).start()
        try:
            return future.result(None if limit_s is None else max(limit_s, 0.0))
        except TimeoutError:
            self.flow.abandon()
            raise CompressFailed(f"not done when the time was up, after {time.monotonic() - since:.0f} s") from None
        except KeyboardInterrupt:
            self.flow.abandon()
            raise

    def _measure(self, candidate: Candidate, empty: Tried) -> Tried:
        target = self.target
        if candidate.fp16:
            target = replace(
                target,
                lite=replace(target.lite, fp16=True),
                precision=replace(target.precision, allowed=("float16",), default="float16"),
            )
        precision = target.choose(candidate.settings.precision)
        compressed = self.flow.compress(target, candidate.settings, precision, self.ingested)
        converted = self.flow.convert(target, compressed)
        model = converted.folder / "model.nb"
        verdict = verify(
            model,
            self.reference,
            self.recipe.verify_settings(self.target),
            npu=target.npu_arithmetic,
            folder=self.recipe.folder,
        )
        drop = None
        if self.recipe.metric and verdict.metric_candidate is not None and verdict.metric_reference is not None:
            drop = loss(self.recipe.metric.name, verdict.metric_reference, verdict.metric_candidate)
        return replace(
            empty,
            precision=precision,
            metric=verdict.metric_candidate,
            metric_drop=drop,
            sqnr_db=min(item.drift.sqnr_db for item in verdict.outputs),
            size_bytes=int(converted.facts["bytes"]),
            latency_ms=self._latency(model, target),
            breaks=verdict.broken,
        )

    def _latency(self, path: Path, target: Target) -> float | None:
        model = nb.read(path)
        shapes, _ = trace_shapes(model, {name: (1, *array.shape[1:]) for name, array in self.reference.inputs.items()})
        found = None if shapes is None or self.chip is None else predict(model, shapes, target, self.chip)
        return None if found is None else found.ms


def _candidates(run: _Run, tried: list[Tried]) -> Iterator[Candidate]:
    """What to try next, in the light of what was measured: simple before costly."""
    target, plain = run.target, run.plain
    allowed = target.precision.allowed
    base = CompressSettings(
        fine_tune=plain.fine_tune,
        keep_float=plain.keep_float,
        prune_skip=plain.prune_skip,
        prune_criterion=plain.prune_criterion,
        weights=plain.weights,
    )
    arm = target.lite.valid_targets == "arm"
    kind = "float32" if "float32" in allowed else "float16"
    if kind in allowed or arm:
        yield Candidate("float", replace(base, precision=kind), 0)  # type: ignore[arg-type]
    costs = chip_costs(run.chip) if run.chip else {}
    if arm and not target.lite.fp16 and "float16" in costs:
        yield Candidate("fp16", replace(base, precision="float16"), 1, fp16=True)
    if arm and run.goal.size_bytes_max is not None and "float32" in allowed:
        for bits in ("int16", "int8"):
            yield Candidate(f"weights {bits}", replace(base, precision="float32", weight_only=bits), 1)
    if "int8" in allowed:
        yield from _int8(run, base, tried)
    tune = (
        plain.fine_tune if plain.fine_tune.epochs else replace(FineTuneSettings(), epochs=EPOCHS, learning_rate=0.003)
    )
    if arm and "float32" in allowed:
        yield Candidate("sparse", replace(base, precision="float32", sparsity=SPARSITY, fine_tune=tune), 2)
    yield from _pruned(run, base, tune, tried)
    if "int8" in allowed and not any(item.precision == "int8" and not misses(item, run.goal) for item in tried):
        slow = replace(tune, learning_rate=tune.learning_rate / 10)
        yield Candidate("int8 trained", replace(base, precision="int8", qat=True, fine_tune=slow), 4)


def _int8(run: _Run, base: CompressSettings, tried: list[Tried]) -> Iterator[Candidate]:
    """Ways to calibrate, then the best way for each layer, then the costliest layers left in float, as few as do."""
    int8 = replace(base, precision="int8")
    algos = list(dict.fromkeys((run.plain.algo, *ALGOS)))
    for algo in algos:
        yield Candidate(f"int8 {algo}", replace(int8, algo=algo), 2)
    best = _least(tried, "int8 ")
    if best is None:
        return
    int8 = replace(int8, algo=best.changes["algo"])
    yield Candidate(f"{best.name} bias corrected", replace(int8, bias_correction=True), 3)
    usable = [algo for algo in algos if any(item.name == f"int8 {algo}" and not item.error for item in tried)]
    costs = run.costs(
        "what each layer costs",
        lambda: {
            algo: {item.name: item.error for item in layer_costs(run.flow, run.target, replace(int8, algo=algo))}
            for algo in usable
        },
        tried,
    )
    if costs is None:
        return
    main = costs[best.changes["algo"]]
    chosen = {name: min(usable, key=lambda algo: (or_inf(costs[algo].get(name)), algo != int8.algo)) for name in main}
    mixed = {name: algo for name, algo in chosen.items() if algo != int8.algo}
    if mixed:
        yield Candidate("int8 each layer its own", replace(int8, layer_algo=mixed), 3)
        best = _least(tried, "int8 ") or best
        if best.changes.get("layer_algo"):
            int8 = replace(int8, layer_algo=mixed)
    if drifts_too_far(best, run.goal):
        yield from _partly_float(run, int8, sorted(main, key=lambda name: -or_inf(main[name])), tried)
    if drifts_too_far(_least(tried, "int8 ") or best, run.goal):
        yield Candidate("int8 reconstructed", replace(int8, rounding="reconstruction"), 4)


def _partly_float(run: _Run, int8: CompressSettings, names: Sequence[str], tried: list[Tried]) -> Iterator[Candidate]:
    """The costliest layers in float: twice as many each time until it is enough, then halfway back."""

    def candidate(count: int) -> Candidate:
        kept = tuple(dict.fromkeys((*int8.keep_float, *names[:count])))
        return Candidate(f"int8 but {count} layers", replace(int8, keep_float=kept), 3)

    most = len(names) - 1
    low, count = 0, min(1, most)
    while count > low:
        yield candidate(count)
        if not drifts_too_far(tried[-1], run.goal):
            break
        low, count = count, min(count * 2, most)
    else:
        return
    while count - low > 1:
        middle = (low + count) // 2
        yield candidate(middle)
        low, count = (low, middle) if not drifts_too_far(tried[-1], run.goal) else (middle, count)


def _pruned(run: _Run, base: CompressSettings, tune: FineTuneSettings, tried: list[Tried]) -> Iterator[Candidate]:
    """Channels by what they cost: each layer loses the share whose error stays below one bar for all."""
    costs = run.costs("what pruning costs", lambda: prune_costs(run.flow, run.target, base), tried)
    if not costs:
        return
    allowed = run.target.precision.allowed
    precision = next((kind for kind in ("float32", "float16") if kind in allowed), None)
    int8 = _least(tried, "int8 ")
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


def _changes(settings: CompressSettings, recipe: CompressSettings, fp16: bool) -> dict[str, Any]:
    """What differs from a plain float build or from the recipe, as a recipe would say it."""
    plain, own, found = asdict(CompressSettings()), asdict(recipe), dict[str, Any]()
    for key, value in asdict(settings).items():
        if key == "fine_tune":
            if settings.fine_tune.epochs and (settings.qat or not settings.is_plain):
                found[key] = {k: v for k, v in value.items() if v != asdict(FineTuneSettings())[k]}
        elif (
            not plain[key] == value == own[key]
            or key == "precision"
            or (key == "algo" and settings.precision == "int8")
        ):
            found[key] = list(value) if isinstance(value, tuple) else value
    return {**found, **({"fp16": True} if fp16 else {})}


def as_toml(target: str, item: Tried) -> str:
    """A candidate as lines to paste into edgeflow.toml."""
    if item.changes.get("fp16"):
        return f"# {item.name}: build for the target's fp16 sibling, such as --target arm64-fp16\n"
    plain = {k: v for k, v in item.changes.items() if not isinstance(v, dict) and v is not None}
    lines = [f"# {item.name}", f"# In place of any [targets.{target}.compress] that is there."]
    gone = [key for key, value in item.changes.items() if value is None and key != "precision"]
    lines += [f"# And without {key} under [compress]." for key in gone]
    lines += [f"# A build judges by more: {text}." for text in item.breaks]
    lines += [f"[targets.{target}.compress]", *(f"{k} = {json.dumps(v)}" for k, v in plain.items())]
    for key, value in item.changes.items():
        if isinstance(value, dict):
            lines += [
                f"[targets.{target}.compress.{key}]",
                *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()),
            ]
    return "\n".join(lines) + "\n"


def _write(
    path: Path, target: Target, goal: Goal, tried: Sequence[Tried], stopped: str, seconds: float, run: _Run
) -> Ranking:
    """The certificate: the goal, everything that was tried, and what was made of it."""
    ranking = rank(tried, goal)
    best = ranking.best or closest(tried, goal)
    table: Mapping[str, Any] = {
        "format": FORMAT,
        "target": target.name,
        "model_sha256": run.ingested.facts["model_sha256"],
        "weights_sha256": run.ingested.facts["weights_sha256"],
        "evaluation_sha256": run.ingested.facts["evaluation_sha256"],
        "goal": asdict(goal),
        "chip": run.chip,
        "stopped": stopped,
        "seconds": round(seconds, 1),
        "met": ranking.best is not None,
        "tried": [{**as_row(item), "misses": misses(item, goal)} for item in tried],
        **ranking.as_table(),
        "closest": None if best is None else best.name,
    }
    write_atomic(path, (json.dumps(table, indent=1) + "\n").encode())
    if best is not None:
        write_atomic(path.with_suffix(".toml"), as_toml(target.name, best).encode())
    return ranking

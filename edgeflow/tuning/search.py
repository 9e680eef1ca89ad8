"""edgeflow search: which compression meets a budget of drift, size and latency, found within a time limit.

Simple candidates come first and every one runs through the real stages, so whenever the search stops (time, Ctrl-C, a
crash) the best so far is known and written down. Stages are cached: a search that is started again goes on where it
was. What fails (a candidate, or measuring layers) is noted among what was tried, and the search goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeflow.core.errors import RecipeError
from edgeflow.core.targets import Target, load_target
from edgeflow.flow.build import Flow
from edgeflow.flow.remote_data import with_data
from edgeflow.nb.predict import chip_costs, published
from edgeflow.project.places import build_root
from edgeflow.project.recipe import Recipe, load_recipe
from edgeflow.tuning.candidates import candidates
from edgeflow.tuning.certificate import Certificate, as_toml
from edgeflow.tuning.ranking import Goal, Ranking, Tried, closest, misses
from edgeflow.tuning.trials import Trials, said

Told = Callable[[Tried, Sequence[str]], None]
"""Told of each candidate as it was measured, and of what it misses."""

SOURCE = ("model_sha256", "weights_sha256", "evaluation_sha256")
"""Facts of the ingested model that a certificate belongs to."""


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


def search(
    recipe: Path | str,
    target: str,
    goal: Goal,
    *,
    build_dir: Path | None = None,
    say: Callable[[str, str, str], None] | None = None,
    told: Told | None = None,
) -> Found:
    """Search for the fastest candidate that meets the goal; see tuning.ranking.rank for the order.

    Args:
        goal: where it has neither a drop nor an SQNR, all limits that a build judges by take their place.

    Raises:
        RecipeError: the goal cannot be met by anything, such as a size of 0, or a drop of a metric that the recipe
            has not.
        TargetError: the chip has no published latencies.
        DataError, ModelError: as a build; nothing was tried then.
    """
    loaded, profile = load_recipe(Path(recipe)), load_target(target)
    goal = _completed(goal, loaded, profile)
    root = build_root(loaded.path, build_dir)
    loaded = with_data(loaded, root, say)
    with Flow(loaded, root, say or (lambda *_: None), quantisers=2) as flow:
        trials = Trials(flow, profile, goal)
        facts = {name: trials.ingested.facts[name] for name in SOURCE}
        certificate = Certificate(root / f"search-{profile.name}.json", profile.name, goal, facts)
        stopped = _try_all(trials, certificate, told or (lambda *_: None))
    seconds, tried = trials.seconds, tuple(trials.tried)
    ranking = certificate.write(tried, stopped, seconds)
    best = ranking.best or closest(tried, goal)
    toml = "" if best is None else as_toml(profile.name, best)
    return Found(profile.name, goal, tried, ranking, stopped, seconds, certificate.path, toml)


def _try_all(trials: Trials, certificate: Certificate, told: Told) -> str:
    """Measure one candidate after another.

    Returns:
        How it ended: `done`, `time`, `interrupted` or what went wrong.
    """
    try:
        for candidate in candidates(trials):
            if trials.left_s <= 0 and trials.tried:
                return "time"
            item = trials.measure(candidate)
            certificate.write(trials.tried, "going on", trials.seconds)
            told(item, misses(item, trials.goal))
    except KeyboardInterrupt:
        trials.flow.abandon()
        return "interrupted"
    except Exception as err:
        if not trials.tried:
            raise
        return f"it failed ({said(err)})"
    return "done"


def _completed(goal: Goal, recipe: Recipe, target: Target) -> Goal:
    """The goal with the target's chip where none is named; refused before any work where nothing can meet it."""
    chip = goal.chip or published()["chips_by_target"].get(target.name)
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
    return replace(goal, chip=chip, as_build=goal.metric_drop_max is None and goal.sqnr_db_min is None)

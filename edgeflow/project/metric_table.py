"""[metric] of a recipe: which metric, with which options, and what the reference itself should score by it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Literal

from edgeflow.core.errors import DataError, RecipeError, near
from edgeflow.core.metric_names import METRIC_NAMES, asked, spelled


@dataclass(frozen=True, slots=True)
class MetricTable:
    """[metric]: a built-in name with its options, or `file.py:function(outputs, labels) -> float`, where higher is
    better.

    `expected` is what the float model scored where it was trained: the reference must come as near as `tolerance`.
    `expected_min` instead is what it must reach, without tolerance (where lower is better: what it must not exceed).
    The other keys are options of the metric, see core/metric_names.py: `blank`, a number or "last", and `time` =
    "first" of texts; classes to `ignore`, or to leave out of the mean (`without`), or the one that counts alone (`of`);
    the `threshold` of one score for each label; the `tags` of entities; the landmarks `by` whose distance others count.
    """

    name: str
    expected: float | None = None
    tolerance: float = 0.01
    expected_min: float | None = None
    blank: object = None
    time: Literal["first"] | None = None
    ignore: tuple[int, ...] = ()
    without: tuple[int, ...] = ()
    of: int | None = None
    threshold: float | None = None
    tags: tuple[str, ...] = ()
    by: str | None = None

    @property
    def spelled(self) -> str:
        """The name with the options behind it, as `verify --metric` takes it.

        Raises:
            DataError: the metric takes no such option.
        """
        given = {
            "blank": self.blank,
            "time": self.time,
            "ignore": ",".join(map(str, self.ignore)),
            "without": ",".join(map(str, self.without)),
            "of": self.of,
            "threshold": None if self.threshold is None else f"{self.threshold:.9f}".rstrip("0").rstrip("."),
            "tags": ",".join(self.tags),
            "by": self.by,
        }
        return spelled(self.name, {key: str(value) for key, value in given.items() if value not in (None, "")})

    @property
    def asked_of_reference(self) -> tuple[float | None, float]:
        """What the reference should score, and within which tolerance."""
        return (self.expected, self.tolerance) if self.expected_min is None else (self.expected_min, 0.0)


def validate_metric(metric: MetricTable, path: Path) -> None:
    """Hold [metric] to what exists.

    Raises:
        RecipeError: an unknown metric or option, or figures that are none.
    """
    if not (isfinite(metric.expected or 0.0) and 0 <= metric.tolerance < inf):
        raise RecipeError(f"{path} [metric]: expected should be a number, and tolerance one from 0 up")
    if metric.expected_min is not None and not (isfinite(metric.expected_min) and metric.expected is None):
        raise RecipeError(
            f"{path} [metric]: expected_min should be a number, and stand without expected",
            try_="expected with its tolerance, or expected_min alone",
        )
    try:
        name = metric.spelled
        known = ".py:" in name or asked(name) is not None
    except DataError as err:
        raise RecipeError(f"{path} [metric]: {err.what}", try_=err.try_) from err
    if not known:
        raise RecipeError(
            f"{path} [metric]: {name!r} is unknown; {near(name, METRIC_NAMES, 'metrics')}",
            try_='name = "top1", or name = "metric.py:function"',
        )

"""Timing: the median of a few runs after one to warm up."""

import statistics
import time
from collections.abc import Callable


def median_s(work: Callable[[], object], runs: int = 5, warm: int = 1) -> float:
    """Median wall time of `work` in seconds."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(runs):
        since = time.perf_counter()
        work()
        times.append(time.perf_counter() - since)
    return statistics.median(times)


def line(what: str, ours: float, plain: float, goal: str, unit: str = "s") -> None:
    """One row: both figures, their ratio, and the goal."""
    factor = 1000 if unit == "ms" else 1
    print(
        f"{what:<44} {ours * factor:8.2f} {unit}  plain {plain * factor:8.2f} {unit}  ratio {ours / plain:5.2f}  "
        f"goal {goal}"
    )

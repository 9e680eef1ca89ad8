"""One row for each thing that is measured, and the table of them."""

import importlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BENCHES = ("build", "nb", "emulate", "graph", "sensitivity", "compress", "verify", "large", "cluster")
"""Modules beside this one, each with `rows(small)`, which measures and yields; small is for tests alone."""


@dataclass(frozen=True)
class Row:
    """What is measured: ours, and where there is one the plain way in the same run.

    `goal` is an upper limit (`at_least`: a lower one) of ours / plain where there is a plain way, else of ours.
    """

    what: str
    ours: float
    unit: str = "s"
    plain: float | None = None
    goal: float | None = None
    at_least: bool = False

    @property
    def judged(self) -> float:
        """The ratio to the plain way, or the figure itself."""
        return self.ours if self.plain is None else self.ours / self.plain

    @property
    def holds(self) -> bool | None:
        """The goal is met; None without one."""
        if self.goal is None:
            return None
        return self.judged >= self.goal if self.at_least else self.judged <= self.goal


HEADER = f"{'bench':<11} {'what':<62} {'ours':>10} {'plain':>10}      {'ratio':>6} {'goal':>8}"


def as_line(bench: str, row: Row) -> str:
    """One line of the table."""
    plain = "" if row.plain is None else f"{row.plain:.4g}"
    ratio = "" if row.plain is None else f"{row.judged:.3f}"
    goal = "" if row.goal is None else f"{'>=' if row.at_least else '<='} {row.goal:g}"
    verdict = {True: "holds", False: "MISSED", None: ""}[row.holds]
    figures = f"{row.ours:>10.4g} {plain:>10} {row.unit:<4} {ratio:>6} {goal:>8}"
    return f"{bench:<11} {row.what:<62} {figures}  {verdict}".rstrip()


def measured(bench: str, small: bool) -> Iterator[Row]:
    """The rows of one bench."""
    yield from importlib.import_module(f"benches.{bench}").rows(small)


def print_table(names: Sequence[str], *, small: bool) -> None:
    """Run benches one after another and print each row as it is known; one that fails does not stop the others."""
    print(HEADER)
    missed, failed = 0, list[str]()
    for name in names:
        try:
            for row in measured(name, small):
                missed += row.holds is False
                print(as_line(name, row), flush=True)
        except Exception:
            traceback.print_exc()
            failed.append(name)
    print(f"{missed} goals missed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    sys.exit(1 if failed else 0)

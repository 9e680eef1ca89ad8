"""Whoever does work elsewhere: functions whose files travel by content. The default does all of it here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.project.recipe import Recipe

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Order:
    """What is made of one target elsewhere: compress and convert, and verify where that calls no code of the user's.

    `files`: what of the recipe's folder they read, by name. `fresh`: whatever was kept there.
    """

    recipe: Recipe
    target: Target
    settings: CompressSettings
    keep_on_cpu: tuple[str, ...]
    layers: bool
    verify: bool
    fresh: bool
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Filled:
    """A result of a stage: its place in the cache, and its files, facts among them."""

    stage: str
    name: str
    files: Mapping[str, bytes]


class Executor(Protocol):
    """Runs functions of edgeflow elsewhere, `slots` of them at once."""

    slots: int

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run one, and wait for it. A `Path` among the arguments is a file or folder that goes along.

        Raises:
            EdgeflowError: what the function raised, or that workers died over it, twice.
        """
        ...

    def stages(self, order: Order, ingested: Path, tell: Callable[[str, str], None]) -> list[Filled]:
        """Have the stages of an order made; `tell` hears of a stage how far it is. Raises as `run` does."""
        ...

    def abandon(self) -> None:
        """End what runs elsewhere, at once; who waits for it gets an error."""
        ...


_executor: ContextVar[Executor | None] = ContextVar("executor", default=None)


@contextmanager
def working(executor: Executor) -> Iterator[None]:
    """Have builds that begin in the block, and this thread, hand what comes after stage 1 to an executor."""
    token = _executor.set(executor)
    try:
        yield
    finally:
        _executor.reset(token)


def current() -> Executor | None:
    """Who works elsewhere; None: nobody."""
    return _executor.get()


def at_once(slots: int, work: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """The work on each item, so many at once, in order."""
    with ThreadPoolExecutor(max(1, min(slots, len(items)))) as pool:
        return list(pool.map(work, items))

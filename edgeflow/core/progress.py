"""How far long work is, told to whoever listens in this thread: counted steps, so that the rest can be foreseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[int, int, str], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` called with how many steps of how many are done, and what a step is, while the block runs."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def counted(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, each told of before it is given; `what` names them in the plural."""
    return stepped(items, len(items), what)


def stepped(items: Iterable[T], count: int, what: str) -> Iterator[T]:
    """The same of what has no length."""
    listener = _listener.get()
    for k, item in enumerate(items):
        if listener is not None and count > 1:
            listener(k, count, what)
        yield item

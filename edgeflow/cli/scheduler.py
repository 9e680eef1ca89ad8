"""--scheduler of the commands that can work elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Work elsewhere: tcp://HOST:8786, a Dask scheduler, or local:N workers here.",
)


@contextmanager
def elsewhere(scheduler: str | None, say: Callable[[str, str, str], None]) -> Iterator[None]:
    """Have what the block builds and measures done by the workers of a scheduler, where one is given."""
    if scheduler is None:
        yield
        return
    from edgeflow.cluster.local import scheduled

    with scheduled(scheduler, lambda line: say("", "cluster", f"note: {line}")):
        yield

"""edgeflow worker."""

from __future__ import annotations

import click


@click.command("worker")
@click.argument("address")
@click.option("--slots", type=click.IntRange(1, 256), default=1, help="Jobs at once; each takes several cores.")
def command(address: str, slots: int) -> None:
    """Work for the Dask scheduler at ADDRESS until it goes: what others build with --scheduler.

    What is sent is kept by its hash in ~/.cache/edgeflow/worker, or the folder that EDGEFLOW_WORKER_STORE names. Who
    reaches the scheduler can run code here: see docs/cluster.md.

    Example: edgeflow worker tcp://scheduler:8786
    """
    from edgeflow.cli.printing import show
    from edgeflow.cluster.worker import serve

    serve(address, slots, lambda text: show(text, err=True))

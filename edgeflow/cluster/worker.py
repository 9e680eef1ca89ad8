"""A worker: a process of Dask that runs functions of edgeflow, each in a child that a crash does not spread from."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.cluster.content import Content, lay_out, missing, take_piece
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.need import need
from edgeflow.core.versions import code_version, tool_versions
from edgeflow.flow.workers import Workers

STORE = "EDGEFLOW_WORKER_STORE"
_pools: dict[str, Workers] = {}
_guard = threading.Lock()
_stopped: set[str] = set()


class Absent(Exception):
    """Files that a job needs are not here."""


class Died(EdgeflowError):
    """The process that a job ran in crashed; `what` is the worker's address."""


@dataclass(frozen=True, slots=True)
class Job:
    """A function, what it is given, and what of that is content. `topic`: where its progress is
    told; its function is given a folder for results and a file for that progress besides.
    """

    session: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    topic: str = ""


def store() -> Path:
    """Where this worker keeps content and results."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(STORE) or base / "edgeflow" / "worker")


def stack() -> dict[str, Any]:
    """The versions that results depend on."""
    return {**tool_versions(), "edgeflow's code": code_version()}


def absent(contents: list[Content]) -> list[str]:
    """Hashes of files that have to be sent before a job with these contents runs here."""
    return missing(store(), contents)


def take(digest: str, at: int, piece: bytes, last: bool) -> None:
    """A piece of a file."""
    take_piece(store(), digest, at, piece, last=last)


def do(job: Job) -> Any:
    """Run a job.

    Raises:
        Absent: files have to be sent first.
        Died: its process crashed.
        EdgeflowError: what the function raised.
    """
    contents = [item for item in job.arguments if isinstance(item, Content)]
    if missing(store(), contents):
        raise Absent
    arguments = [lay_out(store(), item) if isinstance(item, Content) else item for item in job.arguments]
    pool = _pool(job.session)
    if not job.topic:
        return _run(job, pool, arguments, lambda: None)
    told, seen = store() / f".told-{job.topic}", 0
    told.touch()

    def tell() -> None:
        nonlocal seen
        lines = told.read_text(encoding="utf-8").splitlines()
        if lines[seen:]:
            _dask().get_worker().log_event(job.topic, lines[seen:])
        seen = len(lines)

    try:
        made = _run(job, pool, [*arguments, store(), told], tell)
        tell()
        return made
    finally:
        told.unlink(missing_ok=True)


def _run(job: Job, pool: Workers, arguments: list[Any], each: Callable[[], None]) -> Any:
    """Run a job in its process; `each` is called while it runs."""

    def watch() -> None:
        each()
        if job.session in _stopped or _is_cancelled():
            stop(job.session)

    try:
        return pool.run(job.function, *arguments, watch=watch)
    except EdgeflowError as err:
        if "a worker process died" not in err.what:
            raise
        stop(job.session, forget=True)
        raise Died(str(_dask().get_worker().address)) from err


def stop(session: str, *, forget: bool = False) -> None:
    """End what a session has running here, at once."""
    with _guard:
        if not forget:
            _stopped.add(session)
        pool = _pools.pop(session, None)
    if pool is not None:
        pool.kill()


def _pool(session: str) -> Workers:
    with _guard:
        if session in _stopped:
            raise EdgeflowError("the build was stopped")
        if session not in _pools:
            _pools[session] = Workers(_slots(), ())
        return _pools[session]


def _slots() -> int:
    return int(_dask().get_worker().state.nthreads)


def _is_cancelled() -> bool:
    """Nobody waits for the running job any more: whoever asked for it is gone."""
    distributed = _dask()
    try:
        worker, key = distributed.get_worker(), distributed.worker.thread_state.key
    except (ValueError, AttributeError):
        return False
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled"


def _dask() -> Any:
    return need("distributed", "cluster")


def serve(address: str, slots: int, say: Callable[[str], None]) -> None:
    """Be a worker of the scheduler at an address until it goes, or this process is told to end."""
    import asyncio

    distributed = _dask()
    store().mkdir(parents=True, exist_ok=True)

    async def run() -> None:
        worker = distributed.Worker(
            address, nthreads=slots, memory_limit=0, dashboard=False, name=f"{os.uname().nodename}-{os.getpid()}"
        )
        await worker
        say(f"edgeflow: {worker.address} works for {address}, keeps content in {store()}")
        await worker.finished()

    asyncio.run(run())

"""The executor that hands work to a Dask scheduler."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from edgeflow.cluster.content import PIECE_BYTES, Content, content_of
from edgeflow.cluster.stages import stages_of
from edgeflow.cluster.worker import Absent, Died, Job, absent, do, stack, stop, take
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.need import need
from edgeflow.flow.executor import Filled, Order

T = TypeVar("T")
LOOK_S = 1.0
SENDS = 3
"""Times that content is sent for one job: a worker may come or lose its disk meanwhile."""


class Cluster:
    """Workers of one scheduler, those whose stack is this one's."""

    def __init__(self, address: str, note: Callable[[str], None]) -> None:
        """Raises EdgeflowError: nobody answers, or no worker has the same versions."""
        distributed = need("distributed", "cluster")
        self.session = secrets.token_hex(8)
        self._guard, self._sending = threading.Lock(), threading.Lock()
        self._known: dict[Path, Content] = {}
        self._paths: dict[str, Path] = {}
        self._running: set[Any] = set()
        self._seen: tuple[float, list[str]] = -1e9, []
        try:
            self._client = distributed.Client(address, timeout="10s", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as err:
            raise EdgeflowError(
                f"--scheduler {address}: nobody answers there ({type(err).__name__})",
                try_="dask scheduler on that machine, and edgeflow worker tcp://HOST:8786 on those that work for it",
            ) from err
        try:
            # A job that kills its worker would be tried on four of them; here it is tried once elsewhere, and named.
            self._allowed = self._client.run_on_scheduler(_allow_failures, 0)
            self.workers = self._like_here(address, note)
        except ImportError as err:
            self._client.close()
            raise EdgeflowError(
                f"--scheduler {address}: has no edgeflow, or another one ({err})",
                try_="pip install 'edgeflow[cluster]' in the same version where the scheduler runs; start it again",
            ) from err
        except BaseException:
            self._client.close()
            raise
        threads = self._client.nthreads()
        self.slots = sum(threads.get(worker, 1) for worker in self.workers)

    def _like_here(self, address: str, note: Callable[[str], None]) -> list[str]:
        own, fit, others = stack(), [], []
        for worker, found in self._client.run(_stack, on_error="return").items():
            theirs = found if isinstance(found, dict) else {"edgeflow": "not installed"}
            differ = [
                f"{name} {theirs.get(name, 'missing')}, here {own.get(name, 'missing')}"
                for name in sorted({*own, *theirs})
                if own.get(name) != theirs.get(name)
            ]
            if differ:
                others.append(f"{worker} has {'; '.join(differ[:3])}{' …' if len(differ) > 3 else ''}")
            else:
                fit.append(worker)
        if not fit:
            raise EdgeflowError(
                "no worker has the versions of this machine" if others else "the scheduler has no worker",
                try_="edgeflow worker ADDRESS, in the same environment as here"
                if others
                else "edgeflow worker ADDRESS",
                lines=others[:5],
            )
        for line in others:
            note(f"{line}; it is left out")
        return fit

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """See flow.executor.Executor."""
        done: T = self._done(function, arguments, "")
        return done

    def stages(self, order: Order, ingested: Path, tell: Callable[[str, str], None]) -> list[Filled]:
        """See flow.executor.Executor."""
        topic = f"edgeflow-{self.session}-{secrets.token_hex(4)}"

        def heard(event: tuple[float, list[str]]) -> None:
            for line in event[1]:
                stage, _, what = line.partition("\t")
                tell(stage, what)

        self._client.subscribe_topic(topic, heard)
        try:
            made: list[Filled] = self._done(stages_of, (order, ingested), topic)
        finally:
            self._client.unsubscribe_topic(topic)
        return made

    def _done(self, function: Callable[..., Any], arguments: tuple[Any, ...], topic: str) -> Any:
        given = tuple(self._content(item) if isinstance(item, Path) else item for item in arguments)
        job = Job(self.session, function, given, topic)
        died: list[str] = []
        sent = 0
        self._send([item for item in given if isinstance(item, Content)], self.workers)
        while True:
            able = [worker for worker in self._present(lately=not died) if worker not in died]
            if not able:
                raise self._lost(function, died)
            try:
                return self._result(job, able)
            except Absent:
                sent += 1
                if sent > SENDS:
                    raise EdgeflowError(f"{function.__name__}: workers lose what they are sent") from None
                self._send([item for item in given if isinstance(item, Content)], able)
            except _WorkerDied as err:
                died.append(err.worker)
                if len(died) > 1:
                    raise self._lost(function, died) from err

    def _result(self, job: Job, able: list[str]) -> Any:
        distributed = need("distributed", "cluster")
        future = self._client.submit(
            do, job, workers=able, pure=False, retries=0, key=f"edgeflow-{secrets.token_hex(8)}"
        )
        with self._guard:
            self._running.add(future)
        try:
            while True:
                with contextlib.suppress(distributed.TimeoutError, TimeoutError):
                    return future.result(LOOK_S)
        except distributed.KilledWorker as err:
            raise _WorkerDied(str(getattr(err.last_worker, "address", err.last_worker))) from err
        except Died as err:
            raise _WorkerDied(err.what) from err
        except distributed.CancelledError as err:
            raise EdgeflowError("the build was stopped") from err
        finally:
            with self._guard:
                self._running.discard(future)
            future.release()

    def _present(self, *, lately: bool = False) -> list[str]:
        """Workers that are there; `lately`: as of a moment ago, which saves a question for each of many small jobs."""
        since, found = self._seen
        if not lately or time.monotonic() - since > LOOK_S:
            here = self._client.nthreads()
            found = [worker for worker in self.workers if worker in here]
            self._seen = time.monotonic(), found
        return found

    def _lost(self, function: Callable[..., Any], died: list[str]) -> EdgeflowError:
        named = ", ".join(died) or "all of them"
        return EdgeflowError(
            f"{function.__name__}: {'its workers' if len(died) > 1 else 'its worker'} died over it: {named}",
            try_="see their logs and memory; finished stages are kept, so run it again",
        )

    def _content(self, path: Path) -> Content:
        with self._guard:
            known = self._known.get(path)
        if known is None:
            known = content_of(path)
            with self._guard:
                self._known[path] = known
                for name, digest in known.files:
                    self._paths[digest] = path / name if known.is_folder else path
        return known

    def _send(self, contents: list[Content], workers: list[str]) -> None:
        """Send each worker what it lacks, each file once."""
        if not contents:
            return
        with self._sending:
            lacking = self._client.run(absent, contents, workers=workers, on_error="return")
            for digest in sorted({one for found in lacking.values() if isinstance(found, list) for one in found}):
                to = [worker for worker, found in lacking.items() if isinstance(found, list) and digest in found]
                for at, piece, last in _pieces(self._paths[digest]):
                    self._client.run(take, digest, at, piece, last, workers=to, on_error="return")

    def abandon(self) -> None:
        """End what runs elsewhere; who waits for it gets an error."""
        with self._guard:
            running = list(self._running)
        with contextlib.suppress(Exception):
            self._client.cancel(running, force=True)
            self._client.run(stop, self.session, workers=self._present(), on_error="ignore")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.abandon()  # their processes, too, which would wait for a minute for more
        with contextlib.suppress(Exception):
            self._client.run_on_scheduler(_allow_failures, self._allowed)
        self._client.close()


class _WorkerDied(Exception):
    def __init__(self, worker: str) -> None:
        super().__init__(worker)
        self.worker = worker


def _pieces(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    size, at = path.stat().st_size, 0
    with path.open("rb") as stream:
        while True:
            piece = stream.read(PIECE_BYTES)
            yield at, piece, at + len(piece) >= size
            at += len(piece)
            if at >= size:
                return


def _allow_failures(count: int, dask_scheduler: Any = None) -> int:
    before = int(dask_scheduler.allowed_failures)
    dask_scheduler.allowed_failures = count
    return before


def _stack() -> dict[str, Any]:
    return stack()

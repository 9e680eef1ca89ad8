"""Processes that hold Paddle: a crash there is an error here, and its noise goes to a log."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, TimeoutError
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from edgeflow.core.artifact import Artifact
from edgeflow.core.children import die_with, started
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.fence import write_only_in
from edgeflow.core.need import need
from edgeflow.files.atomic import storage
from edgeflow.files.temporary import scratch

T = TypeVar("T")
WATCH_S = 0.5


class Workers:
    """A pool of processes, each importing its modules while others work already.

    Args:
        inside: all that these processes do is for a program from elsewhere, and they write below this folder alone,
            which is made where it is not there: a fence lets nobody into a folder that comes later. None leaves that
            to what they are asked to do.
    """

    def __init__(self, count: int, modules: tuple[str, ...], *, inside: Path | None = None) -> None:
        # loky rather than multiprocessing: it needs no `if __name__ == "__main__"` in the caller's script,
        # and tells when a worker dies.
        if inside is not None:
            with storage(inside):
                inside.mkdir(parents=True, exist_ok=True)
        # A worker keeps models and data for what it does next; loky takes that for a leak, and gets it a successor.
        warnings.filterwarnings("ignore", "A worker was restarted while some jobs", UserWarning)
        self._held = contextlib.ExitStack()
        self._temporary = self._held.enter_context(scratch())
        self._pool = need("loky", "build").ProcessPoolExecutor(
            max_workers=count,
            timeout=60,
            initializer=_prepare,
            initargs=(os.getpid(), self._temporary, modules, inside),
        )

    def start(self) -> None:
        """Begin importing before there is work."""
        self._submit(_nothing)

    def _submit(self, function: Callable[..., T], *arguments: Any, **named: Any) -> Future[T]:
        def submit() -> Future[T]:
            # Where their trackers of resources start, both libraries let Ctrl-C through again: so they start before.
            from multiprocessing import resource_tracker as of_python

            from loky.backend import resource_tracker as of_loky

            of_loky.ensure_running()
            of_python.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            future: Future[T] = self._pool.submit(function, *arguments, **named)
            return future

        return started(submit)

    def run(
        self, function: Callable[..., T], *arguments: Any, watch: Callable[[], None] | None = None, **named: Any
    ) -> T:
        """Run one function in a worker and wait for it.

        Args:
            watch: called every half second while it runs.

        Raises:
            EdgeflowError: what the function raised, or that its process died.
        """
        from loky.process_executor import TerminatedWorkerError

        future: Future[T] = self._submit(_quietly, function, *arguments, **named)
        try:
            while watch is not None:
                with contextlib.suppress(TimeoutError):
                    return future.result(WATCH_S)
                watch()
            return future.result()
        except TerminatedWorkerError as err:
            raise EdgeflowError(
                f"a worker process died while {function.__name__} ran: it crashed or ran out of memory",
                try_="run it again: finished stages are kept; give it more memory if it dies again",
            ) from err

    def kill(self) -> None:
        """Stop every process, at once; whoever waits for one gets an error."""
        self._pool.shutdown(wait=False, kill_workers=True)
        self._held.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Idle workers leave by themselves; after an error one may still be busy, and is stopped.
        self._pool.shutdown(wait=True, kill_workers=kind is not None)
        self._held.close()


def stage_in_worker(stage: str, source: Artifact, target: Any, settings: Any, folder: Path, log: Path) -> Artifact:
    """Run a stage inside a worker; what it prints, C++ included, goes to `log`, what it says also to
    `progress_of(folder)`.
    """
    from edgeflow.core.artifact import Tools

    def say(line: str) -> None:
        print(line, flush=True)
        progress_of(folder).write_text(line, encoding="utf-8")

    def fence() -> None:
        # The cache, not the folder alone: a worker does several stages, and training keeps its checkpoint beside it.
        _fence(folder.parents[1])

    with _output_to(log), storage(folder):
        if source.facts.get("foreign"):
            fence()
        function = getattr(importlib.import_module(f"edgeflow.{stage}.stage"), stage)
        made: Artifact = function(source, target, settings, Tools(folder, say, key_of_folder(folder), fence))
        return made


def fenced(folder: Path, function: Callable[..., T], *arguments: Any) -> T:
    """Run a function on a program from elsewhere, inside a worker that from now on writes below `folder` alone."""
    _fence(folder)
    return function(*arguments)


@cache
def _fence(folder: Path) -> None:
    """Once a worker: it writes below a folder that is there, and in temporary files of its pool, which the parent
    removes.
    """
    os.environ["TMPDIR"] = tempfile.tempdir = str(_temporary[0])
    write_only_in([folder, _temporary[0]])


_temporary: list[Path] = []
"""In a worker: where its pool may have temporary files."""


def progress_of(folder: Path) -> Path:
    """Where a stage in a worker leaves its last word for those who wait."""
    return folder / ".progress"


def key_of_folder(folder: Path) -> str:
    """The name that a folder of files.folder_atomic will have: the same in the next try."""
    return folder.name.removeprefix(".").split(".")[0]


def _quietly(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """What Paddle and PaddleSlim print is for a log at most; what goes wrong is raised."""
    with _output_to(Path(os.devnull)):
        return function(*arguments, **named)


def _nothing() -> None:
    return None


def _prepare(parent: int, temporary: Path, modules: tuple[str, ...], inside: Path | None) -> None:
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which gets it too, stops its workers
    _temporary.append(temporary)
    if inside is not None:
        _fence(inside)  # before Paddle's threads start, so that it holds for these too
    os.environ["GLOG_minloglevel"] = "2"
    # As many threads on a busy machine as on an idle one: sums keep their order, and builds their bytes.
    os.environ["MKL_DYNAMIC"] = os.environ["OMP_DYNAMIC"] = "FALSE"
    # A user's function may start processes of its own: it finds the system's way to, not loky's.
    multiprocessing.set_start_method(None, force=True)
    with _output_to(Path(os.devnull)):
        import zlib  # noqa: F401  (before paddle, or gzip and npz crash with SIGSEGV afterwards)

        for module in modules:
            with contextlib.suppress(ImportError, EdgeflowError):
                importlib.import_module(module)
    # Results are handed over before a worker is told to leave; Paddle would take a second to say goodbye.
    atexit.register(os._exit, 0)


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send file descriptors 1 and 2 to a file, the ones that C++ writes to as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with storage(path), path.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)

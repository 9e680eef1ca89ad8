"""One candidate compression after another through the real stages, each within the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from edgeflow.core.drift import lowest
from edgeflow.core.errors import CompressFailed, EdgeflowError
from edgeflow.core.metrics import loss
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.emulate.examined import Examined
from edgeflow.flow.build import Flow
from edgeflow.flow.executor import at_once
from edgeflow.flow.filling import fill
from edgeflow.nb.predict import Latency, predict
from edgeflow.project.manifest import StageResults
from edgeflow.project.places import MODEL, REFERENCE
from edgeflow.project.reference import load_reference
from edgeflow.tuning.certificate import changes
from edgeflow.tuning.ranking import Goal, Tried
from edgeflow.verify.execute import run_here
from edgeflow.verify.judge import judge

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings to try; see Tried for `steps`."""

    name: str
    settings: CompressSettings
    steps: int
    fp16: bool = False


class Trials:
    """Measures candidates of one model for one target, within the time that a goal allows, and keeps what was tried."""

    def __init__(self, flow: Flow, target: Target, goal: Goal) -> None:
        self.flow, self.recipe, self.target, self.goal = flow, flow.recipe, target, goal
        self.since = time.monotonic()
        self.tried: list[Tried] = []
        flow.begin(target)
        self.ingested = flow.ingest(target, "int8" if "int8" in target.precision.allowed else "float32")
        self.reference = load_reference(self.ingested.folder / REFERENCE)
        self.plain = self.recipe.compress_settings(target)

    @property
    def left_s(self) -> float:
        """Seconds that may still be searched."""
        return self.goal.budget_s - self.seconds

    @property
    def seconds(self) -> float:
        """Seconds since the search began."""
        return time.monotonic() - self.since

    def measure(self, candidate: Candidate) -> Tried:
        """Run one candidate through compress, convert and verify; what fails is a result too.

        The first one may take whatever time it needs, so that there is always an answer.
        """
        since = time.monotonic()
        empty = Tried(candidate.name, changes(candidate.settings, self.plain, candidate.fp16), candidate.steps)
        try:
            item = self._within(lambda: self._measure(candidate, empty), None if not self.tried else self.left_s)
        except Exception as err:
            item = replace(empty, error=said(err))
        item = replace(item, seconds=time.monotonic() - since)
        self.tried.append(item)
        return item

    def make_elsewhere(self, several: Sequence[Candidate]) -> None:
        """Have files of candidates that depend on none of each other made at once, where somebody works elsewhere; to
        measure them is quick then. What fails there fails again here, and is told of there.
        """
        executor = self.flow.executor
        if executor is None or self.left_s <= 0:
            return

        def made(candidate: Candidate) -> None:
            with suppress(EdgeflowError):
                fill(self.flow, self.target, candidate.settings, self.ingested, verify=False)

        with suppress(CompressFailed):
            self._within(lambda: at_once(executor.slots, made, several), self.left_s)

    def costs(self, what: str, work: Callable[[], T]) -> T | None:
        """What measuring layers gives within the time that is left; what fails is noted, and None."""
        try:
            return self._within(work, self.left_s)
        except Exception as err:
            self.tried.append(Tried(what, {}, 0, error=said(err)))
            return None

    def _within(self, work: Callable[[], T], limit_s: float | None) -> T:
        future: Future[T] = Future()

        def thread() -> None:
            try:
                future.set_result(work())
            except BaseException as err:  # whatever it is, whoever waits is told
                future.set_exception(err)

        since = time.monotonic()
        # A daemon: nobody waits for what was given up, not even the interpreter when it ends.
        threading.Thread(target=thread, daemon=True).start()
        try:
            return future.result(None if limit_s is None else max(limit_s, 0.0))
        except TimeoutError:
            self.flow.abandon()
            raise CompressFailed(f"not done when the time was up, after {time.monotonic() - since:.0f} s") from None
        except KeyboardInterrupt:
            self.flow.abandon()
            raise

    def _measure(self, candidate: Candidate, empty: Tried) -> Tried:
        target = self.target
        if candidate.fp16:
            target = replace(
                target,
                lite=replace(target.lite, fp16=True),
                precision=replace(target.precision, allowed=("float16",), default="float16"),
            )
        precision = target.choose(candidate.settings.precision)
        compressed = self.flow.compress(target, candidate.settings, precision, self.ingested)
        converted = self.flow.convert(target, compressed)
        file = Examined(converted.folder / MODEL)
        ran = run_here(file, self.reference, target.npu_arithmetic)
        made = StageResults(self.recipe, self.target, self.ingested, compressed, converted)
        verdict = judge(self.reference, ran, made.settings, self.recipe.folder)
        drop = None
        if self.recipe.metric and verdict.metric_candidate is not None and verdict.metric_reference is not None:
            drop = loss(self.recipe.metric.name, verdict.metric_reference, verdict.metric_candidate)
        latency = self._latency(file, target)
        return replace(
            empty,
            precision=precision,
            metric=verdict.metric_candidate,
            metric_drop=drop,
            sqnr_db=lowest(item.drift.sqnr_db for item in verdict.outputs),
            size_bytes=int(converted.facts["bytes"]),
            breaks=verdict.broken,
            latency_ms=None if latency is None else latency.ms,
            latency_error=None if latency is None else latency.error,
        )

    def _latency(self, file: Examined, target: Target) -> Latency | None:
        shapes, chip = file.shapes_for(self.reference.inputs), self.goal.chip
        return None if shapes is None or chip is None else predict(file.model, shapes, target, chip)


def said(err: BaseException) -> str:
    """What went wrong, in one line."""
    return err.what if isinstance(err, EdgeflowError) else f"{type(err).__name__}: {err}"

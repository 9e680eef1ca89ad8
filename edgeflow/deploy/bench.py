"""Latency of a .nb, on a device or here: a sweep over threads, and two files against each other in turn."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow import nb
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.latency import Comparison, State, Summary, Timing, compare, summary
from edgeflow.core.samples import Array
from edgeflow.core.tensors import TensorSpec, validate_fixed
from edgeflow.deploy.device_facts import Facts
from edgeflow.deploy.qemu import QEMU
from edgeflow.deploy.remote import Remote
from edgeflow.deploy.residency import Residency
from edgeflow.deploy.runners import HERE, Where, is_device, open_runner, where_it_ran
from edgeflow.emulate import Emulator
from edgeflow.project.manifest import npu_arithmetic
from edgeflow.project.places import REFERENCE
from edgeflow.project.reference import load_reference

ROUNDS = 8
SEED = 0
NOT_DEVICE = "host time is not device time: the emulator repeats a device's numbers, not its speed"
NOT_ARM = "host time is not device time: this is Paddle Lite's x86 runtime on this machine"
NOT_SPEED = (
    "these times are those of qemu's emulation on this machine: they say neither how fast a device is, nor which of "
    "two files is faster there"
)
NOTES = {"emulator": NOT_DEVICE, "paddle-lite": NOT_ARM, QEMU: NOT_SPEED}


def feed_of(model: Path, specs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Inputs to time with: the reference's first samples where it lies beside the model and fits, else seeded noise.

    Raises:
        DataError: a shape is given for an unknown input, or an open dimension is left open.
    """
    if unknown := set(shapes) - {spec.name for spec in specs}:
        raise DataError(f"--shape {sorted(unknown)[0]!r}: the inputs are {', '.join(spec.name for spec in specs)}")
    validate_fixed(shapes, specs, "--shape")
    if not shapes and (model.parent / REFERENCE).is_file():
        inputs = load_reference(model.parent / REFERENCE).inputs
        if set(inputs) == {spec.name for spec in specs}:
            return {spec.name: inputs[spec.name][: max(spec.shape[0] if spec.shape else 1, 1)] for spec in specs}
    rng = np.random.default_rng(SEED)
    feed = {}
    for spec in specs:
        # The batch may stay open, and is then one.
        shape = shapes.get(spec.name) or tuple(1 if k == 0 and d < 0 else d for k, d in enumerate(spec.shape))
        if any(d < 1 for d in shape):
            raise DataError(
                f"{spec}: has open dimensions, which should be given as numbers",
                try_=f"--shape {spec.name}={','.join('1' if d < 1 else str(d) for d in shape)}",
            )
        noise = rng.standard_normal(shape)
        feed[spec.name] = (
            noise.astype(spec.dtype) if spec.dtype.startswith("float") else (np.abs(noise) > 1).astype(spec.dtype)
        )
    return feed


@dataclass(frozen=True, slots=True)
class Timed:
    """How runs are timed. `rounds`: turns of a comparison, over which `repeats` runs of each file are spread."""

    threads: tuple[int, ...] = (1,)
    warm_up: int = 10
    repeats: int = 50
    cool_down_ms: int = 0
    rounds: int = ROUNDS


TIMED = Timed()


@dataclass(frozen=True, slots=True)
class Row:
    """One number of threads: what is done once apart, the timed runs, and the device's state after them."""

    threads: int
    load_ms: float
    first_ms: float
    warm_up: int
    times: Summary
    state: State

    def as_table(self) -> dict[str, Any]:
        """The row as JSON values, the figures of its runs beside the rest."""
        once = {"threads": self.threads, "load_ms": self.load_ms, "first_ms": self.first_ms, "warm_up": self.warm_up}
        return {**once, **asdict(self.times), "state": asdict(self.state)}


@dataclass(frozen=True, slots=True)
class Against:
    """Two files timed in turn: MODEL, the control, and the other."""

    against: str
    threads: int
    rounds: int
    control: Summary
    other: Summary
    found: Comparison

    def as_table(self) -> dict[str, Any]:
        """The comparison as JSON values, its ratio beside the rest."""
        found = asdict(self)
        return {**found, **found.pop("found")}


@dataclass(frozen=True, slots=True)
class Timings:
    """What a bench found. `notes`: what the times do not say; `residency`: where the ops ran, on a device."""

    model: str
    runner: str
    device: Facts | None
    notes: tuple[str, ...]
    inputs: Mapping[str, tuple[int, ...]]
    sweep: tuple[Row, ...]
    comparison: Against | None = None
    residency: Residency | None = None

    def as_table(self) -> dict[str, Any]:
        """What --json prints: a comparison where there is one, and of a device where the ops ran."""
        found: dict[str, Any] = {
            "format": 1,
            "model": self.model,
            "runner": self.runner,
            "device": self.device.as_table() if self.device else None,
            "notes": list(self.notes),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "sweep": [row.as_table() for row in self.sweep],
        }
        if self.comparison is not None:
            found["comparison"] = self.comparison.as_table()
        if self.device is not None:
            found["residency"] = self.residency.as_table() if self.residency else None
        return found


class Stopwatch:
    """One file on one runner, timed in processes or calls of its own."""

    def __init__(self, runner: Any, feed: Mapping[str, Array], model: Path, on: str) -> None:
        self.runner, self.feed, self._model, self._on = runner, feed, model, on

    def time(self, timed: Timed, threads: int) -> Timing:
        """One measurement; on this machine everything is loaded anew, as a program on a device does it."""
        if isinstance(self.runner, Remote):
            return self.runner.time(
                self.feed,
                warm_up=timed.warm_up,
                repeats=timed.repeats,
                threads=threads,
                cool_down_ms=timed.cool_down_ms,
            )
        begin = time.perf_counter()
        fresh = (
            Emulator(self._model, npu=npu_arithmetic(self._model), threads=threads)
            if self._on == "emulator"
            else self.runner
        )
        loaded = time.perf_counter()
        fresh.infer(self.feed)
        first = time.perf_counter()
        for _ in range(timed.warm_up):
            fresh.infer(self.feed)
        times = []
        time.sleep(timed.cool_down_ms / 1000)
        for _ in range(timed.repeats):
            start = time.perf_counter()
            fresh.infer(self.feed)
            times.append(1000 * (time.perf_counter() - start))
        return Timing(1000 * (loaded - begin), 1000 * (first - loaded), tuple(times))

    def state(self) -> State:
        """Clocks and heat of the device; nothing of this machine."""
        return self.runner.state() if isinstance(self.runner, Remote) else State()


def bench(
    model: Path,
    against: Path | None = None,
    where: Where = HERE,
    timed: Timed = TIMED,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Timings:
    """Time a file, and where `against` is given that one too, in turn with it.

    Args:
        against: the other file; MODEL is the control. Both run with the first of the numbers of threads.
        shapes: of inputs with open dimensions.

    Raises:
        DataError: inputs do not fit; TransportError: see open_runner.
    """
    on, threads = where.on, timed.threads
    if on == "paddle-lite" and tuple(threads) != (1,):
        raise DataError(
            f"--threads {','.join(map(str, threads))}: Paddle Lite's Python runtime takes no number of threads",
            try_="--on emulator, or a device",
        )
    files = [model, *([against] if against else [])]
    with ExitStack() as stack:
        watches = []
        for file in files:
            feed = feed_of(file, nb.read(file).input_specs, shapes or {})
            runner = stack.enter_context(open_runner(file, where, npu_arithmetic(file)))
            watches.append(Stopwatch(runner, feed, file, on))
        runner = watches[0].runner
        on_device = isinstance(runner, Remote)
        sweep = tuple(_row(watches[0], timed, n) for n in threads)
        comparison = None if against is None else _compare(against, watches, timed)
        return Timings(
            str(model),
            runner.name,
            runner.facts if on_device else None,
            () if is_device(on) else (NOTES[on],),
            {name: array.shape for name, array in watches[0].feed.items()},
            sweep,
            comparison,
            _residency(watches, comparison) if on_device else None,
        )


def _row(watch: Stopwatch, timed: Timed, threads: int) -> Row:
    timing = watch.time(timed, threads)
    return Row(threads, timing.load_ms, timing.first_ms, timed.warm_up, summary(timing.times_ms), watch.state())


def _compare(against: Path, watches: Sequence[Stopwatch], timed: Timed) -> Against:
    """Measure in turn, the order swapped each round, so that slow changes of the device meet both alike."""
    each, threads, rounds = (
        replace(timed, repeats=max(timed.repeats // timed.rounds, 1)),
        timed.threads[0],
        timed.rounds,
    )
    times: tuple[list[tuple[float, ...]], list[tuple[float, ...]]] = ([], [])
    states = [watches[0].state()]
    for turn in range(rounds):
        for k in ((0, 1), (1, 0))[turn % 2]:
            times[k].append(watches[k].time(each, threads).times_ms)
        states.append(watches[0].state())
    found = compare(times[0], times[1], states, seed=SEED)
    control, other = (summary([t for turn in side for t in turn]) for side in times)
    return Against(str(against), threads, rounds, control, other, found)


def _residency(watches: Sequence[Stopwatch], comparison: Against | None) -> Residency | None:
    """A comparison with a file that has no subgraph is a CPU-only control."""
    main = watches[0].runner
    if comparison is None or any(op.type == "subgraph" for op in watches[1].runner.model.blocks[0].operations):
        return where_it_ran(main)
    return where_it_ran(main, npu_ms=comparison.control.p50_ms, cpu_ms=comparison.other.p50_ms)


def numbers(text: str, what: str) -> tuple[int, ...]:
    """Whole numbers above 0, separated by commas.

    Raises:
        EdgeflowError: they are none.
    """
    parts = text.split(",")
    if not all(part.isdecimal() and 0 < int(part) < 1 << 20 for part in parts):
        raise EdgeflowError(
            f"{what} {text!r}: should be whole numbers above 0, separated by commas", try_=f"{what} 1,2,4"
        )
    return tuple(int(part) for part in parts)

"""A .nb run on a device: the runner behind `--on ssh://…`, `--on adb:…` and `--on qemu`, and its stopwatch."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from edgeflow import nb
from edgeflow.core.elf_machines import machine_name
from edgeflow.core.errors import DataError, EdgeflowError, NbError, TransportError
from edgeflow.core.latency import State, Timing
from edgeflow.core.samples import Array
from edgeflow.core.tensors import DTYPES, validate_feed
from edgeflow.deploy.called import Call, Traces, called, json_line
from edgeflow.deploy.device import Device, connect
from edgeflow.deploy.device_facts import Facts, probe, state, validate_room, what_fits, why_not
from edgeflow.deploy.runtime import RuntimeFolder, how_to_make
from edgeflow.files.arrays import load_npy
from edgeflow.files.temporary import scratch
from edgeflow.nb.match import match, read_library
from edgeflow.project.contract import RuntimeContract

OUTPUT_MAX_BYTES = 1 << 30
"""All outputs of one run together: more than any model for such devices gives."""
HEADER_MAX_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How programs on the device are called. `limit_s` bounds one call, on the device itself.

    `batch`: samples a run where the file leaves the first dimension open; None feeds all at once, as they come.
    """

    threads: int = 1
    power_mode: str = ""
    runtime: RuntimeContract = RuntimeContract()
    limit_s: float = 300.0
    batch: int | None = None


class Remote:
    """One .nb on one device; a runner: arrays by name in, arrays by name out. Connects when the `with` block begins.

    Any number of samples may be fed to a file with a fixed batch: the program there runs them batch by batch.

    Args:
        say: told in one line of what is odd or tried again.

    Raises:
        NbError: the file does not fit the runtime library.
        TransportError: see Device; also another ABI, or too little room.
    """

    takes_samples = True

    def __init__(
        self,
        address: str,
        model: Path,
        runtime: RuntimeFolder,
        options: RunOptions | None = None,
        *,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.path, self.runtime, self.options = model, runtime, options or RunOptions()
        self.model = nb.read(model)
        self.inputs, self.outputs = self.model.input_specs, self.model.outputs
        self._say = say or (lambda text: None)
        self.notes = tuple(fits(self.model, model, runtime))
        self.device = Device(connect(address, runtime.machine), say=say)
        self.name = f"{address} (Paddle Lite on the device)"
        self.facts: Facts | None = None
        self.traces = Traces()
        self._stack = ExitStack()

    def __enter__(self) -> Remote:
        with ExitStack() as stack:
            stack.enter_context(self.device)
            self.facts = probe(self.device)
            self._validate(self.facts)
            self.name = named(self.device.name, self.facts)
            self._libraries = self.device.put(self.runtime.libraries)
            self._model = self.device.put([self.path])[0]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, err, trace)

    def _validate(self, facts: Facts) -> None:
        if reason := why_not(facts, self.runtime.abi):
            raise TransportError(f"{self.device.name}: wrong architecture: {reason}", try_=what_fits(facts))
        for path in (self.runtime.program("dump"), *self.runtime.libraries):
            if (found := elf_machine(path)) not in ("", self.runtime.machine):
                raise TransportError(
                    f"{path}: wrong architecture: it is for {found}, and should be for {self.runtime.machine}",
                    try_=how_to_make(self.runtime.target),
                )
        validate_room(self.device, facts, sum(path.stat().st_size for path in (*self.runtime.libraries, self.path)))

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run on the device and fetch every output.

        Raises:
            DataError: names, shapes or dtypes do not fit.
            TransportError: the program there died, took too long, or wrote something else than it should.
        """
        validate_feed(feed, tuple(replace(spec, shape=(-1,) * len(spec.shape)) for spec in self.inputs), "inputs")
        out = f"{self.device.folder}/out"
        with scratch() as work:
            sent = self._send(feed, work)
            try:
                batch = self._batch(feed)
                text = self._call(
                    "dump",
                    ["--in", *sent, "--out", out, *(["--batch", str(batch)] if batch else [])],
                    before=f"rm -rf {shlex.quote(out)} && mkdir {shlex.quote(out)}",
                )
                announced = self._announced(text)
                arrays = [self._fetch(k, shape, dtype, out, work) for k, (shape, dtype) in enumerate(announced)]
            finally:
                self._forget([*sent, out])
        return dict(zip(self.outputs, arrays, strict=True))

    def time(
        self,
        feed: Mapping[str, Array],
        *,
        warm_up: int,
        repeats: int,
        threads: int | None = None,
        cool_down_ms: int = 0,
    ) -> Timing:
        """Time runs on the device with its own clock; no transfer is in the figures."""
        with scratch() as work:
            sent = self._send(feed, work)
            text = self._call(
                "bench",
                [
                    "--in",
                    *sent,
                    "--warm-up",
                    str(warm_up),
                    "--repeats",
                    str(repeats),
                    "--cool-down-ms",
                    str(cool_down_ms),
                ],
                threads=threads,
            )
        table = json_line(text, f"{self.device.name}: bench")
        times = table.get("times_ms")
        numbers = [table.get("load_ms"), table.get("first_ms"), *(times if isinstance(times, list) else [None])]
        good = [
            float(x) for x in numbers if isinstance(x, (int, float)) and not isinstance(x, bool) and 0 <= x < math.inf
        ]
        if len(good) != len(numbers) or len(good) != 2 + repeats:
            raise TransportError(
                f"{self.device.name}: bench timed {len(good) - 2} of {repeats} runs, and should have timed all",
                try_=how_to_make(self.runtime.target),
            )
        return Timing(good[0], good[1], tuple(good[2:]))

    def state(self) -> State:
        """The device's clocks and heat now."""
        return state(self.device)

    def _send(self, feed: Mapping[str, Array], folder: Path) -> list[str]:
        paths = []
        for k, spec in enumerate(self.inputs):
            buffer = io.BytesIO()
            array = np.asarray(feed[spec.name], order="C")
            np.lib.format.write_array(buffer, array, allow_pickle=False)  # type: ignore[no-untyped-call]
            paths.append(folder / f"in_{k}.npy")
            paths[-1].write_bytes(buffer.getvalue())
        return self.device.put(paths)

    def _forget(self, places: Sequence[str]) -> None:
        try:
            self.device.drop(places)
        except EdgeflowError as err:
            self._say(f"{err.what}; its folder is removed at the end")

    def _batch(self, feed: Mapping[str, Array]) -> int | None:
        """Samples a run, where more are fed than the file fixes or the options want; None for one run."""
        first = self.inputs[0] if self.inputs else None
        if first is None or not first.shape or any(not spec.shape for spec in self.inputs):
            return None
        most = first.shape[0] if first.shape[0] > 0 else self.options.batch
        return most if most is not None and all(len(feed[spec.name]) > most for spec in self.inputs) else None

    def _call(self, program: str, arguments: Sequence[str], *, before: str = "true", threads: int | None = None) -> str:
        """Run a program within its limit, give its standard output, and keep its log and cache files as traces."""
        device, options = self.device, self.options
        place = device.put([self.runtime.program(program)])[0]
        words = [place, "--model", self._model, "--threads", str(threads or options.threads), *arguments]
        words += ["--power-mode", options.power_mode] if options.power_mode else []
        words += (
            ["--devices", ",".join(options.runtime.devices), "--cache-dir", f"{device.folder}/cache"]
            if options.runtime.devices
            else []
        )
        words += ["--context", options.runtime.context] if options.runtime.context else []
        call = Call(tuple(words), tuple(self._libraries), options.limit_s, bool(options.runtime.devices), before)

        def seen(traces: Traces) -> None:
            self.traces = traces

        return called(device, call, self.runtime.target, seen)

    def _announced(self, text: str) -> list[tuple[tuple[int, ...], str]]:
        """Shape and dtype of every output as `dump` says them, held to what can be."""
        where = f"{self.device.name}: dump"
        outputs = json_line(text, where).get("outputs")
        if not isinstance(outputs, list) or len(outputs) != len(self.outputs):
            raise TransportError(
                f"{where}: tells of {len(outputs) if isinstance(outputs, list) else 'no'} outputs, and should "
                f"tell of {len(self.outputs)}",
                try_=how_to_make(self.runtime.target),
            )
        found, total = [], 0
        for item in outputs:
            shape, dtype = (item.get("shape"), item.get("dtype")) if isinstance(item, dict) else (None, None)
            if (
                dtype not in DTYPES
                or not isinstance(shape, list)
                or len(shape) > 8
                or not all(isinstance(d, int) and not isinstance(d, bool) and 0 <= d < 1 << 31 for d in shape)
            ):
                raise TransportError(
                    f"{where}: tells of an output {str(item)[:120]!r}, and should give its shape and dtype"
                )
            total += math.prod(shape) * np.dtype(dtype).itemsize
            found.append((tuple(shape), str(dtype)))
        if total > OUTPUT_MAX_BYTES:
            raise TransportError(f"{where}: tells of {total} bytes of outputs, the limit is {OUTPUT_MAX_BYTES}")
        return found

    def _fetch(self, k: int, shape: tuple[int, ...], dtype: str, out: str, folder: Path) -> Array:
        place, path = f"{out}/out_{k}.npy", folder / f"out_{k}.npy"
        data_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        self.device.get(place, path, data_bytes, data_bytes + HEADER_MAX_BYTES)
        try:
            array = load_npy(path, f"{self.device.name}: out_{k}.npy")
        except DataError as err:
            raise TransportError(err.what, try_=how_to_make(self.runtime.target)) from err
        if array.shape != shape or str(array.dtype) != dtype:
            raise TransportError(
                f"{self.device.name}: out_{k}.npy holds {array.dtype}{list(array.shape)}, and should hold "
                f"{dtype}{list(shape)}, as dump said",
                try_=how_to_make(self.runtime.target),
            )
        return array


def elf_machine(path: Path) -> str:
    """The machine that an ELF file is for, as runtime.json spells it; empty for what is no ELF file, such as a
    script.
    """
    with path.open("rb") as stream:
        head = stream.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    number = int.from_bytes(head[18:20], "little")
    return machine_name(number)


def fits(model: nb.Model, path: Path, runtime: RuntimeFolder) -> list[str]:
    """What is odd about a file and the runtime library that is to run it, in words.

    Raises:
        NbError: they cannot work together.
    """
    if runtime.library is None:
        return [f"{runtime.folder} names no Paddle Lite library, so whether it fits {path.name} is not known"]
    judged = match(model, read_library(runtime.folder / runtime.library.file))
    if judged.verdict == "refuse":
        reason = next(item.text for item in judged.reasons if item.level == "refuse")
        raise NbError(
            f"{path}: does not fit {runtime.library.file}: {reason}",
            try_=f"edgeflow match {path} {runtime.folder / runtime.library.file}; {how_to_make(runtime.target)}",
        )
    return [item.text for item in judged.reasons]


def named(address: str, facts: Facts) -> str:
    """A device in words: its address, and what it is."""
    parts = [facts.model or facts.chip, facts.os, f"governor {facts.governor}" if facts.governor else ""]
    if facts.state.temperature_c is not None:
        parts.append(f"{facts.state.temperature_c:.0f} degrees C")
    return f"{address} ({', '.join(part for part in (*parts, facts.machine) if part)})"

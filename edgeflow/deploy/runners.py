"""What executes a .nb, by the word after --on: the emulator, Paddle Lite on the host, qemu-user, or a device."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeflow.core.context import pairs, parsed, spelled, told, validate_context
from edgeflow.core.errors import DataError, EdgeflowError, NotTrusted, TargetError
from edgeflow.core.latency import summary
from edgeflow.core.samples import Array
from edgeflow.core.targets import load_target
from edgeflow.deploy.device_facts import Facts
from edgeflow.deploy.qemu import QEMU
from edgeflow.deploy.remote import Remote, RunOptions
from edgeflow.deploy.residency import Evidence, Residency, residency
from edgeflow.deploy.runtime import RUNTIME, RuntimeFolder, load_runtime
from edgeflow.emulate import Emulator
from edgeflow.files.atomic import sha256
from edgeflow.nb.partition import placement
from edgeflow.project.contract import RuntimeContract, load_contract
from edgeflow.project.manifest import load_manifest
from edgeflow.project.places import CONTRACT, MANIFEST
from edgeflow.project.trust import is_unchanged

CONTROL_WARM_UP, CONTROL_REPEATS = 3, 20


def is_device(on: str) -> bool:
    """`on` names a device, not something on this machine."""
    return on.startswith(("ssh:", "adb:"))


def runs_programs(on: str) -> bool:
    """What executes a file are programs of a runtime folder: on a device, or under qemu here."""
    return is_device(on) or on == QEMU


@dataclass(frozen=True, slots=True)
class Where:
    """What executes a .nb, and how.

    `on`: `emulator`, `paddle-lite`, `qemu`, ssh://user@host[:port][/folder] or adb:SERIAL[/folder]. `runtime`: the
    folder of programs for a device or qemu; None looks for build/device/<target>. `trust`: take programs that nobody
    built here too, from a folder beside the file, and for qemu from a given one. `batch`: samples a run on a device or
    under qemu, where the file leaves it open; None runs what is fed at once. `say` is told of progress. `ideal`: the
    emulator computes what ops mean, not what kernels do. `settings`: what NNAdapter is told; None takes what the
    contract beside the file says, else its target's profile. `context`: KEY=VALUE that it is told besides.
    """

    on: str = "emulator"
    runtime: Path | None = None
    limit_s: float = 300.0
    trust: bool = False
    power_mode: str = ""
    batch: int | None = None
    say: Callable[[str], None] | None = None
    ideal: bool = False
    settings: RuntimeContract | None = None
    context: tuple[str, ...] = ()


HERE = Where()


def open_runner(model: Path, where: Where = HERE, npu: str = "float32") -> AbstractContextManager[Any]:
    """Give a runner for a `with` block; see verify.judge.Runner.

    Args:
        npu: arithmetic of NNAdapter subgraphs in the emulator.

    Raises:
        DataError: there is no runtime folder, it is not whole, or nothing says that its programs may run here.
        BackendMissing: qemu-user, or a C library for it, is not installed.
        NbError: the file does not fit what is to run it.
        TransportError: the device cannot be reached.
    """
    if where.on == "paddle-lite":
        from edgeflow.deploy.paddle_lite import PaddleLite

        return PaddleLite(model)
    if not runs_programs(where.on):
        return Emulator(model, npu=npu, ideal=where.ideal)
    folder = programs_to_run(model, where)
    settings = where.settings or npu_settings(model, folder.target, where.context)
    options = RunOptions(1, where.power_mode, settings, where.limit_s, where.batch)
    return Remote(where.on, model, folder, options, say=where.say)


def programs_to_run(model: Path, where: Where) -> RuntimeFolder:
    """The programs for a model where a device or qemu is to run them; under qemu only what was made here.

    Raises:
        DataError: there are none, or nothing says that they may run here.
    """
    folder = find_runtime(model, where.runtime, trust=where.trust)
    if where.on == QEMU and not where.trust and not is_unchanged(folder.folder):
        raise DataError(
            f"{folder.folder}: its programs were not made here, and would run as you on this machine",
            try_=f"--trust, where you know who made them; or edgeflow cross-compile {folder.target} --paddle-lite DIR",
        )
    return folder


def find_runtime(model: Path, given: Path | None = None, *, trust: bool = False) -> RuntimeFolder:
    """The programs for a model's device: the folder given, or build/device/<target> here or beside the model's build.

    What is found, not given, must have been compiled here: these programs run as the user on the user's device.

    Raises:
        DataError: there is none, or only one from somebody else; says how to make it.
    """
    if given is not None:
        return load_runtime(given)
    target = target_of(model)
    if target is None:
        raise DataError(
            f"{model}: there is no {MANIFEST} beside it to tell its target, and thereby its device's programs",
            try_="--runtime DIR, the folder that edgeflow cross-compile TARGET made",
        )
    places = [Path("build") / "device" / target]
    places += [
        parent / below / target for parent in model.resolve().parents[1:4] for below in ("device", "build/device")
    ]
    found = [place for place in places if (place / RUNTIME).is_file()]
    for place in found:
        if trust or is_unchanged(place):
            return load_runtime(place)
    if found:
        raise NotTrusted(
            f"{found[0]}: its programs were not made here, and would run as you on the device",
            try_=f"edgeflow cross-compile {target} --paddle-lite DIR; or --runtime {shlex.quote(str(found[0]))}, or "
            "--trust, where you know who made them",
        )
    raise DataError(
        f"{places[0]}: is missing, and should hold the programs that run {model.name} on the device",
        try_=f"edgeflow cross-compile {target} --paddle-lite DIR, or --runtime DIR",
    )


def target_of(model: Path) -> str | None:
    """The target's name from the manifest beside a model; None where there is no word of it."""
    try:
        target = load_manifest(model.parent / MANIFEST).get("target")
    except EdgeflowError:
        return None
    return (
        target
        if isinstance(target, str) and target.replace("-", "").replace("_", "").replace(".", "").isalnum()
        else None
    )


def npu_settings(model: Path, runtime_target: str, context: Sequence[str] = ()) -> RuntimeContract:
    """What NNAdapter is told: the contract's words where it is this model's, else the target profile's.

    With the programs of another NPU target it is that one's device: a .nb names none.

    Args:
        runtime_target: whose programs run the file.
        context: KEY=VALUE, which count more.

    Raises:
        DataError: they are no properties that the target's driver knows.
    """
    found = _own_settings(model, runtime_target)
    if not context:
        return found
    given = pairs(context, DataError)
    with contextlib.suppress(TargetError):  # a profile of the user's own may not be at hand
        told_to = load_target(runtime_target) if _other_device(model, runtime_target) else None
        told_to = told_to or load_target(target_of(model) or runtime_target)
        validate_context(told_to, given, "--context", DataError)
    return replace(found, context=spelled(dict(sorted({**parsed(found.context), **given}.items()))))


def _other_device(model: Path, runtime_target: str) -> bool:
    """The programs are those of another NPU target than the file's."""
    if (own := target_of(model)) in (None, runtime_target):
        return False
    try:
        return bool(load_target(runtime_target).runtime.devices) and load_target(str(own)).uses_npu
    except TargetError:
        return False  # a profile of the user's own, which may not be at hand


def _own_settings(model: Path, runtime_target: str) -> RuntimeContract:
    beside = model.parent / CONTRACT
    other = _other_device(model, runtime_target)
    if beside.is_file() and not other:
        contract = load_contract(beside)
        if contract.model.file == model.name and contract.model.sha256 == sha256(model):
            return contract.runtime
    try:
        profile = load_target(runtime_target if other else target_of(model) or runtime_target)
    except TargetError:
        return RuntimeContract()
    return RuntimeContract(profile.runtime.devices, spelled(told(profile, {})), profile.runtime.libraries)


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What a device said of itself, what its library lacks, and where the ops of a file with NPU subgraphs ran."""

    facts: Facts | None
    library_notes: tuple[str, ...]
    residency: Residency | None


def device_report(runner: Remote, times_ms: tuple[float, float] | None = None) -> OnDevice:
    """What a report says of the device after a run.

    Args:
        times_ms: see control_run.
    """
    npu_ms, cpu_ms = times_ms or (None, None)
    return OnDevice(runner.facts, tuple(runner.notes), where_it_ran(runner, npu_ms=npu_ms, cpu_ms=cpu_ms))


def control_run(runner: Remote, control: Remote, inputs: Mapping[str, Array]) -> tuple[float, float]:
    """Medians of an NPU file and of a CPU-only one of the same model, on the same device, for one batch of the inputs.

    Raises:
        DataError: the control has NPU subgraphs itself, or other inputs.
    """
    if placement(control.model).subgraphs:
        raise DataError(
            f"{control.path}: has NPU subgraphs, and a control should run on the CPU alone",
            try_="a build of the same recipe with --target arm64, or android-arm64",
        )
    if {spec.name for spec in control.inputs} != set(inputs):
        raise DataError(
            f"{control.path}: its inputs are {', '.join(spec.name for spec in control.inputs)}, and should be "
            f"{', '.join(inputs)}",
            try_="a build of the same recipe with --target arm64, or android-arm64",
        )
    medians = []
    for one in (runner, control):
        feed = {spec.name: inputs[spec.name][: max(spec.shape[0] if spec.shape else 1, 1)] for spec in one.inputs}
        medians.append(summary(one.time(feed, warm_up=CONTROL_WARM_UP, repeats=CONTROL_REPEATS).times_ms).p50_ms)
    return medians[0], medians[1]


def where_it_ran(runner: Remote, *, npu_ms: float | None = None, cpu_ms: float | None = None) -> Residency | None:
    """Judge the traces of a runner's last run; None for a file that is all for the CPU."""
    placed = placement(runner.model)
    if not placed.subgraphs:
        return None
    return residency(
        Evidence(
            runner.options.runtime.devices,
            placed.subgraphs,
            len(placed.npu),
            len(placed.ops),
            runner.traces.log,
            runner.traces.cache_files,
            npu_ms,
            cpu_ms,
        )
    )

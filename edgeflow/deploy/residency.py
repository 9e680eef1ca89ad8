"""Where the ops of an NPU file ran: a share that the device itself gives evidence for, or unknown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from edgeflow.deploy.op_times import OpTime, op_times, profile_rows

LOG_MAX = 1 << 20
HOST_DEVICES = frozenset({"builtin_device", "google_xnnpack", "fake_device"})
"""NNAdapter devices that compute on the CPU. Source: Paddle-Lite v2.13-rc
lite/backends/nnadapter/nnadapter/src/driver.
"""
MIXED_DEVICES = frozenset({"android_nnapi"})
"""Devices whose driver may hand ops to the CPU without a word: Android's NNAPI partitions again by itself."""
# Source: Paddle-Lite v2.13-rc lite/kernels/nnadapter/engine.cc; the type is NNAdapterDeviceCode of nnadapter.h.
DEVICE = re.compile(
    r"NNAdapter device (?P<name>[A-Za-z0-9_]{1,64}): vendor=(?P<vendor>.{0,64}?) type=(?P<type>\d{1,3}) version="
)
RAN = re.compile(r"Process cost [0-9.e+]{1,20} us")
CPU, KINDS = "0", {"0": "a CPU", "1": "a GPU", "2": "an accelerator"}
TROUBLE = re.compile(r"No device is found|Failed to run the execution|Build model failed|Failed to create a program")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run on a device left behind, and what its file says.

    `cache_files`: compiled programs that appeared during the run. NNAdapter writes one for a subgraph after its first
    execution on the device (lite/backends/nnadapter/nnadapter/src/runtime/compilation.cc, Execute), where the driver
    supports that.
    `npu_ms` and `cpu_ms`: medians of this file and of a CPU-only control, where both were timed.
    """

    devices: tuple[str, ...]
    subgraphs: int
    ops_in_subgraphs: int
    ops: int
    log: str = ""
    cache_files: tuple[str, ...] = ()
    npu_ms: float | None = None
    cpu_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Residency:
    """How much ran on the NPU: `share` of `of` (time or ops), or None for unknown. `evidence` are its grounds, in
    words. `times`: what the log says of single ops.
    """

    share: float | None
    of: Literal["time", "ops", ""]
    evidence: tuple[str, ...]
    times: tuple[OpTime, ...] = ()

    @property
    def verdict(self) -> str:
        """The finding in a few words."""
        return "unknown" if self.share is None else f"{100 * self.share:.1f} % of {self.of}"

    def __str__(self) -> str:
        return f"on the NPU: {self.verdict} ({'; '.join(self.evidence)})"

    def as_table(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {**asdict(self), "verdict": self.verdict}


def residency(found: Evidence) -> Residency:
    """Judge evidence. Without any that shows execution on the device, the answer is unknown, never a guess."""
    return replace(_judged(found), times=op_times(found.log[-LOG_MAX:], found.subgraphs))


def _judged(found: Evidence) -> Residency:
    if found.subgraphs == 0:
        return Residency(0.0, "ops", ("the file has no NPU subgraph: opt put every op on the CPU",))
    log = found.log[:LOG_MAX]
    words = _said(log)
    if trouble := TROUBLE.search(log):
        return Residency(None, "", (f"the runtime complained: {trouble[0]}", *words))
    devices = {match["name"]: match["type"] for match in DEVICE.finditer(log)}
    named = set(devices) or set(found.devices)
    if named and (named <= HOST_DEVICES or (devices and set(devices.values()) == {CPU})):
        return Residency(
            0.0, "ops", (f"subgraphs were given to {', '.join(sorted(named))}, which computes on the CPU", *words)
        )
    words = (*words, *_control(found))
    mixed = sorted((named | set(found.devices)) & (MIXED_DEVICES | HOST_DEVICES))
    if mixed:
        return Residency(None, "", (f"{', '.join(mixed)} may hand ops to the CPU without saying so", *words))
    if (timed := _profile(log)) is not None:
        return Residency(timed, "time", ("the runtime's own profile, by kernel", *words))
    if len(found.cache_files) >= found.subgraphs and found.ops:
        text = (
            f"{len(found.cache_files)} compiled programs appeared for {found.subgraphs} subgraphs, "
            "which NNAdapter writes after a first execution on the device"
        )
        return Residency(found.ops_in_subgraphs / found.ops, "ops", (text, *words))
    runs = len(RAN.findall(log))
    if devices and runs >= found.subgraphs and found.ops:
        text = f"{runs} executions on {', '.join(sorted(devices))} in the log, for {found.subgraphs} subgraphs"
        return Residency(found.ops_in_subgraphs / found.ops, "ops", (text, *words))
    short = (
        (f"{len(found.cache_files)} compiled programs appeared for {found.subgraphs} subgraphs",)
        if found.cache_files
        else ()
    )
    return Residency(None, "", (*short, *words, "nothing else showed where the ops ran"))


def _said(log: str) -> tuple[str, ...]:
    seen = {
        f"the runtime named {m['name']} of {_clean(m['vendor'])}, {KINDS.get(m['type'], 'type ' + m['type'])}"
        for m in DEVICE.finditer(log)
    }
    return tuple(sorted(seen))


def _control(found: Evidence) -> Sequence[str]:
    """Time alone proves nothing about where ops ran, and is told beside the rest."""
    if found.npu_ms is None or found.cpu_ms is None:
        return ()
    return (f"the CPU-only control took {found.cpu_ms:.3g} ms, this file {found.npu_ms:.3g} ms",)


def _profile(log: str) -> float | None:
    """The NPU's share of the time in the last profile that was printed; None where there is none that adds up."""
    shares: dict[str, float] = {}
    for row in profile_rows(log):
        shares[row.where] = shares.get(row.where, 0.0) + row.share
    total = sum(shares.values())
    return shares.get("nnadapter", 0.0) / total if 0.95 <= total <= 1.05 else None


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text).strip() or "an unnamed vendor"

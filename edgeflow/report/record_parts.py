"""The parts of a record: what each measurement of a verification found; docs/report.md explains every key."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from edgeflow.core.drift import LIMITS, Limit
from edgeflow.report.values import count

Range = tuple[float, float]
SHA256 = {"pattern": "^[0-9a-f]{64}$"}
PICTURE = {"pattern": "^data:image/(png|jpeg);base64,[A-Za-z0-9+/]+=*$"}


@dataclass(frozen=True, slots=True)
class OutputPart:
    """Distance of one part of an output that joins values of different scale, such as boxes beside scores."""

    where: str | None = None
    sqnr_db: float | None = None
    cosine: float | None = None
    max_abs: float | None = None


@dataclass(frozen=True, slots=True)
class BoxFigures:
    """Boxes of the candidate against the reference's; see core.box_drift.BoxDrift."""

    reference: int | None = None
    candidate: int | None = None
    at: tuple[float, ...] = ()
    found: int | None = None
    missed: int | None = None
    extra: int | None = None
    corner_error: float | None = None
    corner_error_max: float | None = None
    score_error: float | None = None
    ap: float | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Drift of one output over all samples; see core.drift.Drift. `nan` and `infinite` count values.

    `kind` says what the output is (core/output_kind.py) and `why` how that is known; only the agreement of its kind
    is measured.
    """

    index: int | None = None
    name: str | None = None
    kind: str | None = None
    why: str | None = None
    max_abs: float | None = None
    mean_abs: float | None = None
    cosine: float | None = None
    sqnr_db: float | None = None
    psnr_db: float | None = None
    kl: float | None = None
    top1_agreement: float | None = None
    text_agreement: float | None = None
    map_iou: float | None = None
    box_agreement: float | None = None
    neighbour_agreement: float | None = None
    id_agreement: float | None = None
    landmark_error: float | None = None
    nan: int | None = None
    infinite: int | None = None
    first_sample: int | None = None
    parts: tuple[OutputPart, ...] = ()
    boxes: BoxFigures | None = None

    @property
    def agreement(self) -> tuple[Limit | None, float | None]:
        """The figure of this output's kind, as the limit that bounds it and its value; None where it has none."""
        for limit in LIMITS:
            if not limit.of_distance and getattr(self, limit.drift) is not None:
                return limit, getattr(self, limit.drift)
        return None, None

    @property
    def is_not_a_number(self) -> bool:
        """NaN is among the values."""
        return any(value is not None and math.isnan(value) for value in (self.max_abs, self.cosine))


@dataclass(frozen=True, slots=True)
class ClassFigure:
    """The metric of one class, landmark or kind of entity alone; `count` of them are in the labels."""

    name: str | None = None
    count: int | None = None
    reference: float | None = None
    candidate: float | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """From one stage to the next: whether it was compared, what lies between them and what it costs the metric."""

    available: bool
    hop: str | None = None
    from_: str | None = field(default=None, metadata={"key": "from"})
    to: str | None = None
    why_missing: str | None = None
    runner: str | None = None
    sqnr_db: float | None = None
    max_abs: float | None = None
    cosine: float | None = None
    agreement: float | None = None
    metric: float | None = None
    metric_loss: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Distance:
    """How far one op's result is from the reference's."""

    sqnr_db: float | None = None
    cosine: float | None = None
    max_abs: float | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One op of the file: `entire` with the error that has gathered up to it, `single` with its own alone."""

    op: int
    op_type: str | None = None
    name: str | None = None
    output: str | None = None
    place: str | None = None
    subgraph: int | None = None
    kernel: str | None = None
    sources: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    entire: Distance | None = None
    single: Distance | None = None
    saturation: float | None = None
    range: Range | None = None
    scale: float | None = None
    scale_range: Range | None = None
    nan: int | None = None
    inf: int | None = None
    reason: str | None = None
    why: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceLayer:
    """One op on a device against the emulator: `error` of its own, as a share of its largest value, given the inputs
    that it had there (`alone`; else of the whole run); `entire` with what came before. `ties`: it differs by roundings
    at exactly half a step, which either may round either way; `unsure`: it works only within its graph, and what it
    read differed already.
    """

    op: int
    op_type: str | None = None
    output: str | None = None
    alone: bool | None = None
    error: float | None = None
    entire: float | None = None
    state: Literal["agrees", "ties", "unsure", "differs"] | None = None


@dataclass(frozen=True, slots=True)
class DeviceLook:
    """A device watched op by op: `first` differs, and what was not watched, with the reason."""

    layers: tuple[DeviceLayer, ...] = ()
    first: int | None = None
    not_watched: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What was found, in a line."""
        count = len(self.layers)
        found = next((layer for layer in self.layers if layer.op == self.first and layer.state == "differs"), None)
        if found is not None:
            share = "of its inputs there" if found.alone else "of the whole run"
            return (
                f"op {found.op} ({found.op_type}, {found.output}) is the first of {count} watched whose result on the "
                f"device is not what the emulator makes {share}: {found.error:.2g} of its largest value"
            )
        ties, unsure = (sum(layer.state == state for layer in self.layers) for state in ("ties", "unsure"))
        agree = f"{count - unsure} of {count} ops" if unsure else f"all {count} ops"
        return (
            f"{agree} watched agree with the emulator"
            + (f", {ties} but for rounding ties" if ties else "")
            + (f"; {unsure} cannot be told from what they read" if unsure else "")
        )


@dataclass(frozen=True, slots=True)
class FirstDrift:
    """The op where drift starts, why, and what to do about it."""

    op: int
    name: str | None = None
    reason: str | None = None
    why: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class PlacedOp:
    """Where the file says that one op runs, in which precision, and the ops whose results it takes (`after`)."""

    op: int
    op_type: str | None = None
    place: str | None = None
    subgraph: int | None = None
    name: str | None = None
    precision: str | None = None
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Partition:
    """How the file divides its ops between NPU and CPU. `npu_macs_share`: of the multiply-accumulates, from 0 to 1,
    where shapes are known; `crossings`: tensors that change sides.
    """

    npu_ops: int | None = None
    cpu_ops: int | None = None
    subgraphs: int | None = None
    npu_macs_share: float | None = None
    crossings: int | None = None
    ops: tuple[PlacedOp, ...] = ()


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box to be drawn on a sample's picture; corners as shares of it."""

    side: Literal["reference", "candidate"]
    label: str | None = None
    score: float | None = None
    x1: float = 0.0
    y1: float = 0.0
    x2: float = 0.0
    y2: float = 0.0


@dataclass(frozen=True, slots=True)
class WorstInput:
    """One of the samples on which the two differ most, with a small picture where the input is one.

    `file`: the picture's file. `boxes`: what both find in it.
    """

    sample: int | None = None
    error: float | None = None
    label: int | str | None = None
    reference: str | None = None
    candidate: str | None = None
    picture: str | None = field(default=None, metadata={**PICTURE, "length_max": 2_000_000})
    file: str | None = None
    boxes: tuple[DrawnBox, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, or the sample's number where it has none."""
        return self.file or ("sample –" if self.sample is None else f"sample {self.sample}")


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One finding of lint in the file."""

    code: str | None = None
    severity: Literal["error", "warning", "note", "info"] | None = None
    op: str | None = None
    why: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """One known fault put into a copy, what it cost the metric, and whether the verdict noticed it."""

    fault: str | None = None
    where: str | None = None
    size: str | None = None
    metric_drop: float | None = None
    beyond_budget: bool | None = None
    noticed: bool | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Which injected faults the verdict noticed, and how often it called an unchanged copy worse."""

    budget: float | None = None
    faults: tuple[InjectedFault, ...] = ()
    noticed: int | None = None
    injected: int | None = None
    missed_beyond_budget: int | None = None
    false_alarms: int | None = None
    unchanged_copies: int | None = None
    smallest_noticed: str | None = None

    @property
    def broken(self) -> str | None:
        """What speaks against a pass, as a sentence."""
        missed = sum(bool(fault.beyond_budget) and not fault.noticed for fault in self.faults)
        many = max(self.missed_beyond_budget or 0, missed)
        return f"self-test: {count(many, 'fault')} beyond the budget not noticed" if many else None


@dataclass(frozen=True, slots=True)
class PreprocessingFinding:
    """Whether the inputs are what the build's contract makes of raw data."""

    sha256: str | None = field(default=None, metadata=SHA256)
    verdict: Literal["same", "pre-processing differs", "not checked"] | None = None
    why: str | None = None

    @property
    def broken(self) -> str | None:
        """What speaks against a pass, as a sentence."""
        return f"pre-processing differs: {self.why or ''}" if self.verdict == "pre-processing differs" else None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The .nb that was judged."""

    sha256: str | None = field(default=None, metadata=SHA256)
    bytes: int | None = None
    opt_version: str | None = None
    ops: int | None = None


@dataclass(frozen=True, slots=True)
class PredictedLatency:
    """Milliseconds of one run, predicted from published tables; `error` is relative to `value`."""

    value: float | None = None
    error: float | None = None
    chip: str | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Clocks and heat of a device at one moment."""

    limit_khz: int | None = None
    clock_khz: int | None = None
    temperature_c: float | None = None
    throttled: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device in its own words."""

    machine: str | None = None
    bits: str | None = None
    abis: tuple[str, ...] = ()
    chip: str | None = None
    model: str | None = None
    os: str | None = None
    kernel: str | None = None
    cpus: int | None = None
    governor: str | None = None
    has_armhf: bool | None = None
    free_bytes: int | None = None
    state: DeviceState | None = None


@dataclass(frozen=True, slots=True)
class OpTimeRow:
    """Milliseconds of an op in a run on a device, and its share of the run, by the device's own log."""

    op: str
    where: str = ""
    ms: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class ResidencyFinding:
    """How much ran on the accelerator, `share` of `of`, with the grounds for saying so, and the time of single ops."""

    share: float | None = None
    of: str | None = None
    verdict: str | None = None
    evidence: tuple[str, ...] = ()
    times: tuple[OpTimeRow, ...] = ()

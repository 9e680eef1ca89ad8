"""Stage 4: execute the .nb's own bytes on the host and say how far it is from the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgeflow.core.arrays import Array, load_npz
from edgeflow.core.drift import Drift, broken, measure
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.functions import load_function
from edgeflow.core.metrics import METRICS
from edgeflow.core.samples import LABEL, batches
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator

PROBES = 3
"""Samples on which batches are tried for a file with a fixed batch of one."""

ELEMENTS_A_CALL = 1 << 20
"""Input elements fed at once where the batch is open: large enough for speed, small enough for memory."""


@dataclass(frozen=True, slots=True)
class OutputDrift:
    """Drift of one output, which the reference knows by its position."""

    index: int
    name: str
    drift: Drift


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one comparison showed. `broken` lists the limits that do not hold; none means pass."""

    outputs: tuple[OutputDrift, ...]
    samples: int
    runner: str
    broken: tuple[str, ...]
    metric: str | None = None
    metric_reference: float | None = None
    metric_candidate: float | None = None
    not_checked: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.broken

    def as_table(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        table = asdict(self)
        table["passed"] = self.passed
        return table


@dataclass(frozen=True, slots=True)
class Reference:
    """Inputs, the reference's outputs by position, and labels where there are any."""

    inputs: Mapping[str, Array]
    outputs: tuple[Array, ...]
    labels: Array | None

    @property
    def samples(self) -> int:
        return len(next(iter(self.inputs.values())))


def load_reference(path: Path) -> Reference:
    """Read a reference.npz: `input/<name>`, `output/<k>` and, for metrics, `label`.

    Raises:
        DataError: it cannot be read, misses inputs or outputs, or holds NaN.
    """
    arrays = load_npz(path)
    inputs = {name.removeprefix("input/"): array for name, array in arrays.items() if name.startswith("input/")}
    count = sum(name.startswith("output/") for name in arrays)
    outputs = [arrays.get(f"output/{k}") for k in range(count)]
    if not inputs or not outputs or any(array is None for array in outputs):
        raise DataError(f"{path}: holds {', '.join(sorted(arrays)) or 'nothing'}, and should hold input/<name> and "
                        "output/0, output/1, …", try_="write it with numpy.savez(file, **{'input/x': x, 'output/0': y})")
    found = tuple(array for array in outputs if array is not None)
    lengths = {len(array) if array.ndim else 0 for array in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError(f"{path}: its inputs hold {sorted(lengths)} samples, and should hold one number above 0")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise DataError(f"{path}: {name} is of dtype {array.dtype}, and should hold numbers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"{path}: {name} holds NaN or infinity, with which nothing can be compared")
    return Reference(inputs, found, arrays.get(LABEL))


class Runner(Protocol):
    """One loaded model, whatever runs it. Inputs and outputs are keyed by tensor name."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: every input by name, every output by name."""


def verify(
    model: Path, reference: Reference, settings: VerifySettings, *, on: str = "emulator", npu: str = "float32",
    folder: Path | None = None, not_checked: Sequence[str] = (), runner: Runner | None = None,
) -> Verdict:
    """Run the .nb on the reference's inputs and judge it.

    Args:
        on: `emulator`, or `paddle-lite` for its real x86 runtime.
        npu: arithmetic of NNAdapter subgraphs, from the target.
        folder: where a metric named `file.py:function` is looked for.
        runner: what runs it instead of `on`, such as a device.

    Raises:
        NbError, UnsupportedOps: the file cannot be run here.
        DataError: the reference belongs to another model.
    """
    notes = list(not_checked)
    if runner is not None:
        outputs = outputs_of(runner, reference)
        return judge(reference, outputs, runner.outputs, settings, runner.name, folder=folder, not_checked=notes)
    if on == "paddle-lite":
        from edgeflow.backends.paddle_lite import PaddleLite

        with PaddleLite(model) as real:
            outputs = outputs_of(real, reference)
            return judge(reference, outputs, real.outputs, settings, real.name, folder=folder, not_checked=notes)
    with Emulator(model, npu=npu) as emulator:
        outputs = outputs_of(emulator, reference)
        if any(op.type == "subgraph" for op in emulator.model.blocks[0].operations):
            notes.append(f"NPU subgraphs were computed in {npu} on the host, an approximation: vendors' rounding is not public")
        return judge(reference, outputs, emulator.outputs, settings, emulator.name, folder=folder, not_checked=notes)


def outputs_of(runner: Runner, reference: Reference) -> list[Array]:
    """What a runner makes of the reference's inputs, all samples together, by position.

    Raises:
        DataError: the reference's inputs or outputs are not this model's.
    """
    if len(reference.outputs) != len(runner.outputs):
        raise DataError(f"the model has {len(runner.outputs)} outputs, the reference {len(reference.outputs)}: "
                        "it belongs to another model")
    wanted = {spec.name for spec in runner.inputs}
    if wanted != set(reference.inputs):
        raise DataError(f"the model's inputs are {', '.join(sorted(wanted))}, the reference's "
                        f"{', '.join(sorted(reference.inputs))}: it belongs to another model")
    per_sample = sum(int(np.prod(array.shape[1:])) for array in reference.inputs.values())
    most = max(ELEMENTS_A_CALL // max(per_sample, 1), 1)
    free = getattr(runner, "takes_samples", False) or (isinstance(runner, Emulator) and takes_batches(runner, reference))
    return _joined(runner, batches(dict(reference.inputs), runner.inputs, most, free=free))


def takes_batches(runner: Runner, reference: Reference) -> bool:
    """A file made for one sample a run gives the same for several at once: tried on the first few, not assumed."""
    one_by_one = batches({name: array[:PROBES] for name, array in reference.inputs.items()}, runner.inputs, 1)
    if len(one_by_one) < PROBES or any(spec.shape[:1] != (1,) for spec in runner.inputs):
        return False
    try:
        together = _joined(runner, [{name: array[:PROBES] for name, array in reference.inputs.items()}])
    except EdgeflowError:
        return False  # the graph has the batch written into it
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6)
               for a, b in zip(together, _joined(runner, one_by_one), strict=True))


def _joined(runner: Runner, feeds: Sequence[Mapping[str, Array]]) -> list[Array]:
    parts = [runner.infer(feed) for feed in feeds]
    # By name: a file may fetch one variable twice.
    return [np.concatenate([part[name] for part in parts]) if parts[0][name].ndim else parts[0][name]
            for name in runner.outputs]


def judge(
    reference: Reference, outputs: Sequence[Array], names: Sequence[str], settings: VerifySettings, runner: str, *,
    folder: Path | None = None, not_checked: Sequence[str] = (),
) -> Verdict:
    """Compare outputs with the reference's; what produced them does not matter here."""
    drifts = tuple(OutputDrift(k, name, measure(a, b))
                   for k, (name, a, b) in enumerate(zip(names, reference.outputs, outputs, strict=True)))
    notes = list(not_checked)
    before = after = None
    if settings.metric is not None:
        before, after, note = _metric(settings.metric, reference, outputs, folder)
        notes += [note] if note else []
    drop = None if before is None or after is None else before - after
    limits = settings.limits
    if limits == DriftLimits():
        notes.append("no limit was given, so nothing was judged")
    if limits.metric_drop_max is not None and drop is None:
        notes.append("the limit on the metric's drop: there is no metric to measure it with")
    if limits.top1_agreement_min is not None and all(item.drift.top1_agreement is None for item in drifts):
        notes.append("the limit on top-1 agreement: no output looks like scores")
    found: list[str] = []
    for item in drifts:
        prefix = f"output {item.index}: " if len(drifts) > 1 else ""
        found += [prefix + text for text in broken(item.drift, settings.limits, None)]
    found += broken(drifts[0].drift, DriftLimits(metric_drop_max=settings.limits.metric_drop_max), drop)
    return Verdict(drifts, reference.samples, runner, tuple(dict.fromkeys(found)), settings.metric, before, after,
                   tuple(notes))


def _metric(
    name: str, reference: Reference, outputs: Sequence[Array], folder: Path | None
) -> tuple[float | None, float | None, str]:
    if reference.labels is None:
        return None, None, f"metric {name}: the reference has no labels"
    if name in METRICS:
        metric = METRICS[name]
    elif folder is not None and (folder / name.partition(":")[0]).is_file():
        metric = load_function(name, folder)
    else:
        return None, None, f"metric {name}: its Python file is not here; verify in the recipe's folder to include it"
    try:
        return float(metric(reference.outputs, reference.labels)), float(metric(outputs, reference.labels)), ""
    except DataError:
        raise
    except (Exception, SystemExit) as err:
        raise DataError(f"metric {name}: failed ({type(err).__name__}: {err}), and should return one number",
                        try_="call it by hand with the reference's outputs and labels") from err

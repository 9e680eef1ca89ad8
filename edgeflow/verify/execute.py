"""What executes a .nb on the reference's inputs, and what it gives: the outputs that are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.progress import counted
from edgeflow.core.ragged import filled
from edgeflow.core.samples import Array, batches, joined
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.emulate.examined import Examined
from edgeflow.emulate.held import unheld
from edgeflow.project.reference import Reference

HOST_ONLY = "the device itself: nothing ran on it"
EMULATED_ONLY = "the device itself: its programs and Paddle Lite's own kernels ran under qemu-user on this machine"
PROBES = 3
"""Samples on which batches are tried for a file with a fixed batch of one."""

ELEMENTS_A_CALL = 1 << 20
"""Input elements fed at once where the batch is open: large enough for speed, small enough for memory."""


LARGE = 1 << 18
"""Input elements, of all samples, from which the emulator gives memory back after each call: as fast by then, and the
detector of PP-OCRv4 at 960x960 takes 0.6 GB instead of 1.0.
"""


class Runner(Protocol):
    """One loaded model, whatever runs it. Inputs and outputs are keyed by tensor name."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: every input by name, every output by name."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a runner made of the reference's inputs, all samples together; `names` are those of the outputs.

    `undecided`: why what it made says nothing of the device, as sentences. `decided`: outputs for the first samples
    with rounding ties as they fell in the compressed program (verify/decided.py), where those are known.
    """

    outputs: tuple[Array, ...]
    names: tuple[str, ...]
    runner: str
    not_checked: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    decided: tuple[Array, ...] = ()


def run_with(runner: Runner, reference: Reference, not_checked: Sequence[str] = ()) -> Ran:
    """Run whatever a runner holds on the reference's inputs.

    Raises:
        DataError: the reference belongs to another model.
    """
    return Ran(tuple(outputs_of(runner, reference)), tuple(runner.outputs), runner.name, tuple(not_checked))


def run_here(file: Examined, reference: Reference, npu: str = "float32", on: str = "emulator") -> Ran:
    """Execute a .nb on this machine.

    Args:
        npu: arithmetic of NNAdapter subgraphs, from the target.
        on: `emulator`, or `paddle-lite` for its real x86 runtime.

    Raises:
        NbError, UnsupportedOps: the file cannot be run here.
        DataError: the reference belongs to another model.
    """
    if on == "paddle-lite":
        from edgeflow.deploy.paddle_lite import PaddleLite

        with PaddleLite(file.path, file.model) as real:
            return run_with(real, reference, (HOST_ONLY,))
    notes = [HOST_ONLY]
    if file.placement.subgraphs:
        notes.append(
            "NPU subgraphs were computed on the host as NNAdapter's builtin_device computes them: no vendor's does"
            if npu == "int8"
            else f"NPU subgraphs were computed in {npu} on the host, an approximation: vendors' rounding is not public"
        )
    fed = sum(array.size for array in reference.inputs.values())
    with Emulator(file.model, npu=npu, arena=fed <= LARGE) as emulator:
        ran = run_with(emulator, reference, notes)
    if loose := unheld(file.model, file.shapes_for(reference.inputs)):
        why = f"half precision arithmetic that is not held to recorded outputs of the ARM kernels: {', '.join(loose)}"
        return replace(ran, undecided=(why,))
    return ran


def outputs_of(runner: Runner, reference: Reference) -> list[Array]:
    """What a runner makes of the reference's inputs, all samples together, by position.

    Raises:
        DataError: the reference's inputs or outputs are not this model's.
    """
    if len(reference.outputs) != len(runner.outputs):
        raise DataError(
            f"the model has {len(runner.outputs)} outputs, the reference {len(reference.outputs)}: "
            "it belongs to another model"
        )
    wanted = {spec.name for spec in runner.inputs}
    if wanted != set(reference.inputs):
        raise DataError(
            f"the model's inputs are {', '.join(sorted(wanted))}, the reference's "
            f"{', '.join(sorted(reference.inputs))}: it belongs to another model"
        )
    per_sample = sum(int(np.prod(array.shape[1:])) for array in reference.inputs.values())
    most = max(ELEMENTS_A_CALL // max(per_sample, 1), 1)
    free = getattr(runner, "takes_samples", False) or (
        isinstance(runner, Emulator) and takes_batches(runner, reference)
    )
    found = _joined(runner, batches(dict(reference.inputs), runner.inputs, most, free=free))
    if not reference.ragged:
        return found
    return [filled(array, wanted.shape) for array, wanted in zip(found, reference.outputs, strict=True)]


def takes_batches(runner: Runner, reference: Reference) -> bool:
    """A file made for one sample a run gives the same for several at once: tried on the first few, not assumed."""
    if any(spec.shape[:1] != (1,) for spec in runner.inputs) or reference.ragged:
        return False
    one_by_one = batches({name: array[:PROBES] for name, array in reference.inputs.items()}, runner.inputs, 1)
    if len(one_by_one) < PROBES:
        return False
    try:
        together = _joined(runner, [{name: array[:PROBES] for name, array in reference.inputs.items()}])
    except EdgeflowError:
        return False  # the graph has the batch written into it
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(together, _joined(runner, one_by_one), strict=True)
    )


def _joined(runner: Runner, feeds: Sequence[Mapping[str, Array]]) -> list[Array]:
    found = joined(
        [runner.infer(feed) for feed in counted(feeds, "batches")], [len(next(iter(feed.values()))) for feed in feeds]
    )
    return [found[name] for name in runner.outputs]  # by name: a file may fetch one variable twice

"""Whether a device's answers differ from the emulator's by rounding ties only, as a sentence for the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeflow import nb
from edgeflow.core.samples import Array, batches
from edgeflow.emulate.ties import EXACT, Ties, explains, quantises, share_apart, ties
from edgeflow.nb.partition import placement
from edgeflow.project.reference import Reference

NONE = Ties(0, 0, ())
MOST_RUNS = 4
"""Runs that are looked at, those that differ most: each is emulated four times."""


def ties_sentence(
    model: Path, reference: Reference, emulated: Sequence[Array], device: Sequence[Array], npu: str
) -> str | None:
    """What rounding ties have to do with the difference of a device and the emulator, on the reference's inputs.

    Args:
        emulated, device: outputs, all samples together.

    Returns:
        None where nothing differs beyond rounding of float32, or ties cannot be asked: a file without int8 ops for the
        CPU or with NPU subgraphs, and outputs that are not made sample by sample.
    """
    file = nb.read(model)
    if not quantises(file) or placement(file).subgraphs:
        return None
    if any(len(array) != reference.samples for array in (*emulated, *device) if array.shape) or not all(
        array.shape for array in (*emulated, *device)
    ):
        return None
    feeds = batches(dict(reference.inputs), file.input_specs, 1)
    size = reference.samples // len(feeds)

    def own(arrays: Sequence[Array], k: int) -> list[Array]:
        return [array[k * size : (k + 1) * size] for array in arrays]

    differing = [k for k in range(len(feeds)) if not explains(NONE, own(emulated, k), own(device, k))]
    if not differing:
        return None
    differing.sort(key=lambda k: (-_apart(own(emulated, k), own(device, k)), k))
    many = f"{len(differing)} of {len(feeds)} runs differ by more than {EXACT:g} of the largest value"
    for k in differing[:MOST_RUNS]:
        found = ties(file, feeds[k], npu=npu)
        if not explains(found, own(emulated, k), own(device, k)):
            return (
                f"the device computes otherwise than the emulator: {many}, and rounding ties cannot explain run {k} "
                f"({found.count} of {found.elements} elements are at one)"
            )
    looked = "all of them" if len(differing) <= MOST_RUNS else f"the {MOST_RUNS} that differ most"
    return f"the device differs from the emulator by rounding ties only: {many}, and ties explain {looked}"


def _apart(emulated: Sequence[Array], device: Sequence[Array]) -> float:
    """Largest difference as a share of the largest value, of all outputs."""
    return max((share_apart(a, b) for a, b in zip(emulated, device, strict=True)), default=0.0)

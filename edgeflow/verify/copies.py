"""Samples that are copies of others count once: ten pictures forty times over are ten samples."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.project.reference import Reference
from edgeflow.verify.execute import Ran


def first_of_each(reference: Reference) -> Array | None:
    """Positions of the samples that are no copies of an earlier one; None where none is, or samples cannot be told
    apart.

    A copy has the same inputs, outputs and label, bit for bit.
    """
    count = reference.samples
    labels = () if reference.labels is None else (reference.labels,)
    if any(array.ndim == 0 or len(array) != count for array in (*reference.outputs, *labels)):
        return None
    given = list(reference.inputs.values())
    answers = [_key([*reference.outputs, *labels], k) for k in range(count)]
    often = Counter(answers)  # inputs are large: only those whose answers are the same are looked at
    keys = [key + _key(given, k) if often[key] > 1 else key for k, key in enumerate(answers)]
    seen = dict(reversed([(key, k) for k, key in enumerate(keys)]))
    return None if len(seen) == count else np.asarray(sorted(seen.values()))


def _key(arrays: list[Array], sample: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array[sample]).data)
    return digest.digest()


def only(kept: Array, reference: Reference, ran: Ran) -> tuple[Reference, Ran] | None:
    """Some samples of a reference and of what was run; None where these are not one a sample."""
    if any(array.ndim == 0 or len(array) != reference.samples for array in ran.outputs):
        return None
    part = Reference(
        {name: array[kept] for name, array in reference.inputs.items()},
        tuple(array[kept] for array in reference.outputs),
        None if reference.labels is None else reference.labels[kept],
    )
    return part, replace(
        ran, outputs=tuple(array[kept] for array in ran.outputs), decided=tuple(within(kept, a) for a in ran.decided)
    )


def within(kept: Array, array: Array) -> Array:
    """Of an array of the first samples, those that are kept."""
    return array[kept[kept < len(array)]] if array.ndim else array

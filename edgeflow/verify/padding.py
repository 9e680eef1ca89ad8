"""Padding must not change an answer: the same texts at their own length and at the longest, on the file that ships.

Where an input's length is fixed, every text is padded alike, in training, reference and device, and nothing can leak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.core.tokenizer import padded
from edgeflow.deploy.texts import golden_rows, pad_id
from edgeflow.emulate import Emulator
from edgeflow.emulate.runner import Intermediate
from edgeflow.nb.model import Model
from edgeflow.project.contract import Contract, load_contract
from edgeflow.project.places import CONTRACT
from edgeflow.report.record_parts import PreprocessingFinding
from edgeflow.verify.judge import Verdict

TEXTS = 4
"""So many texts are run at both lengths: of differing lengths, the shortest first."""
SHARE = 1e-3
"""Of an intermediate's largest value: what is more tells that padding has reached it. Sums of another length differ in
their last digits, by 1e-6."""


def with_padding(
    entry: PreprocessingFinding, verdict: Verdict, folder: Path, model: Model, build: tuple[str, Mapping[str, Any]]
) -> tuple[PreprocessingFinding, Verdict]:
    """What a report says of the contract, with whether padding changes an answer; where it does, nothing passes.

    Args:
        build: the arithmetic of NPU subgraphs, and the manifest.
    """
    if entry.verdict == "pre-processing differs" or entry.sha256 is None or not verdict.arrays:
        return entry, verdict
    npu, table = build
    try:
        layers = {int(row["op"]): str(row["sources"][-1]) for row in table["layers"]["ops"] if row["sources"]}
    except (KeyError, TypeError, ValueError, IndexError):
        layers = {}
    leak, proven = padding_leak(folder, load_contract(folder / CONTRACT), model, npu, layers)
    if leak:
        verdict = replace(verdict, broken=(*verdict.broken, leak))
    why = "; ".join(part for part in (entry.why, proven or leak) if part)
    return replace(entry, why=why), verdict


def padding_leak(
    folder: Path, contract: Contract, model: Model, npu: str, layers: Mapping[int, str]
) -> tuple[str, str]:
    """Run golden texts at two lengths.

    Args:
        folder: where the contract and what it names lie.
        npu: arithmetic of NPU subgraphs.
        layers: names of the model's own layers, by the positions of the file's ops.

    Returns:
        What leaks, and what was proven; one of the two is empty, both where there is nothing to try.
    """
    spec, golden = contract.text, contract.golden
    if spec is None or spec.tokenize is None or golden is None or golden.texts is None or spec.shape[1] > 0:
        return "", ""
    rules = spec.tokenize
    rows = golden_rows(folder, golden.texts, rules.max_length - 1, TEXTS)  # room for padding
    if not rows:
        return "", ""
    pad, batch = pad_id(folder, rules), max(1, spec.shape[0])
    with Emulator(model, npu=npu, threads=1) as emulator:
        for row in rows:
            short, long = (
                padded(rules, pad, [row] * batch, spec.name, contract.specs, length) for length in (0, rules.max_length)
            )
            found = zip(emulator.infer(short).items(), emulator.infer(long).values(), strict=True)
            for k, ((_, plain), other) in enumerate(found):
                far = _distance(plain, other)
                if not far <= golden.max_abs:  # NaN on one side is no agreement
                    first = _first_op(emulator, short, long, layers)
                    return (
                        f"padding changes the answer: output {k} by {far:.3g} between {len(row)} and "
                        f"{rules.max_length} tokens of the same text{first}",
                        "",
                    )
    lengths = ", ".join(str(len(row)) for row in rows)
    return "", f"texts of {lengths} tokens are answered alike at their own length and padded to {rules.max_length}"


def _distance(plain: Array, other: Array) -> float:
    """Largest difference of what both have: outputs that have a length are compared where both have it."""
    a, b = _both(plain, other)
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))


def _both(plain: Array, other: Array) -> tuple[Array, Array]:
    if plain.ndim != other.ndim:
        return plain.reshape(-1)[:0], other.reshape(-1)[:0]
    shared = tuple(slice(0, min(sides)) for sides in zip(plain.shape, other.shape, strict=True))
    return plain[shared], other[shared]


def _first_op(
    emulator: Emulator, short: Mapping[str, Array], long: Mapping[str, Array], layers: Mapping[int, str]
) -> str:
    """The first op that gives something else for the text itself where it is padded."""
    for item, other in _pairs(emulator, short, long):
        plain = item.array
        scale = float(np.abs(plain).max(initial=0.0)) or 1.0
        if plain.dtype.kind == "f" and not _distance(plain, other) <= SHARE * scale:
            return f"; {item.op_type} ({layers.get(item.index, item.variable)}) is the first op that it reaches"
    return ""


def _pairs(
    emulator: Emulator, short: Mapping[str, Array], long: Mapping[str, Array]
) -> Iterator[tuple[Intermediate, Array]]:
    others = {(item.index, item.variable): item.array for item in emulator.dump(long)}
    for item in emulator.dump(short):
        other = others.get((item.index, item.variable))
        if other is not None:
            yield item, other

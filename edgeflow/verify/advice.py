"""Advice on the layers of an int8 model, given only where its effect was measured: each is put back in float, alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow.core.errors import EdgeflowError
from edgeflow.core.layer_drift import Sums
from edgeflow.core.samples import Array
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.quantised import keep_float
from edgeflow.graph.quantised import layers as quantised_layers
from edgeflow.report.record_parts import FirstDrift, Layer
from edgeflow.verify.layers import LayerDrift

TRIED = 5
"""The worst layers, of which each is tried; more advice than that nobody follows."""
SAMPLES = 16
GAIN_MIN_DB = 0.5
"""What a layer in float has to bring: less is within what other samples would show."""
FLOAT = "keep_float"
AT_ITS_END = "qat = true under [compress] with [compress.fine_tune] epochs, another algo, or a float target"


def measured(found: LayerDrift, compressed: Path, inputs: Mapping[str, Array]) -> LayerDrift:
    """Keep the advice to leave a layer in float where the outputs gain by it, with the figures; take away the rest.

    Args:
        compressed: of the compress stage: model.pdmodel quantised, float.pdmodel the same before.
        inputs: by name, [samples, ...]; the first few are used, no more than were looked at.
    """
    inputs = {name: array[: found.samples] for name, array in inputs.items()}
    asked = [row for row in _ranked(found) if _is_advice(row)]
    first = found.first_drift
    if not asked and not (first is not None and _is_advice(first)):
        return found
    try:
        gains, whole, together = _gains(_names(asked, first), compressed, inputs)
    except (EdgeflowError, OSError):
        return found  # it cannot be measured here, such as in a program with a loop
    if not gains:
        return found
    count = min(SAMPLES, len(next(iter(inputs.values()))))
    best = sorted(gains, key=lambda name: -gains[name])

    def told(item: Any) -> Any:
        if not _is_advice(item):
            return item
        gain = gains.get(item.name, 0.0)
        if gain < GAIN_MIN_DB:
            return replace(item, fix="")
        said = f"in float it brings the outputs {gain:.1f} dB, from {whole:.1f} dB, on {count} samples"
        return replace(item, why=f"{item.why}; {said}")

    layers = tuple(told(row) for row in found.layers)
    if first is not None and _is_advice(first):
        if any(gain >= GAIN_MIN_DB for gain in gains.values()):
            name = best[0]
            said = f"{name} in float brings the outputs {gains[name]:.1f} dB, from {whole:.1f} dB, on {count} samples"
            first = replace(first, why=f"{first.why}; {said}", fix=f'keep_float = ["{name}"] under [compress]')
        else:
            many = f"the {len(gains)} worst layers" if len(gains) > 1 else "the worst layer"
            said = f"{many} in float bring the outputs {together:.1f} dB, from {whole:.1f} dB: single layers are not it"
            first = replace(first, why=f"{first.why}; {said}", fix=AT_ITS_END)
    return replace(found, layers=layers, first_drift=first)


def _is_advice(item: Layer | FirstDrift) -> bool:
    return (item.fix or "").startswith(FLOAT)


def _ranked(found: LayerDrift) -> list[Layer]:
    by_number = {row.op: row for row in found.layers}
    return [by_number[op] for op in found.ranked if op in by_number]


def _names(asked: Sequence[Layer], first: FirstDrift | None) -> list[str]:
    names = [first.name] if first is not None and _is_advice(first) else []
    return list(dict.fromkeys(str(name) for name in (*names, *(row.name for row in asked)) if name))[:TRIED]


def _gains(
    names: Sequence[str], compressed: Path, inputs: Mapping[str, Array]
) -> tuple[dict[str, float], float, float]:
    """What each layer in float brings, in dB; the SQNR of the whole int8 program; what all of them bring together."""
    from edgeflow.paddle.session import Session

    source = programs.load(compressed / "float.pdmodel")
    floats = parameters.load(source, compressed / "float.pdiparams")
    quantised = programs.load(compressed / "model.pdmodel")
    weights = parameters.load(quantised, compressed / "model.pdiparams")
    known = {layer.name for layer in quantised_layers(Editor(quantised))}
    tried = [name for name in names if name in known]
    feed = {name: inputs[name][:SAMPLES] for name, _, _ in programs.feeds(source)}
    with Session(fast=True) as session:
        wanted = session.run(source, floats, feed, list(dict.fromkeys(programs.fetches(source))))

        def sqnr_db(kept: Sequence[str]) -> float:
            copy = type(quantised).FromString(quantised.SerializeToString())
            editor = Editor(copy, dict(weights))
            keep_float(editor, floats, set(kept))
            editor.commit()
            names_of = list(dict.fromkeys(programs.fetches(copy)))
            got = session.run(copy, editor.parameters or {}, feed, names_of)
            sums = Sums()
            for reference, candidate in zip(wanted.values(), got.values(), strict=True):
                if reference.dtype.kind == "f" and reference.shape == candidate.shape:
                    sums.add(reference, candidate)
            return sums.sqnr_db

        whole = sqnr_db(())
        if not math.isfinite(whole):
            return {}, whole, 0.0
        gains = {name: sqnr_db((name,)) - whole for name in tried}
        return gains, whole, sqnr_db(tried) - whole if len(tried) > 1 else max(gains.values(), default=0.0)

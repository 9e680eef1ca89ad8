"""Channels that eight bits are too few for, found on the calibration samples and scaled where that helps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgeflow.core.errors import EdgeflowError
from edgeflow.core.samples import Array
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.smoothing import Branch, branches, has_norm, rows_first, smooth
from edgeflow.paddle.session import Session, feeds_for

SAMPLES, BATCH = 64, 8
ROWS = 1024
"""Rows of a layer's input that its noise is measured on; the largest of each channel is that of all of them."""
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""How much of a channel's size goes into the weights: all of it with 1. Source: SmoothQuant, section 4, whose default
is 0.5."""
GAIN_MIN_DB = 6.0
"""One bit of the eight; what brings less stays as it was trained."""
LEVELS = 127.0


@dataclass(frozen=True, slots=True)
class Smoothed:
    """What was done for the layers that read one tensor: their weights' names, whether a layer_norm took the factors
    in, the strength, and the signal over the noise that int8 alone makes in them, before and after.
    """

    layers: tuple[str, ...]
    in_norm: bool
    strength: float
    sqnr_db_before: float
    sqnr_db_after: float


@dataclass(slots=True)
class _Seen:
    """A tensor on the samples: the largest of each channel, and some of its rows."""

    largest: Array
    rows: list[Array]


def smoothed(
    prefix: Path, samples: Mapping[str, Array], *, per_channel: bool, arm: bool, way: Literal["auto", "all"]
) -> tuple[Smoothed, ...]:
    """Scale the linear layers of a float program where int8 then makes less noise; writes `prefix` anew.

    Args:
        per_channel: weights have a scale for each output channel.
        arm: a multiplication before a layer is computed in float; on NPUs that compute in int8 it would lose what it
            is there for, so that only layer_norms take factors in.
        way: `auto` scales what gains a bit, `all` what gains anything.
    """
    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    editor = Editor(program, weights)
    found = [branch for branch in branches(editor) if branch.norm or arm] if has_norm(editor) else []
    if not found:
        return ()
    try:
        seen = _seen(prefix, editor, [branch.source for branch in found], samples)
    except EdgeflowError:
        return ()  # quantisation will say why it does not run
    made = []
    for branch in found:
        best = _best(branch, seen[branch.source], rows_first(editor, branch), per_channel=per_channel)
        if best is not None and best[1].sqnr_db_after - best[1].sqnr_db_before >= (GAIN_MIN_DB if way == "auto" else 0):
            smooth(editor, branch, best[0])
            made.append(best[1])
    if editor.commit():
        programs.save(program, prefix.with_suffix(".pdmodel"))
        parameters.save(program, weights, prefix.with_suffix(".pdiparams"))
    return tuple(made)


def _seen(prefix: Path, editor: Editor, names: Sequence[str], samples: Mapping[str, Array]) -> dict[str, _Seen]:
    assert editor.parameters is not None
    read = [name for name, _, _ in programs.feeds(editor.program)]
    feeds = feeds_for(prefix, {name: samples[name][:SAMPLES] for name in read}, BATCH)
    found: dict[str, _Seen] = {}
    with Session() as session:
        for feed in feeds:
            for name, array in session.run(editor.program, editor.parameters, feed, names).items():
                rows = array.reshape(-1, array.shape[-1])
                largest = np.abs(rows).max(axis=0)
                item = found.setdefault(name, _Seen(largest, []))
                item.largest = np.maximum(item.largest, largest)
                item.rows.append(rows[:: max(1, len(rows) * len(feeds) // ROWS)].copy())
    return found


def _best(
    branch: Branch, seen: _Seen, weights: Mapping[str, Array], *, per_channel: bool
) -> tuple[Array, Smoothed] | None:
    """The factors with the least noise among a few strengths; None where nothing can be measured."""
    x, joined = np.concatenate(seen.rows).astype(np.float64), np.concatenate(list(weights.values()), axis=1)
    largest_x, largest_w = seen.largest.astype(np.float64), np.abs(joined).max(axis=1).astype(np.float64)
    whole = [weight.astype(np.float64) for weight in weights.values()]
    if not (np.isfinite(x).all() and np.isfinite(joined).all()):
        return None
    used = (largest_x > 0) & (largest_w > 0)
    if not used.any():
        return None

    def factors(strength: float) -> Array:
        by = np.ones(len(used))
        by[used] = largest_x[used] ** strength / largest_w[used] ** (1 - strength)
        by[used] /= math.exp(float(np.log(by[used]).mean()))
        return by

    def sqnr_db(by: Array) -> float:
        scaled = _rounded(x / by, (largest_x / by).max())
        signal = noise = 0.0
        for weight in whole:
            rows = weight * by[:, None]
            exact = x @ weight
            signal += float(np.square(exact).sum())
            most = np.abs(rows).max(axis=0, keepdims=True) if per_channel else np.abs(rows).max()
            noise += float(np.square(scaled @ _rounded(rows, most) - exact).sum())
        return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else math.inf

    before = sqnr_db(np.ones(len(used)))
    if not math.isfinite(before):
        return None
    tried = {strength: sqnr_db(factors(strength)) for strength in STRENGTHS}
    strength = max(tried, key=lambda key: tried[key])
    item = Smoothed(branch.weights, branch.norm, strength, round(before, 2), round(tried[strength], 2))
    return factors(strength), item


def _rounded(array: Array, most: Any) -> Array:
    """An array in whole steps, 127 of which reach `most`."""
    step = np.where(np.asarray(most) > 0, np.asarray(most) / LEVELS, 1.0)
    return np.asarray(np.clip(np.rint(array / step), -LEVELS, LEVELS) * step)

"""An int8 file against the program it was made from, with rounding ties as they fell there: what differs is no tie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow import nb
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.ragged import is_ragged
from edgeflow.core.samples import Array, batches, joined
from edgeflow.emulate.decisions import Decided, Decisions, own_values, sites
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.layermap import DROPPED
from edgeflow.graph.program import input_of, inputs_of, output_of, outputs_of
from edgeflow.graph.quantised import QUANTIZE
from edgeflow.nb import Model
from edgeflow.nb.dataflow import nodes
from edgeflow.project.places import COMPRESSED
from edgeflow.project.reference import Reference, load_reference
from edgeflow.verify.layers import held_sources

RUNS = 16
ELEMENTS_MAX = 1 << 26
"""Quantised elements that are looked at in all: some ten seconds, whatever the network."""

TIE_STEPS = 2.0**-12
"""How far from half a step an element may lie in the program to fall the other way in the file.

Measured, farthest of all: MobileNetV2 at 64x64 1.5e-5, which is one unit in the last place of 127.5.
"""

ROWS_MAX = 1 << 22
KEYS = ("ties/rows", "ties/shapes", "ties/runs")


@dataclass(frozen=True, slots=True)
class Ties:
    """How ties fell in the first `runs` runs of a reference.

    Attributes:
        rows: int32[n, 5]: the run, the position of the op, the element, int8 values of the file and of the program.
        shapes: of what each op quantises in one run, by its position.
        size: samples in a run.
    """

    rows: Array
    shapes: Mapping[int, tuple[int, ...]]
    runs: int
    size: int


def find_ties(compressed: Path, model: Model, inputs: Mapping[str, Array]) -> Ties | None:
    """Run the compressed program, inside a worker with Paddle, and see which elements fall the other way in the file.

    Args:
        compressed: the compress stage's folder.
        inputs: of the reference.

    Returns:
        None where the ops that quantise cannot all be traced to the program, or samples are of several sizes.
    """
    from edgeflow.paddle.session import Session

    program = programs.load(compressed / "model.pdmodel")
    weights = parameters.load(program, compressed / "model.pdiparams")
    if any(map(is_ragged, inputs.values())):
        return None  # places in tensors are told for one size
    named = _traced(model, programs.load(compressed / "source.pdmodel"), program)
    if named is None:
        return None
    names = list(dict.fromkeys(name for value, rounded, _ in named.values() for name in (value, rounded)))
    scales = {site.place: np.float32(site.scale) for site in sites(model)}
    rows: list[Array] = []
    shapes: dict[int, tuple[int, ...]] = {}
    feeds, at, seen = batches(inputs, model.input_specs, 1), 0, 0
    with Session() as session:
        while at < min(RUNS, len(feeds)) and seen + seen // max(at, 1) <= ELEMENTS_MAX:
            feed = feeds[at]
            known = {**feed, **session.run(program, weights, feed, [name for name in names if name not in feed])}
            given = {
                place: _whole(known[name], scales[place], whole=whole) for place, (_, name, whole) in named.items()
            }
            own = own_values(model, feed, given, threads=1)
            if any(own[place].size != array.size for place, array in given.items()):
                return None
            for place, (value, _, _) in named.items():
                rows.append(_apart(at, place, own[place], given[place], known[value] / scales[place]))
            shapes = {place: own[place].shape for place in named}
            at, seen = at + 1, seen + sum(array.size for array in given.values())
    return Ties(np.concatenate(rows), shapes, at, len(next(iter(feeds[0].values()))))


def _whole(rounded: Array, scale: np.float32, *, whole: bool) -> Array:
    return np.rint(rounded if whole else rounded / scale).astype(np.int8)


def _traced(model: Model, source: Any, program: Any) -> dict[int, tuple[str, str, bool]] | None:
    """For each op that quantises, the program's variables: the value that is rounded, and what it is rounded to, as
    whole numbers or, where two activations are multiplied, in steps.
    """
    rounded = {
        input_of(op, "X"): (output_of(op, "Out"), "dequantize" not in op.type)
        for op in program.blocks[0].ops
        if op.type.startswith(QUANTIZE)
    }
    after: dict[str, list[str]] = {}
    for op in program.blocks[0].ops:
        if op.type in DROPPED:
            for name in inputs_of(op, "X"):
                after.setdefault(name, []).extend(outputs_of(op, "Out"))
    held = held_sources(model, source)
    writes = {node.index: node.writes[0] for node in nodes(model) if node.writes}
    found = {}
    for site in sites(model):
        value = held.get(writes[site.place])
        names = [] if value is None else [name for name in (value, *after.get(value, ())) if name in rounded]
        if not names:
            return None
        found[site.place] = (names[0], *rounded[names[0]])
    return found


def _apart(run: int, place: int, own: Array, given: Array, steps: Array) -> Array:
    """Rows of the elements that differ by a tie; what differs otherwise is none, and gets no row."""
    ours, theirs = own.ravel().astype(np.int32), given.ravel().astype(np.int32)
    where = np.flatnonzero(ours != theirs)
    where = where[np.abs(ours[where] - theirs[where]) == 1]
    middle = (ours[where] + theirs[where]) / 2
    where = where[np.abs(np.clip(steps.ravel()[where].astype(np.float64), -127.5, 127.5) - middle) <= TIE_STEPS]
    columns: list[Array] = [np.full(where.size, run), np.full(where.size, place), where, ours[where], theirs[where]]
    table: Array = np.stack(columns, 1).astype(np.int32)
    return table


def decided_outputs(model: Model, reference: Reference, known: Ties) -> tuple[Array, ...]:
    """Outputs of the first runs by position, all samples together, with ties as they fell in the program.

    Args:
        reference: for its inputs, which may be other ones than those that the ties were found on.

    Raises:
        DataError: the ties are another file's.
        NbError: the file does not run.
    """
    places = {site.place for site in sites(model)}
    if not set(known.shapes) <= places:
        raise DataError("the recorded ties are of another file", try_="run edgeflow build again")
    runner = Decided(model, known.shapes, threads=1)
    feeds = batches(dict(reference.inputs), model.input_specs, known.size)
    found, counts = [], []
    for run, feed in enumerate(feeds[: known.runs]):
        rows = known.rows[known.rows[:, 0] == run]
        outputs = runner.infer(feed, Decisions(rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4]))
        found.append({str(k): array for k, array in enumerate(outputs)})
        counts.append(len(next(iter(feed.values()))))
    return tuple(joined(found, counts).values())


def as_arrays(known: Ties) -> dict[str, Array]:
    """Ties as arrays of an .npz."""
    width = max((len(shape) for shape in known.shapes.values()), default=0)
    table = [[place, len(shape), *shape, *[0] * (width - len(shape))] for place, shape in known.shapes.items()]
    shapes = np.asarray(table, np.int32).reshape(len(table), width + 2)
    return dict(zip(KEYS, (known.rows, shapes, np.asarray([known.runs, known.size], np.int32)), strict=True))


def from_arrays(arrays: Mapping[str, Array], where: str) -> Ties | None:
    """Ties from arrays of a file that may come from anywhere; None where it holds none.

    Raises:
        DataError: they are of no known kind.
    """
    if not any(key in arrays for key in KEYS):
        return None
    rows, table, runs = (arrays.get(key, np.zeros(0)) for key in KEYS)
    if (
        any(array.dtype != np.int32 for array in (rows, table, runs))
        or (rows.ndim, rows.shape[1:]) != (2, (5,))
        or table.ndim != 2
        or table.shape[1] < 2
        or runs.shape != (2,)
        or len(rows) > ROWS_MAX
        or not (0 < runs[0] <= RUNS and runs[1] > 0)
    ):
        raise _unknown(where)
    shapes = {int(row[0]): tuple(int(dim) for dim in row[2 : 2 + max(int(row[1]), 0)]) for row in table}
    sizes = {place: math.prod(shape) for place, shape in shapes.items()}
    if any(min(shape, default=1) < 1 for shape in shapes.values()) or sum(sizes.values()) > ELEMENTS_MAX:
        raise _unknown(where)
    for place in np.unique(rows[:, 1]):
        here = rows[rows[:, 1] == place]
        if int(place) not in sizes or here[:, 2].min() < 0 or here[:, 2].max() >= sizes[int(place)]:
            raise _unknown(where)
    if rows.size and (np.abs(rows[:, 3:]).max() > 127 or np.abs(rows[:, 3] - rows[:, 4]).max() > 1):
        raise _unknown(where)
    return Ties(rows, shapes, int(runs[0]), int(runs[1]))


def _unknown(where: str) -> DataError:
    return DataError(f"{where}: its ties are of no known kind", try_="run edgeflow build again")


def ties_of(compressed: Path, model: Path, reference: Path) -> Ties | None:
    """`find_ties` of a file, inside a worker; None also where the file or the program does not run."""
    try:
        return find_ties(compressed, nb.read(model), load_reference(reference).inputs)
    except EdgeflowError:
        return None


def missing_outputs(model: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
    """What a report says where a manifest names outputs of the quantised program that are gone."""
    if not isinstance(table.get("compressed"), Mapping) or (model.parent / COMPRESSED).is_file():
        return ()
    return (f"the quantised program's own outputs, which an int8 file has to give: {COMPRESSED} is missing",)

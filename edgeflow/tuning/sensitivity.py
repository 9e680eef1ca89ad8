"""edgeflow sensitivity: what each layer of an int8 model costs, calibrated once, and what pruning each layer costs.

The quantised program is made once. For each layer, all the others are put back in float, weights and all, and the
outputs are compared with the float program's: no layer is calibrated again. For pruning, the weakest channels of one
layer are put to zero, with all that follows from them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from edgeflow.compress import prune
from edgeflow.compress.channels import own_channels, prunable
from edgeflow.core.errors import RecipeError
from edgeflow.core.samples import Array
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Precision, Target, load_target
from edgeflow.core.versions import code_version, key_of
from edgeflow.files.arrays import load_npz
from edgeflow.files.atomic import sha256, write_atomic
from edgeflow.files.sealed import sealed, unsealed
from edgeflow.flow.build import Flow
from edgeflow.flow.remote_data import with_data
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.quantised import QuantisedLayer, keep_float, layers
from edgeflow.project.places import CACHE, REFERENCE, build_root
from edgeflow.project.recipe import load_recipe

T = TypeVar("T", "LayerCost", "PruneCost")

SAMPLES = 256
BATCH = 64
RATIOS = (0.25, 0.5, 0.75)
CHUNK = 8
"""Layers a worker measures before the results are written down: what a killed run loses at most."""


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer alone in int8: mean squared error of the outputs over their variance, and the same as SQNR."""

    name: str
    op_type: str
    output: str
    error: float
    sqnr_db: float


@dataclass(frozen=True, slots=True)
class PruneCost:
    """One convolution without a share of its channels; `error` as in LayerCost."""

    name: str
    ratio: float
    channels: int
    error: float
    sqnr_db: float


Say = Callable[[str, str, str], None]


def sensitivity(
    recipe: Path | str, target: str, *, samples: int = SAMPLES, build_dir: Path | None = None, say: Say | None = None
) -> list[LayerCost]:
    """Measure every quantised layer of a recipe's model for a target, the costliest first.

    Args:
        samples: how many of the evaluation inputs the outputs are compared on.

    Raises:
        RecipeError: the target's build is not int8.
        DataError, ModelError, CompressFailed: as a build.
    """
    loaded, profile = load_recipe(Path(recipe)), load_target(target)
    settings = loaded.compress_settings(profile)
    if profile.choose(settings.precision) != "int8":
        raise RecipeError(
            f"target {profile.name!r} builds {profile.choose(settings.precision)}: no layer is quantised",
            try_="--target arm64-int8",
        )
    root = build_root(loaded.path, build_dir)
    loaded = with_data(loaded, root, say)
    with Flow(loaded, root, say or (lambda *_: None), quantisers=os.cpu_count() or 1) as flow:
        flow.begin(profile)
        return layer_costs(flow, profile, settings, samples)


def layer_costs(flow: Flow, profile: Target, settings: CompressSettings, samples: int = SAMPLES) -> list[LayerCost]:
    """The same within a flow; see sensitivity."""
    ingested = flow.ingest(profile, "int8")
    compressed = flow.compress(profile, settings, "int8", ingested)
    found = layers(Editor(programs.load(compressed.folder / "model.pdmodel")))
    reference = ingested.folder / REFERENCE
    work = Work(LayerCost, measure, compressed.folder, reference, samples)
    costs = _measured(flow, profile, work, list(found))
    return sorted(costs, key=lambda item: (-or_inf(item.error), item.name))


def prune_sensitivity(
    recipe: Path | str,
    target: str,
    *,
    ratios: Sequence[float] = RATIOS,
    samples: int = SAMPLES,
    build_dir: Path | None = None,
    say: Say | None = None,
) -> list[PruneCost]:
    """Measure what each convolution's outputs lose without shares of its channels, before any fine-tuning.

    Raises:
        RecipeError: a ratio is not between 0 and 1.
        DataError, ModelError, CompressFailed: as a build.
    """
    if not ratios or not all(0 < ratio < 1 for ratio in ratios):
        raise RecipeError(f"ratios: are {list(ratios)}, and should lie between 0 and 1", try_="--ratio 0.5")
    loaded, profile = load_recipe(Path(recipe)), load_target(target)
    root = build_root(loaded.path, build_dir)
    loaded = with_data(loaded, root, say)
    with Flow(loaded, root, say or (lambda *_: None), quantisers=os.cpu_count() or 1) as flow:
        flow.begin(profile)
        return prune_costs(flow, profile, loaded.compress_settings(profile), ratios, samples)


def prune_costs(
    flow: Flow, profile: Target, settings: CompressSettings, ratios: Sequence[float] = RATIOS, samples: int = SAMPLES
) -> list[PruneCost]:
    """The same within a flow; see prune_sensitivity."""
    ingested = flow.ingest(profile, "float32")
    floats: tuple[Precision, ...] = ("float32", "float16")
    precision: Precision = next((kind for kind in floats if kind in profile.precision.allowed), "int8")
    # For its source.pdmodel alone: the program in the ops that the target takes.
    folder = flow.compress(profile, CompressSettings(precision=precision), precision, ingested).folder
    names = [name for name in prunable(folder / "source") if name not in own_channels(folder / "source")]
    workers, parts = flow.workers_for("compress"), [names[k : k + CHUNK] for k in range(0, len(names), CHUNK)]
    with ThreadPoolExecutor(max_workers=flow.quantisers) as pool:
        found = [
            cut
            for part in pool.map(
                lambda part: workers.run(
                    prune.cuts, folder / "source", part, tuple(ratios), criterion=settings.prune_criterion
                ),
                parts,
            )
            for cut in part
        ]
    reference = ingested.folder / REFERENCE
    costs = _measured(flow, profile, Work(PruneCost, measure_cuts, folder, reference, samples), found)
    order = {name: k for k, name in enumerate(names)}
    return sorted(costs, key=lambda item: (order[item.name], item.ratio))


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """What is measured of each item: `function` of the compress stage's folder, the reference's file, some items and
    how many samples.
    """

    kind: type[T]
    function: Callable[..., list[T]]
    folder: Path
    reference: Path
    samples: int


def _measured(flow: Flow, target: Target, task: Work[T], items: Sequence[Any]) -> list[T]:
    """Cut items among the workers, and write down what is measured as it comes in."""
    key = key_of(
        task.kind.__name__,
        sha256(task.folder / "model.pdiparams"),
        sha256(task.folder / "model.pdmodel"),
        sha256(task.reference),
        task.samples,
        [repr(item) for item in items],
        code_version(),
    )
    store = flow.root / CACHE / f"sensitivity-{key}.json"
    done = _stored(store, task.kind)
    todo = [(k, item) for k, item in enumerate(items) if k not in done]
    chunks = [todo[k : k + CHUNK] for k in range(0, len(todo), CHUNK)]
    if chunks:
        executor = flow.executor
        runner = flow.workers_for("compress") if executor is None else executor

        def work(part: Sequence[tuple[int, Any]]) -> list[T]:
            some = [item for _, item in part]
            return runner.run(task.function, task.folder, task.reference, some, task.samples)

        with ThreadPoolExecutor(max_workers=flow.quantisers if executor is None else executor.slots) as pool:
            for part, result in zip(chunks, pool.map(work, chunks), strict=True):
                done.update({k: item for (k, _), item in zip(part, result, strict=True)})
                flow.say(target.name, "sensitivity", f"{len(done)} of {len(items)} measured")
                table = sealed({"measured": {k: asdict(item) for k, item in done.items()}})
                write_atomic(store, json.dumps(table, indent=1).encode())
    return [done[k] for k in range(len(items))]


def _stored(path: Path, kind: type[T]) -> dict[int, T]:
    """What an earlier, perhaps killed, run measured; a damaged file counts for nothing."""
    try:
        return {int(k): kind(**item) for k, item in unsealed(path)["measured"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def measure(folder: Path, reference: Path, part: Sequence[QuantisedLayer], samples: int) -> list[LayerCost]:
    """Costs of some layers, inside a worker.

    Args:
        folder: of the compress stage: model.pdmodel quantised, float.pdmodel the same before.
    """

    quantised = programs.load(folder / "model.pdmodel")
    weights = parameters.load(quantised, folder / "model.pdiparams")
    source = programs.load(folder / "float.pdmodel")
    floats = parameters.load(source, folder / "float.pdiparams")
    everything = {layer.name for layer in layers(Editor(quantised))}
    tails, found = [], []
    for layer in part:
        copy = type(quantised).FromString(quantised.SerializeToString())
        editor = Editor(copy, dict(weights))
        keep_float(editor, floats, everything - {layer.name})
        editor.commit()
        assert editor.parameters is not None
        first = next(k for k, op in enumerate(copy.blocks[0].ops) if op.type.startswith("fake_quantize"))
        tails.append((_tail(copy, first), editor.parameters))
    for layer, error in zip(
        part, _errors(folder / "float", source, floats, tails, load_npz(reference), samples), strict=True
    ):
        found.append(LayerCost(layer.name, layer.op_type, layer.output, error, _sqnr_db(error)))
    return found


def measure_cuts(folder: Path, reference: Path, part: Sequence[prune.Cut], samples: int) -> list[PruneCost]:
    """Costs of some cuts, inside a worker; `folder` holds source.pdmodel in float."""
    source = programs.load(folder / "source.pdmodel")
    floats = parameters.load(source, folder / "source.pdiparams")
    tails = []
    for cut in part:
        changed = dict(floats)
        for name, axis, index in cut.parts:
            if name in floats and changed[name] is floats[name]:
                changed[name] = floats[name].copy()
            if name in changed:
                np.moveaxis(changed[name], axis, 0)[index] = 0
        copy = type(source).FromString(source.SerializeToString())
        touched = {name for name, _, _ in cut.parts}
        first = next(
            k for k, op in enumerate(copy.blocks[0].ops) if any(touched & set(var.arguments) for var in op.inputs)
        )
        tails.append((_tail(copy, first), changed))
    errors = _errors(folder / "source", source, floats, tails, load_npz(reference), samples)
    return [
        PruneCost(
            cut.name,
            cut.ratio,
            next(len(index) for name, _, index in cut.parts if name == cut.name),
            error,
            _sqnr_db(error),
        )
        for cut, error in zip(part, errors, strict=True)
    ]


def _errors(
    prefix: Path,
    source: Any,
    floats: Mapping[str, Array],
    tails: Sequence[tuple[_Tail, Mapping[str, Array]]],
    arrays: Mapping[str, Array],
    samples: int,
) -> list[float]:
    """Errors of the outputs of each tail.

    Up to its first changed op a variant computes what the float program does: those values are computed once for all
    of them.
    """
    from edgeflow.paddle.session import Session, feeds_for

    outputs = programs.fetches(source)
    feeds = [name for name, _, _ in programs.feeds(source)]
    given = {name: arrays[f"input/{name}"][:samples] for name in feeds}
    needed = sorted({name for tail, _ in tails for name in tail.needs} - set(feeds))
    errors = [0.0] * len(tails)
    every = feeds_for(prefix, given, BATCH)
    count = sum(len(next(iter(feed.values()))) for feed in every)
    with Session(fast=True) as session:
        for feed in every:
            known = {**feed, **session.run(source, floats, feed, [*dict.fromkeys([*outputs, *needed])])}
            for k, (tail, own) in enumerate(tails):
                got = session.run(tail.program, own, {name: known[name] for name in tail.needs}, tail.outputs)
                pairs = zip((got[name] for name in tail.outputs), (known[name] for name in outputs), strict=True)
                errors[k] += len(next(iter(feed.values()))) / count * _error(pairs)
    return errors


def or_inf(error: float | None) -> float:
    """An error that orders: what is not a number, or not known, is the worst."""
    return math.inf if error is None or math.isnan(error) else error


def _sqnr_db(error: float) -> float:
    return error if math.isnan(error) else -10 * math.log10(error) if error > 0 else math.inf


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of a program, from the first op that differs: what it needs from before, and what it gives."""

    program: Any
    needs: tuple[str, ...]
    outputs: tuple[str, ...]


def _tail(program: Any, first: int) -> _Tail:
    block = program.blocks[0]
    weights = {var.name for var in block.vars if var.persistable}
    outputs = tuple(programs.fetches(program))
    ops = [op for op in block.ops[first:] if op.type not in ("feed", "fetch")]
    made: set[str] = set()
    needs: dict[str, None] = {}
    for op in ops:
        for name in (name for var in op.inputs for name in var.arguments):
            if name not in made and name not in weights:
                needs[name] = None
        made.update(name for var in op.outputs for name in var.arguments)
    needs.update(dict.fromkeys(name for name in outputs if name not in made))
    kept = [type(op).FromString(op.SerializeToString()) for op in ops]
    del block.ops[:]
    block.ops.extend(kept)
    return _Tail(program, tuple(needs), outputs)


def _error(pairs: Iterable[tuple[Array, Array]]) -> float:
    """Mean squared error over the variance, the mean of all outputs."""
    found = [
        float(((a.astype(np.float64) - b) ** 2).mean() / max(float(b.var()), 1e-30))
        for a, b in pairs
        if b.dtype.kind == "f"
    ]
    return float(np.mean(found)) if found else 0.0

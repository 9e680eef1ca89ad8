"""edgeflow sensitivity: what each layer of an int8 model costs, calibrated once.

The quantised program is made once. For each layer, all the others are put back in float, weights and all, and the outputs are
compared with the float program's: no layer is calibrated again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.arrays import Array, load_npz
from edgeflow.core.errors import RecipeError
from edgeflow.core.files import sha256, write_atomic
from edgeflow.core.targets import load_target
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.quantised import QuantisedLayer, keep_float, layers
from edgeflow.pipeline.build import Flow
from edgeflow.pipeline.cache import code_version, key_of
from edgeflow.pipeline.recipe import load_recipe

SAMPLES = 256
BATCH = 64
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


Say = Callable[[str, str, str], None]


def sensitivity(recipe: Path | str, target: str, *, samples: int = SAMPLES, build_dir: Path | None = None,
                say: Say | None = None) -> list[LayerCost]:
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
        raise RecipeError(f"target {profile.name!r} builds {profile.choose(settings.precision)}: no layer is quantised",
                          try_="--target arm64-int8")
    root = loaded.folder / "build" if build_dir is None else build_dir.resolve()
    count = os.cpu_count() or 1
    with Flow(loaded, root, say or (lambda *_: None), quantisers=count) as flow:
        flow.begin(profile)
        ingested = flow.ingest(profile, "int8")
        compressed = flow.compress(profile, settings, "int8", ingested)
        reference = ingested.folder / "reference.npz"
        key = key_of(sha256(compressed.folder / "model.pdiparams"), sha256(compressed.folder / "model.pdmodel"),
                     sha256(reference), samples, code_version())
        store = root / ".cache" / f"sensitivity-{key}.json"
        done: dict[str, LayerCost] = _stored(store)
        found = layers(Editor(programs.load(compressed.folder / "model.pdmodel")))
        todo = [layer for layer in found if layer.name not in done]
        chunks = [todo[k:k + CHUNK] for k in range(0, len(todo), CHUNK)]
        if chunks:
            workers = flow.workers_for("compress")
            with ThreadPoolExecutor(max_workers=count) as pool:
                for result in pool.map(lambda part: workers.run(measure, compressed.folder, reference, part, samples), chunks):
                    done.update({item.name: item for item in result})
                    write_atomic(store, json.dumps([asdict(item) for item in done.values()], indent=1).encode())
    return sorted(done.values(), key=lambda item: (-item.error, item.name))


def _stored(path: Path) -> dict[str, LayerCost]:
    """Layers that an earlier, perhaps killed, run measured; a damaged file counts for nothing."""
    try:
        return {item["name"]: LayerCost(**item) for item in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def measure(folder: Path, reference: Path, part: Sequence[QuantisedLayer], samples: int) -> list[LayerCost]:
    """Costs of some layers, inside a worker.

    Args:
        folder: of the compress stage: model.pdmodel quantised, source.pdmodel in float.
    """
    from edgeflow.backends.paddle import Session

    arrays = load_npz(reference)
    quantised = programs.load(folder / "model.pdmodel")
    weights = parameters.load(quantised, folder / "model.pdiparams")
    source = programs.load(folder / "source.pdmodel")
    floats = parameters.load(source, folder / "source.pdiparams")
    outputs = programs.fetches(source)
    feeds = [name for name, _, _ in programs.feeds(source)]
    given = {name: arrays[f"input/{name}"][:samples] for name in feeds}
    everything = {layer.name for layer in layers(Editor(quantised))}
    variants = []
    for layer in part:
        copy = type(quantised).FromString(quantised.SerializeToString())
        editor = Editor(copy, dict(weights))
        keep_float(editor, floats, everything - {layer.name})
        editor.commit()
        assert editor.parameters is not None
        variants.append((layer, _from_layer(copy), editor.parameters))
    # Up to its own layer a variant computes what the float program does: those values are computed once for all of them.
    needed = sorted({name for _, tail, _ in variants for name in tail.needs} - set(feeds))
    errors = [0.0] * len(variants)
    with Session() as session:
        count = len(next(iter(given.values())))
        for start in range(0, count, BATCH):
            feed = {name: array[start:start + BATCH] for name, array in given.items()}
            known = {**feed, **session.run(source, floats, feed, [*dict.fromkeys([*outputs, *needed])])}
            for k, (_, tail, own) in enumerate(variants):
                got = session.run(tail.program, own, {name: known[name] for name in tail.needs}, tail.outputs)
                pairs = zip((got[name] for name in tail.outputs), (known[name] for name in outputs), strict=True)
                errors[k] += len(next(iter(feed.values()))) / count * _error(pairs)
    return [LayerCost(layer.name, layer.op_type, layer.output, error, -10 * math.log10(error) if error > 0 else math.inf)
            for (layer, _, _), error in zip(variants, errors, strict=True)]


@dataclass(frozen=True, slots=True)
class _Tail:
    """The end of a program, from the first op that works on quantised values: what it needs from before, and what it gives."""

    program: Any
    needs: tuple[str, ...]
    outputs: tuple[str, ...]


def _from_layer(program: Any) -> _Tail:
    block = program.blocks[0]
    first = next(k for k, op in enumerate(block.ops) if op.type.startswith("fake_quantize"))
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
    found = [float(((a.astype(np.float64) - b) ** 2).mean() / max(float(b.var()), 1e-30))
             for a, b in pairs if b.dtype.kind == "f"]
    return float(np.mean(found)) if found else 0.0

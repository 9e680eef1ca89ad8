"""edgeflow calibration: is the calibration data any good, and how little of it would do.

The ranges of every quantised layer's input are collected for each sample in one pass over the float model, on
calibration and evaluation data; everything but the drift curve is read off them. The curve is measured: PaddleSlim
calibrates on growing sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import RecipeError
from edgeflow.core.samples import Array
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target, load_target
from edgeflow.core.tensors import declared_batch
from edgeflow.files.arrays import load_npz, save_npz
from edgeflow.files.temporary import scratch
from edgeflow.flow.build import Flow
from edgeflow.flow.remote_data import with_data
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.quantised import quantised_inputs
from edgeflow.project.places import REFERENCE, build_root
from edgeflow.project.recipe import Recipe, load_recipe

BATCH = 64
STANDS_OUT = 1.5
"""A sample is an outlier where its range in a layer is so many times the range of 99 % of the samples."""

ENOUGH_COVERAGE = 0.99
"""Share of the evaluation samples whose range a layer's calibration should hold."""


@dataclass(frozen=True, slots=True)
class LayerCoverage:
    """Ranges of one layer's input: the largest absolute value in either set, and the share of evaluation samples
    inside.
    """

    layer: str
    calibration_max: float
    evaluation_max: float
    covered: float


@dataclass(frozen=True, slots=True)
class Outlier:
    """A calibration sample that alone widens a layer's range: `times` the range that 99 % of the samples need."""

    sample: int
    layer: str
    times: float


@dataclass(frozen=True, slots=True)
class Point:
    """Drift of the int8 outputs when so many samples calibrate."""

    samples: int
    sqnr_db: float


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. `chosen`: indices of the smallest set whose drift is within `tolerance_db` of the whole set's."""

    samples: int
    layers: tuple[LayerCoverage, ...]
    outliers: tuple[Outlier, ...]
    duplicates: tuple[tuple[int, int], ...]
    curve: tuple[Point, ...]
    whole_sqnr_db: float
    chosen: tuple[int, ...]
    tolerance_db: float
    advice: tuple[str, ...]

    def as_table(self) -> dict[str, Any]:
        return asdict(self)


def examine(
    recipe: Path | str,
    target: str,
    *,
    tolerance_db: float = 0.5,
    output: Path | None = None,
    build_dir: Path | None = None,
    say: Callable[[str, str, str], None] | None = None,
) -> Examination:
    """Examine a recipe's calibration data for an int8 target.

    Args:
        output: where the chosen samples go as an .npz, which `calibration` under [data] takes.

    Raises:
        RecipeError: the target takes no int8, the recipe has no calibration data, or `output` exists.
    """
    loaded, profile = load_recipe(Path(recipe)), load_target(target)
    _validate(loaded, profile, tolerance_db, output)
    root = build_root(loaded.path, build_dir)
    loaded = with_data(loaded, root, say)
    settings = loaded.compress_settings(profile)
    plain = CompressSettings(
        precision="int8", algo=settings.algo, weights=settings.weights, keep_float=settings.keep_float
    )
    with Flow(loaded, root, say or (lambda *_: None), quantisers=2) as flow:
        flow.begin(profile)
        ingested = flow.ingest(profile, "int8")
        compressed = flow.compress(profile, plain, "int8", ingested)
        calibration = load_npz(ingested.folder / "calibration.npz")
        reference = ingested.folder / REFERENCE
        arrays = load_npz(reference)
        evaluation = {name.removeprefix("input/"): array for name, array in arrays.items() if name.startswith("input/")}
        workers = flow.workers_for("compress")
        names, ours, theirs = workers.run(ranges, compressed.folder, calibration, evaluation)

        def drift(indices: Sequence[int]) -> float:
            chosen = {name: array[list(indices)] for name, array in calibration.items()}
            sqnr: float = workers.run(calibrated_sqnr, compressed.folder, chosen, reference, profile, plain)
            return sqnr

        count = len(next(iter(calibration.values())))
        order = by_coverage(ours)
        least = declared_batch(loaded.ingest_settings().inputs)
        whole = drift(range(count))
        curve, chosen = _smallest(order, drift, whole, tolerance_db, least)
    layers = coverage(names, ours, theirs)
    outliers, twins = find_outliers(names, ours), duplicates(calibration)
    if output is not None:
        save_npz(output, {name: array[list(chosen)] for name, array in calibration.items()})
    return Examination(
        count,
        layers,
        outliers,
        twins,
        curve,
        whole,
        chosen,
        tolerance_db,
        tuple(_advice(layers, outliers, twins, count, chosen)),
    )


def _validate(loaded: Recipe, profile: Target, tolerance_db: float, output: Path | None) -> None:
    """Refuse what cannot be examined, before anything is made."""
    if "int8" not in profile.precision.allowed:
        raise RecipeError(
            f"target {profile.name!r} takes no int8, which is what calibration is for", try_="--target arm64-int8"
        )
    if tolerance_db < 0:
        raise RecipeError(f"tolerance: is {tolerance_db}, and should be at least 0 dB")
    if loaded.data.calibration is None:
        raise RecipeError(
            "the recipe names no calibration data", try_='calibration = "data.py:calibration" under [data]'
        )
    if output is not None and output.exists():
        raise RecipeError(
            f"{output}: exists, and is not written over", try_="--output with another name, or remove it first"
        )


def ranges(
    folder: Path, calibration: Mapping[str, Array], evaluation: Mapping[str, Array]
) -> tuple[list[str], Array, Array]:
    """Largest absolute value of each quantised layer's input for each sample, inside a worker.

    Returns:
        Names of the layers, and float64[samples, layers] of the calibration and of the evaluation data.
    """
    from edgeflow.paddle.session import Session, feeds_for

    quantised = programs.load(folder / "model.pdmodel")
    inputs = quantised_inputs(Editor(quantised, parameters.load(quantised, folder / "model.pdiparams")))
    source = programs.load(folder / "source.pdmodel")
    floats = parameters.load(source, folder / "source.pdiparams")
    feeds = [name for name, _, _ in programs.feeds(source)]
    wanted = list(dict.fromkeys(name for name in inputs.values() if name not in feeds))
    found = []
    sets = [
        feeds_for(folder / "source", {name: samples[name] for name in feeds}, BATCH)
        for samples in (calibration, evaluation)
    ]
    with Session(fast=True) as session:
        for every in sets:
            rows = []
            for feed in every:
                got = {**feed, **(session.run(source, floats, feed, wanted) if wanted else {})}
                size = len(next(iter(feed.values())))
                rows.append(np.stack([np.abs(got[name].reshape(size, -1)).max(1) for name in inputs.values()], 1))
            found.append(np.concatenate(rows).astype(np.float64))
    return list(inputs), found[0], found[1]


def calibrated_sqnr(
    folder: Path, samples: Mapping[str, Array], reference: Path, target: Target, settings: CompressSettings
) -> float:
    """SQNR of the outputs of the float program quantised on some samples as a build does it, inside a worker."""

    from edgeflow.compress.quantise import calibrated
    from edgeflow.core.drift import lowest, measure
    from edgeflow.paddle.session import Program
    from edgeflow.project.reference import load_reference
    from edgeflow.verify.execute import outputs_of

    with scratch() as place:
        out = place / "model"
        calibrated(folder / "source", out, target, settings, samples)
        loaded = load_reference(reference)
        with Program(out, gpu=False) as runner:
            got = outputs_of(runner, loaded)
    alike = [(a, b) for a, b in zip(loaded.outputs, got, strict=True) if a.shape == b.shape]  # boxes are not
    found = lowest(measure(a, b).sqnr_db for a, b in alike)
    return math.nan if found is None else found


def coverage(names: Sequence[str], calibration: Array, evaluation: Array) -> tuple[LayerCoverage, ...]:
    """How far each layer's calibrated range holds what the evaluation data brings, the worst first."""
    top = calibration.max(0)
    return tuple(
        sorted(
            (
                LayerCoverage(
                    name, float(top[k]), float(evaluation[:, k].max()), float(np.mean(evaluation[:, k] <= top[k]))
                )
                for k, name in enumerate(names)
            ),
            key=lambda item: (item.covered, item.layer),
        )
    )


def find_outliers(names: Sequence[str], values: Array) -> tuple[Outlier, ...]:
    """Samples that stand out of what 99 % of them need, the farthest first."""
    usual = np.maximum(np.quantile(values, 0.99, axis=0, method="lower"), 1e-30)
    times = values / usual
    found = [
        Outlier(int(sample), names[layer], float(times[sample, layer]))
        for sample, layer in zip(*np.nonzero(times > STANDS_OUT), strict=True)
    ]
    return tuple(sorted(found, key=lambda item: -item.times))


def duplicates(samples: Mapping[str, Array]) -> tuple[tuple[int, int], ...]:
    """Pairs (first, again) of samples that are the same to the bit."""
    seen: dict[bytes, int] = {}
    found = []
    for index in range(len(next(iter(samples.values())))):
        key = b"".join(np.ascontiguousarray(samples[name][index]).tobytes() for name in sorted(samples))
        if key in seen:
            found.append((seen[key], index))
        seen.setdefault(key, index)
    return tuple(found)


def by_coverage(values: Array) -> list[int]:
    """All samples, each next one chosen to bring the ranges of all layers nearest to those of the whole set."""
    whole = np.maximum(values.max(0), 1e-30)
    share = values / whole
    held, left, order = np.zeros(values.shape[1]), list(range(len(values))), []
    while left:
        gains = np.maximum(share[left], held).sum(1)
        best = left[int(np.argmax(gains))]
        order.append(best)
        left.remove(best)
        held = np.maximum(held, share[best])
        if np.all(held >= 1):
            order += left
            break
    return order


def _smallest(
    order: Sequence[int],
    drift: Callable[[Sequence[int]], float],
    whole: float,
    tolerance_db: float,
    least: int,
) -> tuple[tuple[Point, ...], tuple[int, ...]]:
    """Sets that double, each judged by what PaddleSlim makes of it; the smallest from which on none is worse than the
    whole.
    """
    sizes = [size for k in range(2, 31) if least <= (size := 2**k) < len(order)]
    points = [*(Point(size, drift(sorted(order[:size]))) for size in sizes), Point(len(order), whole)]
    enough = len(order)
    for point in reversed(points):
        if not point.sqnr_db >= whole - tolerance_db:
            break
        enough = point.samples
    return tuple(points), tuple(sorted(order[:enough]))


def _advice(
    layers: Sequence[LayerCoverage],
    outliers: Sequence[Outlier],
    twins: Sequence[tuple[int, int]],
    count: int,
    chosen: Sequence[int],
) -> list[str]:
    found = []
    poor = [item for item in layers if item.covered < ENOUGH_COVERAGE]
    if poor:
        found.append(
            f"{len(poor)} of {len(layers)} layers see larger values in use than in calibration, {poor[0].layer} in "
            f"{1 - poor[0].covered:.1%} of the samples: add inputs like those"
        )
    if outliers:
        found.append(
            f"{len({item.sample for item in outliers})} samples widen a range alone, sample {outliers[0].sample} "
            f"{outliers[0].times:.1f} times: look at them, or use an algo that cuts (hist, KL, mse)"
        )
    if twins:
        found.append(
            f"{len(twins)} samples are copies of others, such as {twins[0][1]} of {twins[0][0]}: they add nothing"
        )
    if len(chosen) < count:
        found.append(f"{len(chosen)} samples do as well as all {count}")
    else:
        found.append(f"no smaller set than all {count} samples does as well")
    return found

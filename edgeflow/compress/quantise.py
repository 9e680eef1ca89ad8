"""Post-training quantisation as the target computes, and what is put right in the program afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeflow.compress.npu_scales import complete
from edgeflow.compress.slim import Calibration, quantise
from edgeflow.core.errors import CompressFailed, DataError, EdgeflowError, RecipeError, near
from edgeflow.core.ragged import is_ragged
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.decoding import decoding_layers
from edgeflow.graph.edit import Editor
from edgeflow.graph.powers import power_of_two_scales
from edgeflow.graph.quantised import activation_scales, canonical_names, keep_float, layers

BATCH = 32
"""Calibration samples a step at most, where the model's batch is open."""

ELEMENTS_A_STEP = 1 << 28
"""Elements of all that the ops of a step write, at most 1 GB in float32: PaddleSlim has those that it looks at kept
until the step is over. The recogniser of PP-OCRv4 took 5.6 GB for 32 lines.
"""


def calibrated(
    floats: Path, out: Path, target: Target, settings: CompressSettings, samples: Mapping[str, Any]
) -> tuple[int, int]:
    """Quantise after training, as the target computes; writes `out`.pdmodel and .pdiparams.

    Returns:
        How many samples calibrated, and how many layers stayed float. Samples that fill no fixed batch are left out.

    Raises:
        RecipeError: a layer named is not quantised here.
        DataError: too few samples for the model's fixed batch.
        CompressFailed: PaddleSlim gave up.
    """
    per_channel = (settings.weights or target.precision.weights) == "per_channel"
    count = len(next(iter(samples.values())))
    fixed = next((dims[0] for _, dims, _ in programs.feeds(programs.load(floats.with_suffix(".pdmodel"))) if dims), -1)
    if fixed > count:
        raise DataError(f"{count} calibration samples do not fill the model's fixed batch of {fixed}")
    if fixed > 0:
        count -= count % fixed
        samples = {name: array[:count] for name, array in samples.items()}
    way = Calibration(
        settings.algo,
        per_channel,
        batch=fixed if fixed > 0 else samples_a_step(programs.load(floats.with_suffix(".pdmodel")), samples),
        bias_correction=settings.bias_correction,
        reconstruct=settings.rounding == "reconstruction",
    )
    quantise(floats, out, samples, way)
    if not out.with_suffix(".pdiparams").exists():
        raise CompressFailed(
            "PaddleSlim wrote no parameters: a model without weights has nothing to quantise",
            try_="build it for a target that computes in float, such as arm64",
        )
    _own_ranges(floats, out, samples, settings, way)
    return count, finish(floats, out, target, settings.keep_float, samples)


def samples_a_step(program: Any, samples: Mapping[str, Any]) -> int:
    """How many calibration samples go through a program of open batch at once, for what its ops write to fit in memory.

    Args:
        program: a ProgramDesc; it stays as it is.
        samples: by input name, [samples, ...]; those of several sizes go one by one.
    """
    if any(map(is_ragged, samples.values())):
        return 1
    from edgeflow.paddle.shapes import inferred_dims

    most = min(BATCH, len(next(iter(samples.values()))))
    one = type(program).FromString(program.SerializeToString())
    for name, _, _ in programs.feeds(one):
        var = programs.variable(one.blocks[0], name)
        dims = var.type.lod_tensor.tensor.dims  # type: ignore[union-attr]
        dims[:] = (1, *samples[name].shape[1:])
    try:
        written = inferred_dims(one)
    except EdgeflowError:
        return most  # running it says more than this could
    elements = sum(math.prod(max(dim, 1) for dim in dims) for dims in written.values())
    return max(1, min(most, ELEMENTS_A_STEP // max(elements, 1)))


def _own_ranges(
    floats: Path, out: Path, samples: Mapping[str, Any], settings: CompressSettings, way: Calibration
) -> None:
    """Ranges of single layers' inputs as another algorithm finds them.

    Raises:
        RecipeError: a layer named is not quantised here.
    """
    if not settings.layer_algo:
        return
    program = programs.load(out.with_suffix(".pdmodel"))
    held = parameters.load(program, out.with_suffix(".pdiparams"))
    scales = activation_scales(Editor(program, held))
    for name in settings.layer_algo:
        if name not in scales:
            raise RecipeError(f"[compress] layer_algo: {name!r} is no quantised layer; {near(name, scales, 'layers')}")
    for algo in sorted({*settings.layer_algo.values()} - {settings.algo}):
        other = out.parent / "steps" / algo / "model"
        quantise(floats, other, samples, Calibration(algo, way.per_channel, way.batch))
        theirs = parameters.load(programs.load(other.with_suffix(".pdmodel")), other.with_suffix(".pdiparams"))
        held.update({scales[name]: theirs[scales[name]] for name, own in settings.layer_algo.items() if own == algo})
    parameters.save(program, held, out.with_suffix(".pdiparams"))


def finish(floats: Path, out: Path, target: Target, keep: tuple[str, ...], samples: Mapping[str, Any] | None) -> int:
    """Give a quantised program names that do not depend on the run, float layers, and scales as the target wants them.

    Args:
        samples: of calibration; None for a program that came quantised, whose scales and layers are kept. Else what
            makes boxes of the last layers' results stays float, since eight bits of it are too few.

    Returns:
        How many layers stayed float.

    Raises:
        RecipeError: a layer named is not quantised here.
    """
    program = programs.load(out.with_suffix(".pdmodel"))
    weights = parameters.load(program, out.with_suffix(".pdiparams"))
    before = programs.load(floats.with_suffix(".pdmodel"))
    source = parameters.load(before, floats.with_suffix(".pdiparams"))
    editor = Editor(program, weights)
    found = layers(editor)
    known = {layer.name for layer in found} | {layer.op_type for layer in found}
    for name in keep:
        if name not in known:
            raise RecipeError(
                f"[compress] keep_float: {name!r} is no quantised layer; {near(name, known, 'layers')}",
                try_="edgeflow sensitivity lists them",
            )
    names = {layer.name for layer in found if layer.name in keep or layer.op_type in keep}
    if samples is not None:
        names |= decoding_layers(Editor(before, source)) & {layer.name for layer in found}
    made = keep_float(editor, source, names)
    canonical_names(editor)
    if samples is not None and target.uses_npu:
        complete(editor, target, samples)
    editor.commit()
    if target.precision.scales == "power_of_two":
        power_of_two_scales(program, weights, source)
    programs.forget_callstacks(program)
    programs.save(program, out.with_suffix(".pdmodel"))
    parameters.save(program, weights, out.with_suffix(".pdiparams"))
    return made

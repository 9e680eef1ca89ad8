"""Stage 2: make the program smaller for the target, or leave it float where that is right."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import CompressFailed, DataError
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.graph import program as programs

SOURCE = "source"
"""The program as it is before compression, spelled for the target: what layer maps and placement are read from."""


def compress(source: Artifact, target: Target, settings: CompressSettings, tools: Tools) -> Artifact:
    """Quantise for int8 targets; pass float programs on as they are.

    Returns:
        model.pdmodel and model.pdiparams, and source.pdmodel, the program before compression.

    Raises:
        RecipeError: the target refuses the precision asked for.
        DataError: int8 without calibration data.
        CompressFailed: PaddleSlim gave up.
    """
    precision = target.choose(settings.precision)
    prefix, out = tools.folder / SOURCE, tools.folder / "model"
    respelled = _specialised(source.folder / "model", prefix, target)
    facts = {"precision": precision, "respelled": respelled}
    if precision != "int8":
        for suffix in (".pdmodel", ".pdiparams"):
            _link(prefix.with_suffix(suffix), out.with_suffix(suffix))
        return Artifact(tools.folder, {**facts, "method": "none"})
    calibration = source.folder / "calibration.npz"
    if not calibration.exists():
        raise DataError("int8 needs calibration data, and the recipe names none",
                        try_='calibration = "data.py:calibration" under [data]')
    from edgeflow.backends import slim
    from edgeflow.core.arrays import load_npz

    samples = load_npz(calibration)
    fixed = next((dims[0] for _, dims, _ in programs.feeds(programs.load(prefix.with_suffix(".pdmodel"))) if dims), -1)
    count = len(next(iter(samples.values())))
    if fixed > count:
        raise DataError(f"{count} calibration samples do not fill the model's fixed batch of {fixed}")
    batch = fixed if fixed > 0 else min(32, count)
    weights = settings.weights or target.precision.weights
    slim.quantise(prefix, out, samples, algo=settings.algo, per_channel=weights == "per_channel",
                  bias_correction=settings.bias_correction, batch=batch)
    if not out.with_suffix(".pdiparams").exists():
        raise CompressFailed("PaddleSlim wrote no parameters")
    if target.precision.scales == "power_of_two":
        _power_of_two(prefix, out)
    return Artifact(tools.folder, {
        **facts, "method": f"post-training quantisation, {settings.algo}, weights {weights}",
        "calibration_samples": count,
    })


def _specialised(prefix: Path, out: Path, target: Target) -> dict[str, int]:
    """The program in the ops that the target's NPU takes; the same files where nothing is to do."""
    program = programs.load(prefix.with_suffix(".pdmodel"))
    made: dict[str, int] = {}
    if target.uses_npu or target.lite.fp16:
        from edgeflow.graph import parameters
        from edgeflow.graph.edit import Editor
        from edgeflow.graph.legalise import legalise
        from edgeflow.graph.specialise import specialise

        weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
        editor = Editor(program, weights)
        made = specialise(editor, target)
        if editor.commit():
            legalise(program)
            programs.save(program, out.with_suffix(".pdmodel"))
            parameters.save(program, weights, out.with_suffix(".pdiparams"))
            return made
    for suffix in (".pdmodel", ".pdiparams"):
        _link(prefix.with_suffix(suffix), out.with_suffix(suffix))
    return made


def _power_of_two(source: Path, out: Path) -> None:
    from edgeflow.graph import parameters
    from edgeflow.graph.powers import power_of_two_scales

    program = programs.load(out.with_suffix(".pdmodel"))
    weights = parameters.load(program, out.with_suffix(".pdiparams"))
    floats = parameters.load(programs.load(source.with_suffix(".pdmodel")), source.with_suffix(".pdiparams"))
    power_of_two_scales(program, weights, floats)
    programs.save(program, out.with_suffix(".pdmodel"))
    parameters.save(program, weights, out.with_suffix(".pdiparams"))


def _link(source: Path, out: Path) -> None:
    """The same file twice without its bytes twice, where the disk can."""
    try:
        os.link(source, out)
    except OSError:
        shutil.copyfile(source, out)

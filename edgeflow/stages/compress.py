"""Stage 2: make the program smaller for the target, or leave it float where that is right."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import CompressFailed, DataError
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target


def compress(source: Artifact, target: Target, settings: CompressSettings, tools: Tools) -> Artifact:
    """Quantise for int8 targets; pass float programs on as they are.

    Returns:
        model.pdmodel and model.pdiparams.

    Raises:
        RecipeError: the target refuses the precision asked for.
        DataError: int8 without calibration data.
        CompressFailed: PaddleSlim gave up.
    """
    precision = target.choose(settings.precision)
    prefix, out = source.folder / "model", tools.folder / "model"
    if precision != "int8":
        for suffix in (".pdmodel", ".pdiparams"):
            _link(prefix.with_suffix(suffix), out.with_suffix(suffix))
        return Artifact(tools.folder, {"precision": precision, "method": "none"})
    calibration = source.folder / "calibration.npz"
    if not calibration.exists():
        raise DataError("int8 needs calibration data, and the recipe names none",
                        try_='calibration = "data.py:calibration" under [data]')
    from edgeflow.backends import slim
    from edgeflow.core.arrays import load_npz
    from edgeflow.graph import program as programs

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
    return Artifact(tools.folder, {
        "precision": precision, "method": f"post-training quantisation, {settings.algo}, weights {weights}",
        "calibration_samples": count,
    })


def _link(source: Path, out: Path) -> None:
    """The same file twice without its bytes twice, where the disk can."""
    try:
        os.link(source, out)
    except OSError:
        shutil.copyfile(source, out)

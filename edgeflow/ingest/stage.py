"""Stage 1: the model becomes a static fp32 program, and its outputs on the evaluation inputs the reference."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import EdgeflowError, ModelError, together
from edgeflow.core.samples import LABEL, Array, batches, joined
from edgeflow.core.settings import IngestSettings
from edgeflow.core.targets import Target
from edgeflow.core.tensors import TensorSpec
from edgeflow.files.arrays import pack_npz, save_npz
from edgeflow.files.atomic import sha256, write_atomic
from edgeflow.files.png import pack_png
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.canonicalise import canonicalise
from edgeflow.graph.fixed_shapes import fix_shapes, validate_inputs
from edgeflow.graph.legalise import legalise
from edgeflow.graph.lod import refuse_lod
from edgeflow.graph.output_kinds import output_kinds
from edgeflow.graph.trained_weights import validate_weights
from edgeflow.ingest.data import Samples, load_samples
from edgeflow.ingest.onnx_import import is_onnx
from edgeflow.ingest.paddle_files import read_paddle_files
from edgeflow.ingest.pictures import way_of
from edgeflow.ingest.texts import texts_of
from edgeflow.paddle import session as paddle_backend
from edgeflow.paddle.shapes import inferred_dims
from edgeflow.project.functions import files_read, in_folder, load_function
from edgeflow.project.reference import NAMES, packed_names
from edgeflow.project.user_errors import user_lines

BATCH = 256
MODEL = "model"


def ingest(source: Artifact, target: Target | None, settings: IngestSettings, tools: Tools) -> Artifact:
    """Export the model, repair and rewrite the program, and record the reference.

    Args:
        source: the recipe's folder; nothing in it is written. facts["known"]: results of the user's code (see below)
            that need no work, since a build that had them is kept.
        target: not used: all targets share what comes out.

    Returns:
        model.pdmodel, model.pdiparams, reference.npz (input/<name>, output/<k>, label), calibration.npz and
        training.npz; picture_<k>.png, a raw picture of each input that was made of pictures. Of a known result only
        facts["results_sha256"], which stands for all that the model and data functions gave, and what was read.

    Raises:
        ModelError: the model cannot be read, exported or run.
        DataError: the data does not fit the inputs.
    """
    prefix = tools.folder / MODEL
    with in_folder(source.folder), files_read(source.folder) as trace:
        declared = _model(source.folder, settings, prefix)
    # Before the data, which may take long; and outside of what is traced, for these files are our own.
    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    refuse_lod(program, settings.program or settings.factory or "the model")
    validate_weights(program, weights, settings.program or settings.factory or "the model")
    with in_folder(source.folder), files_read(source.folder) as of_data:
        evaluated, calibrated, trained = _data(source.folder, settings)
    evaluation = evaluated.arrays
    calibration, training = (None if part is None else part.arrays for part in (calibrated, trained))
    if settings.program is not None:
        tools.fence()  # after the user's own data functions, which may write what they like
    programs.forget_callstacks(program)
    programs.save(program, prefix.with_suffix(".pdmodel"))
    pixels = {f"{name} of {picture.sample}": picture.pixels for name, picture in evaluated.pictures.items()}
    files = {NAMES: packed_names(evaluated.names)} if evaluated.names else {}
    parts = {"evaluation": evaluation, "calibration": calibration, "training": training}
    given = {**parts, "pictures": pixels, "names": files}
    results = {
        "results_sha256": _results(prefix, given),
        "read": sorted(trace.read | of_data.read | declared),
        "touched": sorted(trace.touched | of_data.touched),
    }
    if results["results_sha256"] in source.facts.get("known", ()):
        return Artifact(tools.folder, results)
    fix_shapes(program, weights, settings.inputs, inferred_dims)
    repairs = legalise(program)
    rewrites = canonicalise(program, weights, paddle_backend.evaluate)
    legalise(program)  # what the rewrites brought in
    raw = prefix.with_name("exported").with_suffix(".pdmodel")
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.move(prefix.with_suffix(suffix), raw.with_suffix(suffix))
    programs.save(program, prefix.with_suffix(".pdmodel"))
    parameters.save(program, weights, prefix.with_suffix(".pdiparams"))
    weights_hash = sha256(raw.with_suffix(".pdiparams"))
    # The reference is what was exported, not what the passes made of it.
    outputs, device, names = _reference(raw.with_suffix(""), evaluation, settings.inputs)
    if is_onnx(settings.program):
        from edgeflow.ingest.onnx_import.origin import hold_to_origin

        samples = {spec.name: evaluation[spec.name] for spec in settings.inputs}
        hold_to_origin(
            source.folder / str(settings.program), samples, dict(zip(names, outputs, strict=True)), tools.folder
        )
    raw.with_suffix(".pdiparams").unlink()
    arrays = {f"input/{spec.name}": evaluation[spec.name] for spec in settings.inputs}
    arrays.update({f"output/{k}": array for k, array in enumerate(outputs)})
    if LABEL in evaluation:
        arrays[LABEL] = evaluation[LABEL]
    arrays.update(files)
    save_npz(tools.folder / "reference.npz", arrays)
    if calibration is not None:
        save_npz(tools.folder / "calibration.npz", {k: v for k, v in calibration.items() if k != LABEL})
    if training is not None:
        save_npz(tools.folder / "training.npz", {k: v for k, v in training.items() if k != LABEL})
    pictures = {}
    for k, (name, picture) in enumerate(sorted(evaluated.pictures.items())):
        pictures[name] = {"file": f"picture_{k}.png", "sample": picture.sample}
        write_atomic(tools.folder / f"picture_{k}.png", pack_png(picture.pixels))
    return Artifact(
        tools.folder,
        {
            "device": device,
            "foreign": settings.program is not None,
            "outputs": names,
            "output_kinds": [asdict(kind) for kind in output_kinds(program)],
            "samples": len(next(iter(evaluation.values()))),
            "calibration_samples": 0 if calibration is None else len(next(iter(calibration.values()))),
            "model_sha256": sha256(raw),
            "weights_sha256": weights_hash,
            "evaluation_sha256": _hash(evaluation),
            "calibration_sha256": None if calibration is None else _hash(calibration),
            "training_sha256": None if training is None else _hash(training),
            "repairs": repairs,
            "rewrites": rewrites,
            "pictures": pictures,
            "vocab_sha256": next((rules.vocab_sha256 for rules in settings.tokenize.values()), None),
            "texts": [text if isinstance(text, str) else text.decode("utf-8", "replace") for text in evaluated.texts],
            "seen": _seen({"evaluation": evaluated, "calibration": calibrated, "training": trained}, settings),
            **results,
        },
    )


def _data(folder: Path, settings: IngestSettings) -> tuple[Samples, Samples | None, Samples | None]:
    """What the recipe names for evaluation, calibration and training; all that is wrong with them comes at once."""
    way = replace(way_of(settings), texts=texts_of(settings.tokenize, settings.classes, folder))
    found: list[Samples | None] = []
    errors: list[EdgeflowError] = []
    for what, kind in (
        (settings.evaluation, "evaluation"),
        (settings.calibration, "calibration"),
        (settings.training, "training"),
    ):
        try:
            own = way if kind == "evaluation" else replace(way, annotations=None)
            given = settings.inputs, kind, settings.preprocess, own
            found.append(None if what is None else load_samples(what, folder, *given))
        except EdgeflowError as err:
            errors.append(err)
    if errors:
        raise together(errors)
    evaluated, calibrated, trained = found
    assert evaluated is not None
    return evaluated, calibrated, trained


def _seen(parts: Mapping[str, Samples | None], settings: IngestSettings) -> dict[str, Any]:
    """What is told of picture files: how many EXIF says to turn and whether they were, and which were left out."""
    return {
        "exif": settings.exif,
        "rotated": {kind: part.rotated for kind, part in parts.items() if part is not None and part.rotated},
        "left_out": {kind: list(part.bad) for kind, part in parts.items() if part is not None and part.bad},
    }


def _model(folder: Path, settings: IngestSettings, prefix: Path) -> set[str]:
    """Put the fp32 program at `prefix`; returns the files it was made from that Python did not open."""
    paddle_backend.seed(settings.seed)
    if settings.factory is not None:
        factory = load_function(settings.factory, folder)
        where = f"model factory {settings.factory}"
        paddle_backend.export(factory, settings.inputs, prefix, where, lambda err: user_lines(err, folder))
        return set()
    given = read_paddle_files(folder, str(settings.program), settings.params)
    validate_inputs(given.program, settings.inputs, str(folder / str(settings.program)))
    programs.save(given.program, prefix.with_suffix(".pdmodel"))
    parameters.save(given.program, given.weights, prefix.with_suffix(".pdiparams"))
    return {str(file.resolve()) for file in given.files}


def _reference(
    prefix: Path, samples: Mapping[str, Array], inputs: tuple[TensorSpec, ...]
) -> tuple[list[Array], str, list[str]]:
    with paddle_backend.Program(prefix) as runner:
        feeds = batches(samples, inputs, BATCH)
        parts = [{str(k): array for k, array in enumerate(runner.infer(feed).values())} for feed in feeds]
    outputs = list(joined(parts, [len(next(iter(feed.values()))) for feed in feeds]).values())
    for name, array in zip(runner.outputs, outputs, strict=True):
        if array.dtype.kind == "f" and np.isnan(array).any():
            sample = int(np.argwhere(np.isnan(array))[0][0]) if array.ndim else 0
            raise ModelError(
                f"reference: output {name!r} of the fp32 model holds NaN, first in sample {sample}",
                try_="check the weights and the evaluation inputs; nothing can be compared with NaN",
            )
    return outputs, paddle_backend.device_name(), list(runner.outputs)


def _results(prefix: Path, data: Mapping[str, Mapping[str, Array] | None]) -> str:
    """What the user's code gave: the exported program, its weights, and every array."""
    digest = hashlib.sha256()
    for suffix in (".pdmodel", ".pdiparams"):
        digest.update(sha256(prefix.with_suffix(suffix)).encode())
    for kind, arrays in data.items():
        for name, array in sorted((arrays or {}).items()):
            digest.update(f"{kind} {name!r} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _hash(samples: Mapping[str, Array]) -> str:
    return hashlib.sha256(pack_npz(samples)).hexdigest()

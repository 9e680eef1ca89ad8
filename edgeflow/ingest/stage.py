"""Stage 1: the model becomes a static fp32 program, and its outputs on the evaluation inputs the reference."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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
from edgeflow.graph.counted_boxes import count_boxes
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
    given = _given(source.folder, settings, tools, prefix)
    results = {
        "results_sha256": _results(prefix, given.content()),
        "read": sorted(given.read),
        "touched": sorted(given.touched),
    }
    if results["results_sha256"] in source.facts.get("known", ()):
        return Artifact(tools.folder, results)
    raw = prefix.with_name("exported")
    spelled = _spell(given, settings, prefix, raw)
    evaluation = given.evaluation.arrays
    # The reference is what was exported, not what the passes made of it.
    outputs, device, names = _reference(raw, evaluation, settings.inputs)
    if is_onnx(settings.program):
        from edgeflow.ingest.onnx_import.origin import hold_to_origin

        samples = {spec.name: evaluation[spec.name] for spec in settings.inputs}
        hold_to_origin(
            source.folder / str(settings.program), samples, dict(zip(names, outputs, strict=True)), tools.folder
        )
    raw.with_suffix(".pdiparams").unlink()
    _save(given, settings, outputs, tools.folder)
    return Artifact(
        tools.folder,
        {
            "device": device,
            "foreign": settings.program is not None,
            "outputs": names,
            "output_kinds": [asdict(kind) for kind in output_kinds(given.program)],
            "samples": _count(evaluation),
            "calibration_samples": 0 if given.calibration is None else _count(given.calibration.arrays),
            "model_sha256": sha256(raw.with_suffix(".pdmodel")),
            **{f"{kind}_sha256": None if arrays is None else _hash(arrays) for kind, arrays in given.arrays().items()},
            **spelled,
            "pictures": _pictures(given.evaluation, tools.folder),
            "vocab_sha256": next((rules.vocab_sha256 for rules in settings.tokenize.values()), None),
            "texts": [
                text if isinstance(text, str) else text.decode("utf-8", "replace") for text in given.evaluation.texts
            ],
            "seen": _seen(given.parts(), settings),
            **results,
        },
    )


@dataclass(frozen=True)
class _Given:
    """What the recipe's model and data are, before anything is made of them, and which files that took."""

    program: Any
    weights: dict[str, Array]
    evaluation: Samples
    calibration: Samples | None
    training: Samples | None
    read: frozenset[str]
    touched: frozenset[str]

    def parts(self) -> dict[str, Samples | None]:
        return {"evaluation": self.evaluation, "calibration": self.calibration, "training": self.training}

    def arrays(self) -> dict[str, Mapping[str, Array] | None]:
        return {kind: None if part is None else part.arrays for kind, part in self.parts().items()}

    def content(self) -> dict[str, Mapping[str, Array] | None]:
        """All that the functions of data gave, by what it is for."""
        pixels = {f"{name} of {picture.sample}": picture.pixels for name, picture in self.evaluation.pictures.items()}
        return {**self.arrays(), "pictures": pixels, "names": self.names()}

    def names(self) -> dict[str, Array]:
        """What a reference keeps of the samples' names."""
        return {NAMES: packed_names(self.evaluation.names)} if self.evaluation.names else {}


def _given(folder: Path, settings: IngestSettings, tools: Tools, prefix: Path) -> _Given:
    """Call the recipe's functions, or read the files that it names; the program lies at `prefix` then."""
    with in_folder(folder), files_read(folder) as of_model:
        declared = _model(folder, settings, prefix)
    # Before the data, which may take long; and outside of what is traced, for these files are our own.
    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    refuse_lod(program, settings.program or settings.factory or "the model")
    validate_weights(program, weights, settings.program or settings.factory or "the model")
    count_boxes(program)
    with in_folder(folder), files_read(folder) as of_data:
        evaluated, calibrated, trained = _data(folder, settings)
    if settings.program is not None:
        tools.fence()  # after the user's own data functions, which may write what they like
    programs.forget_callstacks(program)
    programs.save(program, prefix.with_suffix(".pdmodel"))
    read, touched = of_model.read | of_data.read | declared, of_model.touched | of_data.touched
    return _Given(program, weights, evaluated, calibrated, trained, frozenset(read), frozenset(touched))


def _spell(given: _Given, settings: IngestSettings, prefix: Path, raw: Path) -> dict[str, Any]:
    """Lay what was exported at `raw`, and at `prefix` what opt and the runtime take; the facts of it."""
    fix_shapes(given.program, given.weights, settings.inputs, inferred_dims)
    repairs = legalise(given.program)
    rewrites = canonicalise(given.program, given.weights, paddle_backend.evaluate)
    legalise(given.program)  # what the rewrites brought in
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.move(prefix.with_suffix(suffix), raw.with_suffix(suffix))
    programs.save(given.program, prefix.with_suffix(".pdmodel"))
    parameters.save(given.program, given.weights, prefix.with_suffix(".pdiparams"))
    return {"weights_sha256": sha256(raw.with_suffix(".pdiparams")), "repairs": repairs, "rewrites": rewrites}


def _save(given: _Given, settings: IngestSettings, outputs: list[Array], folder: Path) -> None:
    """reference.npz, calibration.npz and training.npz."""
    evaluation = given.evaluation.arrays
    arrays = {f"input/{spec.name}": evaluation[spec.name] for spec in settings.inputs}
    arrays.update({f"output/{k}": array for k, array in enumerate(outputs)})
    if LABEL in evaluation:
        arrays[LABEL] = evaluation[LABEL]
    arrays.update(given.names())
    save_npz(folder / "reference.npz", arrays)
    for kind, part in (("calibration", given.calibration), ("training", given.training)):
        if part is not None:
            save_npz(folder / f"{kind}.npz", {k: v for k, v in part.arrays.items() if k != LABEL})


def _pictures(evaluated: Samples, folder: Path) -> dict[str, dict[str, Any]]:
    """Keep a raw picture of each input that was made of pictures; where it lies, and which sample it is."""
    kept = {}
    for k, (name, picture) in enumerate(sorted(evaluated.pictures.items())):
        kept[name] = {"file": f"picture_{k}.png", "sample": picture.sample}
        write_atomic(folder / f"picture_{k}.png", pack_png(picture.pixels))
    return kept


def _count(samples: Mapping[str, Array]) -> int:
    return len(next(iter(samples.values())))


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
    given = read_paddle_files(folder, str(settings.program), settings.params, settings.inputs)
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

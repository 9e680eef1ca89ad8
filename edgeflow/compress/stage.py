"""Stage 2: make the program smaller for the target, or leave it float where that is right.

In this order: spell it for the target, prune, make sparse, fine-tune, quantise.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.compress.buildable import validate_program
from edgeflow.compress.channels import convolutions, own_channels, prunable
from edgeflow.compress.kept import METHOD, is_quantised, keep_int8
from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import CompressFailed, DataError, RecipeError, near
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.graph import program as programs

if TYPE_CHECKING:
    from edgeflow.compress.train import Tuned

SOURCE = "source"
"""The program as it is before compression, spelled for the target: what layer maps and placement are read from."""

FLOAT = "float"
"""Of an int8 program: the same before quantisation, pruned and trained."""

SUFFIXES = (".pdmodel", ".pdiparams")
WEIGHT_TYPE = {"per_channel": "channel_wise_abs_max", "per_layer": "abs_max"}


@dataclass(frozen=True, slots=True)
class Order:
    """What every step of one compression is given.

    `teacher`: the float program before compression. `work`: a folder for programs between two steps. `training`: the
    samples to train on, None where nothing trains.
    """

    target: Target
    settings: CompressSettings
    tools: Tools
    teacher: Path
    work: Path
    training: Path | None


@dataclass(frozen=True, slots=True)
class Step:
    """What one step made: a program, the facts about it for the manifest, and what a person calls the step."""

    program: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = ()


def compress(source: Artifact, target: Target, settings: CompressSettings, tools: Tools) -> Artifact:
    """Prune, make sparse, fine-tune and quantise, as the settings and the target say; the user's model is only read.

    Settings are held to the target before, by validate_settings: what the cache has is not made again, and is refused
    all the same.

    Returns:
        model.pdmodel and model.pdiparams; source.pdmodel, the program before compression; for int8 also float.pdmodel,
        the same before quantisation.

    Raises:
        RecipeError: the target refuses the precision asked for, or a layer named does not exist.
        DataError: int8 or fine-tuning without calibration data.
        CompressFailed: PaddleSlim gave up, or a layer would be emptied.
    """
    precision = target.choose(settings.precision)
    if is_quantised(source.folder / "model"):
        return _kept(source.folder / "model", target, settings, precision, tools)
    teacher, work = tools.folder / SOURCE, tools.folder / "steps"
    respelled = _specialised(source.folder / "model", teacher, target)
    validate_program(teacher, target, precision, unverified=settings.unverified)
    if precision == "int8":
        _own_weights(teacher)
    work.mkdir()
    calibration = _calibration(source, "int8") if precision == "int8" else None
    smoothed = _smoothed(teacher, target, settings, calibration) if calibration is not None else Step(teacher)
    trains = settings.qat or settings.sparsity > 0 or (settings.fine_tune.epochs and not settings.is_plain)
    training = _training(source, "sparsity" if settings.sparsity else "fine-tuning") if trains else None
    order = Order(target, settings, tools, teacher, work, training)
    pruned = _pruned(order)
    tuned = _tuned(pruned.program, order)
    if calibration is None:
        last = _stored(tuned.program, order)
    else:
        last = _quantised(tuned.program, order, calibration)
    shutil.rmtree(work)
    for what in ("float", "int8"):
        _checkpoint(tools, what).unlink(missing_ok=True)
    steps = (smoothed, pruned, tuned, last)
    facts = {
        "precision": precision,
        "respelled": respelled,
        "sparsity": settings.sparsity,
        "weight_only": settings.weight_only,
        **{key: value for step in steps for key, value in step.facts.items()},
        "method": ", ".join(method for step in steps for method in step.methods) or "none",
    }
    return Artifact(tools.folder, facts)


def _kept(model: Path, target: Target, settings: CompressSettings, precision: str, tools: Tools) -> Artifact:
    """What PaddleSlim quantised before it came here."""
    validate_program(model, target, precision, unverified=settings.unverified)
    count, floats = keep_int8(model, tools.folder, target, settings)
    facts = {
        "precision": precision,
        "respelled": {},
        "sparsity": 0.0,
        "weight_only": None,
        "quantised_before": count,
        "method": METHOD + (f", {floats} layers put back in float" if floats else ""),
    }
    return Artifact(tools.folder, facts)


def _smoothed(teacher: Path, target: Target, settings: CompressSettings, samples: Mapping[str, Any]) -> Step:
    """The float program with channels scaled that eight bits are too few for; its own files, for others may share
    them.
    """
    if settings.smoothing == "none":
        return Step(teacher)
    from edgeflow.compress.smooth import smoothed

    per_channel = (settings.weights or target.precision.weights) == "per_channel"
    arm = target.lite.valid_targets == "arm"
    made = smoothed(teacher, samples, per_channel=per_channel, arm=arm, way=settings.smoothing)
    if not made:
        return Step(teacher)
    count = sum(len(item.layers) for item in made)
    return Step(teacher, {"smoothed": [asdict(item) for item in made]}, (f"inputs of {count} linear layers smoothed",))


def _pruned(order: Order) -> Step:
    settings = order.settings
    if not settings.prune and not settings.prune_layers:
        return Step(order.teacher)
    from edgeflow.compress.prune import prune

    names = prunable(order.teacher)
    for key, given in (("prune_skip", settings.prune_skip), ("prune_layers", settings.prune_layers)):
        for name in given:
            if name not in names:
                raise RecipeError(f"[compress] {key}: {name!r} has no channels to lose; {near(name, names, 'weights')}")
    wanted = {**dict.fromkeys(names, settings.prune), **settings.prune_layers}
    last = own_channels(order.teacher) & set(names)
    out = order.work / "pruned"
    found = prune(
        order.teacher,
        out,
        {name: share for name, share in wanted.items() if share > 0},
        skip={*settings.prune_skip, *last},
        criterion=settings.prune_criterion,
    )
    if found.macs_after == found.macs_before:
        raise CompressFailed(
            "[compress] prune: took nothing, no convolution of this model can lose channels",
            try_="leave prune out; edgeflow sensitivity --prune lists what can go",
        )
    share = f"{settings.prune:.0%} of channels"
    if settings.prune_layers:
        share = f"channels of {sum(share > 0 for share in settings.prune_layers.values())} layers"
    return Step(out, {"pruned": asdict(found)}, (f"{share} pruned by {settings.prune_criterion}",))


def _tuned(floats: Path, order: Order) -> Step:
    """Fine-tune in float where something was taken away; a sparse program without epochs keeps its largest weights."""
    settings = order.settings
    if settings.is_plain or order.training is None or (not settings.sparsity and not settings.fine_tune.epochs):
        return Step(floats)
    from edgeflow.compress.launch import fine_tune
    from edgeflow.compress.train import Job

    if settings.sparsity and not any(dims[2:] == (1, 1) for _, dims in convolutions(floats)):
        raise CompressFailed(
            "[compress] sparsity: took nothing, as only 1x1 convolutions have sparse kernels and there are none",
            try_="leave sparsity out",
        )
    out = order.work / "tuned"
    job = Job(
        floats,
        order.teacher,
        out,
        order.training,
        _checkpoint(order.tools, "float"),
        settings.fine_tune,
        sparsity=settings.sparsity,
    )
    tuned = fine_tune(job, order.tools.say)
    methods = []
    if settings.sparsity:
        methods.append(f"{settings.sparsity:.0%} zeros in 1x1 convolutions")
    if settings.fine_tune.epochs:
        methods.append(f"distilled for {tuned.epochs} epochs")
    return Step(out, {"fine_tuned": asdict(tuned)}, tuple(methods))


def _stored(floats: Path, order: Order) -> Step:
    """The float program as the result; opt stores its weights in fewer bits where that is asked for."""
    out = order.tools.folder / "model"
    _link_program(floats, out)
    kind = order.settings.weight_only
    return Step(out, methods=(f"weights stored in {kind}",) if kind else ())


def _quantised(floats: Path, order: Order, samples: Mapping[str, Any]) -> Step:
    from edgeflow.compress.quantise import calibrated, finish

    settings, target, out = order.settings, order.target, order.tools.folder / "model"
    weights = settings.weights or target.precision.weights
    facts: dict[str, Any] = {}
    if settings.qat:
        tuned = _trained(floats, out, order)
        facts = {"qat": asdict(tuned), "calibration_samples": len(next(iter(samples.values())))}
        method = f"quantisation-aware training, {tuned.epochs} epochs, weights {weights}"
        kept = finish(out.with_name(FLOAT), out, target, settings.keep_float, samples)
    else:
        _link_program(floats, out.with_name(FLOAT))
        facts["calibration_samples"], kept = calibrated(floats, out, target, settings, samples)
        method = f"post-training quantisation, {settings.algo}, weights {weights}"
        method += ", reconstructed" if settings.rounding == "reconstruction" else ""
        method += f", {len(settings.layer_algo)} layers with a range of their own" if settings.layer_algo else ""
    return Step(out, facts, (method, f"{kept} layers kept in float") if kept else (method,))


def _trained(floats: Path, out: Path, order: Order) -> Tuned:
    """Quantisation-aware training; its float weights go beside the program, as FLOAT."""
    from edgeflow.compress.launch import fine_tune
    from edgeflow.compress.slim import qat_settings
    from edgeflow.compress.train import Job

    assert order.training is not None
    job = Job(
        floats,
        order.teacher,
        out,
        order.training,
        _checkpoint(order.tools, "int8"),
        order.settings.fine_tune,
        quantise=qat_settings(WEIGHT_TYPE[order.settings.weights or order.target.precision.weights]),
        trained=out.with_name(FLOAT),
        sparsity=order.settings.sparsity,
    )
    return fine_tune(job, order.tools.say)


def _checkpoint(tools: Tools, what: str) -> Path:
    """Beside the folder, which vanishes when a stage is killed; named after what makes the result."""
    return tools.folder.parent / f"{tools.key or tools.folder.name.strip('.')}.{what}.npz"


def _calibration(source: Artifact, what: str) -> Any:
    from edgeflow.files.arrays import load_npz

    return load_npz(_data(source, ("calibration.npz",), what))


def _training(source: Artifact, what: str) -> Path:
    """What is trained on: the recipe's training inputs, or else those it calibrates with."""
    return _data(source, ("training.npz", "calibration.npz"), what)


def _data(source: Artifact, names: tuple[str, ...], what: str) -> Path:
    found = next((source.folder / name for name in names if (source.folder / name).exists()), None)
    if found is None:
        raise DataError(
            f"{what} needs calibration data, and the recipe names none",
            try_='calibration = "data.py:calibration" under [data]',
        )
    return found


def _specialised(prefix: Path, out: Path, target: Target) -> dict[str, int]:
    """The program in the ops that the target's NPU takes and its ARM kernels have right; the same files where nothing
    is to do.
    """
    from edgeflow.graph.edit import Editor
    from edgeflow.graph.respell import defective

    program = programs.load(prefix.with_suffix(".pdmodel"))
    made: dict[str, int] = {}
    if target.uses_npu or target.lite.fp16 or any(defective(Editor(program), target)):
        from edgeflow.graph import parameters
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
    _link_program(prefix, out)
    return made


def _own_weights(prefix: Path) -> None:
    """Weights that are read as they are beside the layer that will hold them in int8, as an output is, are copied; and
    every op says what PaddleSlim asks of it.
    """
    from edgeflow.graph import parameters
    from edgeflow.graph.edit import Editor
    from edgeflow.graph.quantised import give_roles, own_weights

    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    editor = Editor(program, weights)
    told, copied = give_roles(program), own_weights(editor)
    if told or copied:
        editor.commit()
        programs.save(program, prefix.with_suffix(".pdmodel"))
        parameters.save(program, weights, prefix.with_suffix(".pdiparams"))


def _link_program(source: Path, out: Path) -> None:
    """Program and parameters under another name."""
    for suffix in SUFFIXES:
        _link(source.with_suffix(suffix), out.with_suffix(suffix))


def _link(source: Path, out: Path) -> None:
    """The same file twice without its bytes twice, where the disk can."""
    try:
        os.link(source, out)
    except OSError:
        shutil.copyfile(source, out)

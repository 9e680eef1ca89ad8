"""Stage 2: make the program smaller for the target, or leave it float where that is right.

In this order: spell it for the target, prune, make sparse, fine-tune, quantise.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeflow.compress.fits import check_program
from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import CompressFailed, DataError, RecipeError, near
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import Target
from edgeflow.graph import program as programs

SOURCE = "source"
"""The program as it is before compression, spelled for the target: what layer maps and placement are read from."""

FLOAT = "float"
"""Of an int8 program: the same before quantisation, pruned and trained."""

SUFFIXES = (".pdmodel", ".pdiparams")
WEIGHT_TYPE = {"per_channel": "channel_wise_abs_max", "per_layer": "abs_max"}


def compress(source: Artifact, target: Target, settings: CompressSettings, tools: Tools) -> Artifact:
    """Prune, make sparse, fine-tune and quantise, as the settings and the target say; the user's model is only read.

    Settings are held to the target before, by check_settings: what the cache has is not made again, and is refused
    all the same.

    Returns:
        model.pdmodel and model.pdiparams, source.pdmodel, the program before compression, and for int8 float.pdmodel,
        the same
        before quantisation.

    Raises:
        RecipeError: the target refuses the precision asked for, or a layer named does not exist.
        DataError: int8 or fine-tuning without calibration data.
        CompressFailed: PaddleSlim gave up, or a layer would be emptied.
    """
    precision = target.choose(settings.precision)
    prefix, out = tools.folder / SOURCE, tools.folder / "model"
    respelled = _specialised(source.folder / "model", prefix, target)
    check_program(prefix, target, precision)
    if precision == "int8":
        _own_weights(prefix)
    facts: dict[str, Any] = {
        "precision": precision,
        "respelled": respelled,
        "sparsity": settings.sparsity,
        "weight_only": settings.weight_only,
    }
    work = tools.folder / "steps"
    work.mkdir()
    methods: list[str] = []
    calibration = _calibration(source, "int8") if precision == "int8" else None
    trains = settings.qat or settings.sparsity > 0 or (settings.fine_tune.epochs and not settings.is_plain)
    training = _training(source, "sparsity" if settings.sparsity else "fine-tuning") if trains else None
    floats = _pruned(prefix, work, settings, facts, methods)
    floats = _tuned(floats, prefix, work, settings, training, facts, methods, tools)
    if precision != "int8":
        for suffix in SUFFIXES:
            _link(floats.with_suffix(suffix), out.with_suffix(suffix))
        if settings.weight_only:
            methods.append(f"weights stored in {settings.weight_only}")
    else:
        assert calibration is not None
        _quantised(floats, prefix, out, target, settings, calibration, training, facts, methods, tools)
    shutil.rmtree(work)
    for what in ("float", "int8"):
        _checkpoint(tools, what).unlink(missing_ok=True)
    return Artifact(tools.folder, {**facts, "method": ", ".join(methods) or "none"})


def check_settings(settings: CompressSettings, target: Target, precision: str) -> None:
    """Hold settings to each other and to the target.

    Raises:
        RecipeError: they exclude each other, or ask for what the target's kernels do not have.
    """
    arm = target.lite.valid_targets == "arm"
    shares = {
        "prune": settings.prune,
        "sparsity": settings.sparsity,
        **{f"prune_layers {name!r}": share for name, share in settings.prune_layers.items()},
    }
    for key, share in shares.items():
        if not 0 <= share < 1:
            raise RecipeError(f"[compress] {key}: is {share}, and should be at least 0 and below 1")
    if settings.sparsity and not arm:
        raise RecipeError(
            f"[compress] sparsity: {target.name} has no sparse kernels, only ARM CPUs do", try_="--target arm64"
        )
    if settings.weight_only and (precision != "float32" or not arm):
        raise RecipeError(
            f"[compress] weight_only: is for float32 on ARM, and this is {precision} for {target.name}",
            try_="leave it out: int8 stores its weights in int8 already",
        )
    tune = settings.fine_tune
    for key, least in (("epochs", 0), ("batch", 1), ("warm_up", 0), ("patience", 1), ("workers", 0), ("processes", 1)):
        if not getattr(tune, key) >= least:
            raise RecipeError(f"[compress.fine_tune] {key}: is {getattr(tune, key)}, and should be at least {least}")
    if not 0 < tune.learning_rate < math.inf:
        raise RecipeError(
            f"[compress.fine_tune] learning_rate: is {tune.learning_rate}, and should be a number above 0"
        )
    if tune.batch < tune.processes:
        raise RecipeError(
            f"[compress.fine_tune] batch: {tune.batch} samples cannot be shared by {tune.processes} processes"
        )
    for key, given in (
        ("rounding: reconstruction", settings.rounding == "reconstruction"),
        ("layer_algo", settings.layer_algo),
        ("bias_correction", settings.bias_correction),
    ):
        if settings.qat and given and precision == "int8":
            raise RecipeError(
                f"[compress] {key} is for quantisation after training, and qat trains", try_=f"leave {key} or qat out"
            )
    if settings.rounding == "reconstruction" and target.precision.scales == "power_of_two":
        raise RecipeError(
            f"[compress] rounding: {target.name} rounds weights anew to scales that are powers of two",
            try_='rounding = "nearest", or qat',
        )
    if settings.qat and not settings.fine_tune.epochs:
        raise RecipeError("[compress] qat: needs epochs to train for", try_="[compress.fine_tune] epochs = 5")


def _pruned(prefix: Path, work: Path, settings: CompressSettings, facts: dict[str, Any], methods: list[str]) -> Path:
    if not settings.prune and not settings.prune_layers:
        return prefix
    from edgeflow.compress.prune import prune

    names = prunable(prefix)
    for key, given in (("prune_skip", settings.prune_skip), ("prune_layers", settings.prune_layers)):
        for name in given:
            if name not in names:
                raise RecipeError(f"[compress] {key}: {name!r} has no channels to lose; {near(name, names, 'weights')}")
    wanted = {**dict.fromkeys(names, settings.prune), **settings.prune_layers}
    last = own_channels(prefix) & set(names)
    facts["pruned"] = prune(
        prefix,
        work / "pruned",
        {name: share for name, share in wanted.items() if share > 0},
        skip={*settings.prune_skip, *last},
        criterion=settings.prune_criterion,
    )
    if facts["pruned"]["macs_after"] == facts["pruned"]["macs_before"]:
        raise CompressFailed(
            "[compress] prune: took nothing, no convolution of this model can lose channels",
            try_="leave prune out; edgeflow sensitivity --prune lists what can go",
        )
    share = (
        f"{settings.prune:.0%} of channels"
        if not settings.prune_layers
        else (f"channels of {sum(share > 0 for share in settings.prune_layers.values())} layers")
    )
    methods.append(f"{share} pruned by {settings.prune_criterion}")
    return work / "pruned"


def prunable(prefix: Path) -> dict[str, int]:
    """Weights of convolutions whose channels may go, with how many they have: not depthwise, and not the output
    itself.
    """
    return {name: dims[0] for name, dims in _convolutions(prefix)}


def _convolutions(prefix: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Weights of convolutions without groups, with their dims: [out, in, kernel height, kernel width]."""
    block = programs.load(prefix.with_suffix(".pdmodel")).blocks[0]
    found = []
    for op in block.ops:
        if op.type == "conv2d" and (getattr(programs.attribute(op, "groups"), "i", 1) or 1) == 1:
            name = programs.arguments(op.inputs, "Filter")[0]
            dims = programs.variable(block, name).type.lod_tensor.tensor.dims  # type: ignore[union-attr]
            found.append((name, tuple(int(dim) for dim in dims)))
    return found


def own_channels(prefix: Path) -> set[str]:
    """Weights of convolutions whose result is an output: their channels are the model's own."""
    from edgeflow.graph.edit import Editor, output

    editor = Editor(programs.load(prefix.with_suffix(".pdmodel")))
    found: set[str] = set()
    waiting = [name for op in editor.ops if op.type == "fetch" for var in op.inputs for name in var.arguments]
    while waiting:
        op = editor.producer(waiting.pop())
        if op is None or op.type in ("mul", "matmul", "matmul_v2", "feed"):
            continue
        if "conv2d" in op.type:
            found.update(name for var in op.inputs for name in var.arguments if editor.is_parameter(name))
            continue
        waiting += [name for var in op.inputs for name in var.arguments if name != output(op)]
    return found


def _tuned(
    floats: Path,
    teacher: Path,
    work: Path,
    settings: CompressSettings,
    training: Path | None,
    facts: dict[str, Any],
    methods: list[str],
    tools: Tools,
) -> Path:
    """Fine-tune in float where something was taken away; a sparse program without epochs keeps its largest weights."""
    if settings.is_plain or training is None or (not settings.sparsity and not settings.fine_tune.epochs):
        return floats
    from edgeflow.compress.launch import fine_tune
    from edgeflow.compress.train import Job

    if settings.sparsity and not any(dims[2:] == (1, 1) for _, dims in _convolutions(floats)):
        raise CompressFailed(
            "[compress] sparsity: took nothing, as only 1x1 convolutions have sparse kernels and there are none",
            try_="leave sparsity out",
        )
    tuned = fine_tune(
        Job(
            floats,
            teacher,
            work / "tuned",
            training,
            _checkpoint(tools, "float"),
            settings.fine_tune,
            sparsity=settings.sparsity,
        ),
        tools.say,
    )
    facts["fine_tuned"] = asdict(tuned)
    if settings.sparsity:
        methods.append(f"{settings.sparsity:.0%} zeros in 1x1 convolutions")
    if settings.fine_tune.epochs:
        methods.append(f"distilled for {tuned.epochs} epochs")
    return work / "tuned"


def _checkpoint(tools: Tools, what: str) -> Path:
    """Beside the folder, which vanishes when a stage is killed; named after what makes the result."""
    return tools.folder.parent / f"{tools.key or tools.folder.name.strip('.')}.{what}.npz"


def _quantised(
    floats: Path,
    teacher: Path,
    out: Path,
    target: Target,
    settings: CompressSettings,
    samples: Mapping[str, Any],
    training: Path | None,
    facts: dict[str, Any],
    methods: list[str],
    tools: Tools,
) -> None:
    weights = settings.weights or target.precision.weights
    if settings.qat:
        from edgeflow.compress import slim
        from edgeflow.compress.launch import fine_tune
        from edgeflow.compress.train import Job

        assert training is not None
        trained = out.with_name(FLOAT)
        tuned = fine_tune(
            Job(
                floats,
                teacher,
                out,
                training,
                _checkpoint(tools, "int8"),
                settings.fine_tune,
                quantise=slim.qat_settings(WEIGHT_TYPE[weights]),
                trained=trained,
                sparsity=settings.sparsity,
            ),
            tools.say,
        )
        facts["qat"] = asdict(tuned)
        facts["calibration_samples"] = len(next(iter(samples.values())))
        methods.append(f"quantisation-aware training, {tuned.epochs} epochs, weights {weights}")
        kept = _settled(trained, out, settings.keep_float, power_of_two=target.precision.scales == "power_of_two")
    else:
        for suffix in SUFFIXES:
            _link(floats.with_suffix(suffix), out.with_name(FLOAT).with_suffix(suffix))
        facts["calibration_samples"], kept = calibrated(floats, out, target, settings, samples)
        extra = ", reconstructed" if settings.rounding == "reconstruction" else ""
        extra += f", {len(settings.layer_algo)} layers with a range of their own" if settings.layer_algo else ""
        methods.append(f"post-training quantisation, {settings.algo}, weights {weights}{extra}")
    if kept:
        methods.append(f"{kept} layers kept in float")


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
    from edgeflow.compress import slim

    per_channel = (settings.weights or target.precision.weights) == "per_channel"
    count = len(next(iter(samples.values())))
    fixed = next((dims[0] for _, dims, _ in programs.feeds(programs.load(floats.with_suffix(".pdmodel"))) if dims), -1)
    if fixed > count:
        raise DataError(f"{count} calibration samples do not fill the model's fixed batch of {fixed}")
    if fixed > 0:
        count -= count % fixed
        samples = {name: array[:count] for name, array in samples.items()}
    batch = fixed if fixed > 0 else min(32, count)
    slim.quantise(
        floats,
        out,
        samples,
        algo=settings.algo,
        per_channel=per_channel,
        bias_correction=settings.bias_correction,
        batch=batch,
        reconstruct=settings.rounding == "reconstruction",
    )
    if not out.with_suffix(".pdiparams").exists():
        raise CompressFailed("PaddleSlim wrote no parameters")
    _own_ranges(floats, out, samples, settings, per_channel, batch)
    return count, _settled(floats, out, settings.keep_float, power_of_two=target.precision.scales == "power_of_two")


def _own_ranges(
    floats: Path, out: Path, samples: Mapping[str, Any], settings: CompressSettings, per_channel: bool, batch: int
) -> None:
    """Ranges of single layers' inputs as another algorithm finds them.

    Raises:
        RecipeError: a layer named is not quantised here.
    """
    from edgeflow.compress import slim
    from edgeflow.graph import parameters
    from edgeflow.graph.edit import Editor
    from edgeflow.graph.quantised import activation_scales

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
        slim.quantise(floats, other, samples, algo=algo, per_channel=per_channel, bias_correction=False, batch=batch)
        theirs = parameters.load(programs.load(other.with_suffix(".pdmodel")), other.with_suffix(".pdiparams"))
        held.update({scales[name]: theirs[scales[name]] for name, own in settings.layer_algo.items() if own == algo})
    parameters.save(program, held, out.with_suffix(".pdiparams"))


def _settled(floats: Path, out: Path, keep: tuple[str, ...], *, power_of_two: bool) -> int:
    """Names that do not depend on the run, layers that stay float, scales that are powers of two.

    Raises:
        RecipeError: a layer named is not quantised here.
    """
    from edgeflow.graph import parameters
    from edgeflow.graph.edit import Editor
    from edgeflow.graph.powers import power_of_two_scales
    from edgeflow.graph.quantised import canonical_names, keep_float, layers

    program = programs.load(out.with_suffix(".pdmodel"))
    weights = parameters.load(program, out.with_suffix(".pdiparams"))
    source = parameters.load(programs.load(floats.with_suffix(".pdmodel")), floats.with_suffix(".pdiparams"))
    editor = Editor(program, weights)
    found = layers(editor)
    known = {layer.name for layer in found} | {layer.op_type for layer in found}
    for name in keep:
        if name not in known:
            raise RecipeError(
                f"[compress] keep_float: {name!r} is no quantised layer; {near(name, known, 'layers')}",
                try_="edgeflow sensitivity lists them",
            )
    made = keep_float(editor, source, {layer.name for layer in found if layer.name in keep or layer.op_type in keep})
    canonical_names(editor)
    editor.commit()
    if power_of_two:
        power_of_two_scales(program, weights, source)
    programs.forget_callstacks(program)
    programs.save(program, out.with_suffix(".pdmodel"))
    parameters.save(program, weights, out.with_suffix(".pdiparams"))
    return made


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
    for suffix in SUFFIXES:
        _link(prefix.with_suffix(suffix), out.with_suffix(suffix))
    return made


def _own_weights(prefix: Path) -> None:
    """Weights that are read as they are beside the layer that will hold them in int8, as an output is, are copied."""
    from edgeflow.graph import parameters
    from edgeflow.graph.edit import Editor
    from edgeflow.graph.quantised import own_weights

    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    editor = Editor(program, weights)
    if own_weights(editor):
        editor.commit()
        programs.save(program, prefix.with_suffix(".pdmodel"))
        parameters.save(program, weights, prefix.with_suffix(".pdiparams"))


def _link(source: Path, out: Path) -> None:
    """The same file twice without its bytes twice, where the disk can."""
    try:
        os.link(source, out)
    except OSError:
        shutil.copyfile(source, out)

"""Verify a build: inside the flow, and again later from the files alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import DataError, EdgeflowError, NotComparable
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.strict import strict
from edgeflow.core.targets import Target
from edgeflow.deploy.qemu import QEMU
from edgeflow.deploy.residency import HOST_DEVICES
from edgeflow.deploy.runners import HERE, Where, control_run, device_report, npu_settings, open_runner, runs_programs
from edgeflow.emulate import Emulator
from edgeflow.emulate.examined import Examined
from edgeflow.files.arrays import load_npz, save_npz
from edgeflow.files.atomic import sha256, storage
from edgeflow.files.inside import read_inside
from edgeflow.graph.layermap import as_table, layer_map
from edgeflow.graph.program import load
from edgeflow.project.label_file import lines_of
from edgeflow.project.manifest import (
    StageResults,
    dump,
    load_manifest,
    manifest,
    manifest_hash,
    picture_notes,
    recorded_arithmetic,
)
from edgeflow.project.places import COMPRESSED, MANIFEST, MODEL, REFERENCE, BuildFolder
from edgeflow.project.recipe import LABELS_MAX_BYTES, load_recipe
from edgeflow.project.reference import Reference, load_reference
from edgeflow.project.trust import is_unchanged
from edgeflow.report import exchange
from edgeflow.report.html import page
from edgeflow.report.record import Record
from edgeflow.report.record_parts import (
    BoxFigures,
    DeviceFacts,
    FileFacts,
    Output,
    OutputPart,
    PreprocessingFinding,
    ResidencyFinding,
)
from edgeflow.verify.contract import LABELS, contract_entry, write_contract
from edgeflow.verify.decided import as_arrays, from_arrays, missing_outputs, ties_of
from edgeflow.verify.device_layers import watch
from edgeflow.verify.exactness import Exactness
from edgeflow.verify.execute import EMULATED_ONLY, HOST_ONLY, run_here, run_with
from edgeflow.verify.file_facts import figures, findings, partition, profile_named
from edgeflow.verify.hops import Step
from edgeflow.verify.judge import Basis, CompressedOutputs, OutputDrift, Verdict, judge, with_ties
from edgeflow.verify.layers import LayerDrift
from edgeflow.verify.layers_and_hops import hops, hops_before, traced
from edgeflow.verify.npu_share import Required, fall_back, from_log, held_to
from edgeflow.verify.padding import with_padding
from edgeflow.verify.recorded import HASH, REPORT, look_again, with_device, with_recorded
from edgeflow.verify.seen_data import seen_data
from edgeflow.verify.worst_inputs import worst

DEVICE_BATCH = 8
"""Samples that a device computes at once: its memory is small, and a call's overhead is not what is measured."""

CANDIDATE = "candidate.npz"
EMULATOR = "emulator"


@dataclass(frozen=True, slots=True)
class Against:
    """What a .nb is judged against: None takes what lies beside it.

    `limits` override single limits of the build's own, and `lifted` names those of them that do not hold; without
    `own_limits` nothing of the build's own holds. `trust`: run the
    metric's Python file and the device's programs, though the folder was not built here. `control`: a CPU-only file of
    the same model, timed beside an NPU file on the device. `require_npu`: the least share on the NPU; `npu_log`: a log
    of a run elsewhere, in place of a device's own.
    """

    reference: Path | None = None
    limits: DriftLimits | None = None
    metric: str | None = None
    own_limits: bool = True
    trust: bool = False
    control: Path | None = None
    lifted: tuple[str, ...] = ()
    require_npu: Required | None = None
    npu_log: Path | None = None


Worker = Callable[..., Any]

BESIDE = Against()


def judge_and_report(
    made: StageResults,
    folder: Path,
    labels: bytes | None = None,
    worker: Worker | None = None,
    *,
    layers: bool = True,
) -> Artifact:
    """Stage 4 within a build: verify, then write manifest.json, contract.json and what it names, report.json and
    report.html.

    Args:
        labels: content of the recipe's labels file.
        worker: runs a function where Paddle is loaded; without it layers and hops before the .nb are left out.
        layers: look at drift layer by layer, too.
    """
    target, settings = made.target, made.settings
    loaded, file = load_reference(made.reference), Examined(made.model)
    looked, steps = LayerDrift(), []
    if worker is not None:
        device = str(made.ingested.facts["device"])
        before = (made.compressed.folder, made.reference)
        looked = worker(traced, *before, made.model, made.npu) if layers else LayerDrift()
        steps = worker(hops_before, *before, device)
    own = compressed_outputs(made, steps)
    if own is not None and worker is not None:
        own = replace(own, ties=worker(ties_of, made.compressed.folder, made.model, made.reference))
    verdict = _judged(loaded, file, made, settings, own)
    origins = as_table(layer_map(file.model, load(made.compressed.folder / "source.pdmodel")))
    kinds = [item.kind for item in verdict.outputs]
    contract = {} if not verdict.arrays else write_contract(made, file.model, loaded.inputs, labels, folder, kinds)
    table = manifest(made, origins, contract)
    table["output_kinds"] = [asdict(kind) for kind in kinds]
    if own is not None and verdict.exact:
        with storage(folder):
            arrays = {f"output/{k}": array for k, array in enumerate(own.outputs)}
            save_npz(folder / COMPRESSED, arrays | ({} if own.ties is None else as_arrays(own.ties)))
        table["compressed"] = {
            "sha256": sha256(folder / COMPRESSED),
            "exactness": [asdict(item) for item in verdict.exact],
        }
    checked = contract_entry(folder / MODEL, loaded.inputs, table)
    checked, verdict = with_padding(checked, verdict, folder, file.model, (made.npu, table))
    record = _record(verdict, table, settings.limits, checked)
    record = _with_file(record, file, target, loaded, verdict, () if labels is None else lines_of(labels))
    if worker is not None:
        record = replace(
            record,
            layers=looked.layers,
            ranked=looked.ranked,
            first_drift=looked.first_drift,
            not_checked=(*record.not_checked, *looked.stop),
            waterfall=hops(steps, made, file, loaded, verdict) if verdict.arrays else (),
        )
    table[HASH] = exchange.looks_sha256(record)
    record = replace(record, manifest_sha256=manifest_hash(table))
    with storage(folder):
        (folder / MANIFEST).write_bytes(dump(table))
        (folder / REPORT).write_bytes(exchange.dump(record))
        (folder / "report.html").write_text(page(record), encoding="utf-8")
    facts: dict[str, Any] = {"passed": record.passed, "manifest_sha256": record.manifest_sha256}
    if ".py:" in (settings.metric or "") and verdict.arrays:
        # The user's metric is called again in the next build, on these: see flow.build.
        save_npz(folder / CANDIDATE, {f"output/{k}": array for k, array in enumerate(verdict.arrays)})
        facts["scores"] = scores_as_facts(verdict.metric_reference, verdict.metric_candidate)
    return Artifact(folder, facts)


def _judged(
    loaded: Reference, file: Examined, made: StageResults, settings: VerifySettings, own: CompressedOutputs | None
) -> Verdict:
    """The verdict; where the file cannot be run or compared at all, a FAIL that says so.

    The file took minutes to make, and its report tells what is wrong with it.
    """
    try:
        ran = with_ties(run_here(file, loaded, made.npu), file.model, loaded, own)
    except EdgeflowError as err:
        if made.recipe.compress_settings(made.target).unverified:
            return _unverified(loaded, settings, err)
        return _not_compared(loaded, settings, err)
    try:
        return judge(loaded, ran, settings, made.recipe.folder, own)
    except NotComparable as err:
        return _not_compared(loaded, settings, err)


def _unverified(loaded: Reference, settings: VerifySettings, err: EdgeflowError) -> Verdict:
    """A file that the user wanted all the same: nothing is known of what it computes, and the verdict says so."""
    why = f"what the file computes: it was built with --unverified and never ran here: {err.what}"
    return Verdict((), loaded.samples, "nothing", (), settings.metric, not_checked=(why, HOST_ONLY), judged=False)


def _not_compared(loaded: Reference, settings: VerifySettings, err: EdgeflowError) -> Verdict:
    why = f"the file could not be compared with its reference: {err.what}"
    return Verdict((), loaded.samples, Emulator.name, (why,), settings.metric, not_checked=(HOST_ONLY,))


def compressed_outputs(made: StageResults, steps: Sequence[Step]) -> CompressedOutputs | None:
    """What the compressed program gives, of an int8 file whose kernels compute what that program simulates.

    NPUs compute whole subgraphs in their own integers, which no fake-quantised program simulates.
    """
    if made.compressed.facts["precision"] != "int8" or made.target.uses_npu:
        return None
    found = next((step.outputs for step in steps if step.key == "compressed"), None)
    return None if found is None else CompressedOutputs(found)


def scores_as_facts(reference: float | None, candidate: float | None) -> list[str]:
    """Scores of a metric so that they can be compared exactly, NaN too."""
    return [repr(reference), repr(candidate)]


def _record(verdict: Verdict, table: Mapping[str, Any], limits: DriftLimits, contract: PreprocessingFinding) -> Record:
    """The verdict with where its numbers come from; a manifest is read with the same care as a report."""
    reference, keys = table.get("reference"), ("name", "target", "precision", "compression", "tools", "nb")
    said = exchange.read_record(
        {
            **{key: table.get(key) for key in keys},
            "reference_device": reference.get("device") if isinstance(reference, Mapping) else None,
        }
    )
    return replace(
        said,
        verdict=verdict.verdict,
        broken=verdict.broken,
        undecided=verdict.undecided,
        samples=verdict.samples,
        runner=verdict.runner,
        not_checked=(*verdict.not_checked, *seen_data(table), *picture_notes(table)),
        limits=limits,
        outputs=tuple(map(_output, verdict.outputs)),
        metric=verdict.metric,
        metric_reference=verdict.metric_reference,
        metric_candidate=verdict.metric_candidate,
        decision=verdict.decision,
        classes=verdict.classes,
        contract=contract,
        manifest_sha256=manifest_hash(table) if table else None,
    )


def _output(item: OutputDrift) -> Output:
    """One output as a record holds it."""
    figures = {field.name: getattr(item.drift, field.name) for field in fields(item.drift)}
    parts = tuple(
        OutputPart(part.part.text, part.drift.sqnr_db, part.drift.cosine, part.drift.max_abs) for part in item.parts
    )
    boxes = None if item.boxes is None else BoxFigures(**asdict(item.boxes))
    return Output(item.index, item.name, item.kind.kind, item.kind.why, parts=parts, boxes=boxes, **figures)


def _with_file(
    record: Record,
    file: Examined,
    target: Target | None,
    loaded: Reference,
    verdict: Verdict,
    names: Sequence[str] = (),
) -> Record:
    """What the file itself tells, and the samples it gets most wrong, with `names` of classes or letters."""
    known = figures(file, target, loaded.inputs)
    facts = replace(record.nb or FileFacts(), sha256=file.sha256, bytes=file.path.stat().st_size, ops=known.ops)
    return replace(
        record,
        nb=facts,
        predicted_latency_ms=known.predicted,
        partition=partition(file, "float32" if target is None else target.npu_arithmetic, loaded.inputs),
        findings=findings(file.model, target),
        worst=worst(loaded, verdict.arrays, [item.kind for item in verdict.outputs], names),
    )


def verify_file(
    model: Path, against: Against = BESIDE, where: Where = HERE, *, layers: Worker | Literal[False] | None = None
) -> tuple[Verdict, Record]:
    """Verify a .nb from files alone: the manifest and reference beside it, or a reference given.

    Args:
        layers: look at every op again: on a device or in Paddle Lite's own runtime at what each op gives there, beside
            the emulator; in the emulator at what it adds to the drift, which needs PaddlePaddle and the build's cache.
            It runs a function where Paddle is loaded and nothing can be written: the programs of the cache may be
            anybody's. None: the build's own look is shown, where the manifest vouches for it. False: none is shown.

    Returns:
        The verdict, and the record that report.json holds; both say the same.

    Raises:
        DataError: no reference, a reference of another build, or a model that is not the manifest's.
        NbError, UnsupportedOps: the file cannot be emulated.
    """
    table = load_manifest(model.parent / MANIFEST) if (model.parent / MANIFEST).exists() else {}
    basis = prepared(model, against)
    loaded, settings, folder = basis.reference, basis.settings, basis.folder
    examined = Examined(model)
    device: DeviceFacts | None = None
    residency: ResidencyFinding | None = None
    notes: tuple[str, ...] = ()
    if runs_programs(where.on):
        with ExitStack() as stack:
            opened = [
                open_runner(file, replace(where, batch=DEVICE_BATCH, trust=against.trust))
                for file in (model, against.control)
                if file is not None
            ]
            runner, *others = [stack.enter_context(one) for one in opened]
            unseen = (EMULATED_ONLY,) if where.on == QEMU else ()
            verdict = judge(loaded, run_with(runner, loaded, unseen), settings, folder)
            said = device_report(runner, control_run(runner, others[0], loaded.inputs) if others else None)
        device, notes = exchange.read(DeviceFacts, said.facts and said.facts.as_table()), said.library_notes
        residency = exchange.read(ResidencyFinding, said.residency and said.residency.as_table())
    else:
        own = basis.compressed if where.on == EMULATOR else None
        ran = with_ties(run_here(examined, loaded, basis.npu, where.on), examined.model, loaded, own)
        if where.on == EMULATOR and against.reference is None:
            ran = replace(ran, not_checked=(*ran.not_checked, *missing_outputs(model, table)))
        verdict = judge(loaded, ran, settings, folder, own)
    contract = contract_entry(model, loaded.inputs, table)
    contract, verdict = with_padding(contract, verdict, model.parent, examined.model, (basis.npu, table))
    if contract.broken is not None:
        verdict = replace(verdict, broken=(*verdict.broken, contract.broken))
    if against.npu_log is not None:
        shown = from_log(model, against.npu_log, npu_settings(model, "").devices)
        residency = exchange.read(ResidencyFinding, shown.as_table())
    target = profile_named(str(table.get("target", "")))
    verdict, more = _held_to_npu(examined, target, verdict, against, residency, loaded)
    record = _record(verdict, table, settings.limits, contract)
    record = _with_file(record, examined, target, loaded, verdict, _names_beside(model, table))
    record = replace(record, device=device, library_notes=(*notes, *more), residency=residency)
    if layers and where.on == EMULATOR:
        record = look_again(record, model, layers)
    else:
        record = with_recorded(record, model, table)
    if layers is False:
        record = replace(record, layers=(), ranked=(), first_drift=None)
    if runs_programs(where.on):
        record = with_device(record, model, basis, verdict)
    if layers and where.on != EMULATOR:
        record = replace(record, device_look=watch(model, loaded, replace(where, trust=against.trust), basis.npu))
    return verdict, record


def _held_to_npu(
    file: Examined,
    target: Target | None,
    verdict: Verdict,
    against: Against,
    residency: ResidencyFinding | None,
    loaded: Reference,
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict with what was asked of the NPU's share, and a note where ops fell back to the CPU without a word."""
    if against.require_npu is None and residency is None:
        return verdict, ()
    found = partition(file, "float32" if target is None else target.npu_arithmetic, loaded.inputs)
    fallen = fall_back(found, residency)
    meant = target is not None and set(target.runtime.devices) <= HOST_DEVICES
    if against.require_npu is None:
        return verdict, () if fallen is None or meant else (fallen,)
    wrong, unknown = held_to(against.require_npu, found, residency, on_device=residency is not None)
    return replace(
        verdict,
        broken=(*verdict.broken, *([wrong] if wrong else [])),
        undecided=(*verdict.undecided, *([unknown] if unknown else [])),
    ), ()


def _names_beside(model: Path, table: Mapping[str, Any]) -> list[str]:
    """Labels that the build left beside its .nb; none where they cannot be read, or there is no build."""
    try:
        return lines_of(read_inside(model.parent, LABELS, LABELS_MAX_BYTES, error=DataError)) if table else []
    except (EdgeflowError, UnicodeDecodeError):
        return []


def prepared(model: Path, against: Against) -> Basis:
    """What a .nb is judged by: the reference, settings, the arithmetic of NPU subgraphs, and where a metric's file is
    looked for.

    Raises:
        DataError: no reference, a reference of another build, or a model that is not the manifest's.
    """
    reference, limits, metric = against.reference, against.limits, against.metric
    beside = model.parent / MANIFEST
    table = load_manifest(beside) if beside.exists() else {}
    source = reference or model.parent / REFERENCE
    if not source.exists():
        raise DataError(
            f"{model}: there is no {REFERENCE} beside it to compare with",
            try_="--reference FILE.npz, holding input/<name> and output/0, output/1, …",
        )
    settings, npu, own = VerifySettings(metric), "float32", None
    if table:
        settings, npu = _recorded(table, beside, model, None if reference is not None else source)
        own = _compressed(table, beside) if reference is None else None
    if not against.own_limits:
        settings, own = replace(settings, limits=DriftLimits()), None
    if limits is not None:
        settings = replace(settings, limits=settings.limits.overridden(limits))
    if against.lifted:
        settings = replace(settings, limits=settings.limits.without(against.lifted))
    if metric is not None:
        settings = replace(settings, metric=metric)
    loaded = load_reference(source)
    if metric is not None and loaded.labels is None:
        raise DataError(
            f"{source}: holds no label, which the metric {metric!r} needs", try_="add an array `label` to it"
        )
    return Basis(loaded, settings, npu, _recipe_folder(model, settings.metric, trust=against.trust), own)


def _compressed(table: Mapping[str, Any], beside: Path) -> CompressedOutputs | None:
    """What the build recorded of the compressed program's outputs, held to their hash; None where it has none."""
    known = table.get("compressed")
    path = beside.parent / COMPRESSED
    if not isinstance(known, Mapping) or not path.is_file():
        return None
    if sha256(path) != known.get("sha256"):
        raise DataError(
            f"{path}: is not the file that {beside.name} was written for (its hash differs)",
            try_="run edgeflow build again, or remove it: the file is then judged by its limits alone",
        )
    built = known.get("exactness")
    arrays = load_npz(path)
    ties = from_arrays(arrays, str(path))
    outputs = [arrays.get(f"output/{k}") for k in range(sum(name.startswith("output/") for name in arrays))]
    if not isinstance(built, list) or any(array is None for array in outputs):
        raise DataError(f"{beside}: compressed is of no known kind", try_="run edgeflow build again")
    return CompressedOutputs(
        tuple(array for array in outputs if array is not None),
        tuple(strict(Exactness, item, str(beside), DataError) for item in built),
        ties,
    )


def _recorded(
    table: Mapping[str, Any], beside: Path, model: Path, reference: Path | None
) -> tuple[VerifySettings, str]:
    """Settings of the build, after its files were held to their hashes; a reference given by hand has none."""
    try:
        expected = {model: table["nb"]["sha256"]}
        if reference is not None:
            expected[reference] = table["reference"]["sha256"]
        limits = strict(DriftLimits, table["settings"]["limits"], str(beside), DataError)
        metric = table["settings"]["metric"]
        goal, precision = table["settings"].get("expected"), table.get("precision")
        said = [strict(OutputKind, item, str(beside), DataError) for item in table.get("output_kinds", [])]
    except (KeyError, TypeError) as err:
        raise DataError(f"{beside}: key {err} is missing", try_="run edgeflow build again") from err
    if not isinstance(metric, (str, type(None))):
        raise DataError(f"{beside}: metric is of no known kind", try_="run edgeflow build again")
    if not isinstance(goal, (int, float, type(None))) or not isinstance(precision, (str, type(None))):
        raise DataError(f"{beside}: expected or precision is of no known kind", try_="run edgeflow build again")
    for path, known in expected.items():
        if sha256(path) != known:
            raise DataError(
                f"{path}: is not the file that {beside.name} was written for (its hash differs)",
                try_="run edgeflow build again, or copy the .nb elsewhere and give --reference",
            )
    settings = VerifySettings(metric, limits, goal, precision=precision, outputs=tuple(said))
    return settings, recorded_arithmetic(table)


def _recipe_folder(model: Path, metric: str | None, *, trust: bool) -> Path | None:
    """The folder whose Python file may judge: the recipe above build/<target>/model.nb names the metric, and the user
    built that recipe here with this code, or trusts it.

    A whole project may come from anywhere: nothing in it can say that its code may run.
    """
    path = BuildFolder.of(model).recipe
    folder = path.parent
    if not (trust or is_unchanged(folder)):
        return None
    try:
        recipe = load_recipe(path)
    except EdgeflowError:
        return None
    return folder if recipe.metric is not None and recipe.metric.name == metric else None

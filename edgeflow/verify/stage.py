"""Verify a build: inside the flow, and again later from the files alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow import nb
from edgeflow.core.artifact import Artifact
from edgeflow.core.drift import finite
from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.core.strict import strict
from edgeflow.core.targets import Target
from edgeflow.deploy.runners import control_run, device_report, is_device, open_runner
from edgeflow.emulate import Emulator
from edgeflow.files.atomic import sha256, storage
from edgeflow.graph.layermap import as_table, layer_map
from edgeflow.graph.program import load
from edgeflow.project.manifest import MANIFEST, dump, load_manifest, manifest, manifest_hash, recorded_arithmetic
from edgeflow.project.recipe import Recipe, load_recipe
from edgeflow.project.reference import REFERENCE, Reference, load_reference
from edgeflow.report.html import page
from edgeflow.verify.contract import contract_entry, write_contract
from edgeflow.verify.explain import findings, hops, partition, plain, traced
from edgeflow.verify.figures import figures
from edgeflow.verify.hops import Step, waterfall
from edgeflow.verify.judge import Verdict, outputs_of, verify
from edgeflow.verify.worst_inputs import worst

DEVICE_BATCH = 8
"""Samples that a device computes at once: its memory is small, and a call's overhead is not what is measured."""
REPORT_MAX_BYTES = 1 << 26
LOOKS = ("layers", "ranked", "first_drift", "waterfall", "findings", "self_test")
"""What a build's report says that its .nb alone cannot."""

NB_KEYS = ("sha256", "bytes", "opt_version")
HOST_ONLY = "the device itself: nothing ran on it"


def check_and_report(
    recipe: Recipe,
    target: Target,
    ingested: Artifact,
    compressed: Artifact,
    converted: Artifact,
    folder: Path,
    labels: bytes | None = None,
    worker: Callable[..., Any] | None = None,
) -> Artifact:
    """Stage 4 within a build: verify, then write manifest.json, contract.json and what it names, report.json and
    report.html.

    Args:
        labels: content of the recipe's labels file.
        worker: runs a function where Paddle is loaded; without it layers and hops before the .nb are left out.
    """
    model = converted.folder / "model.nb"
    reference = ingested.folder / REFERENCE
    npu = target.npu_arithmetic
    settings, device = recipe.verify_settings(target), str(ingested.facts["device"])
    loaded, read = load_reference(reference), nb.read(model)
    verdict = verify(model, loaded, settings, npu=npu, folder=recipe.folder, not_checked=(HOST_ONLY,))
    layers = as_table(layer_map(read, load(compressed.folder / "source.pdmodel")))
    contract = write_contract(recipe, target, ingested, compressed, converted, loaded.inputs, labels, folder)
    table = manifest(recipe, target, ingested, compressed, converted, reference, layers, contract)
    report = {**report_table(verdict, table), "contract": contract_entry(folder / model.name, loaded.inputs, table)}
    report |= figures(model, target, loaded.inputs).in_report(report)
    report["partition"], report["findings"] = partition(read), findings(read, target)
    report["worst"] = worst(loaded, verdict.arrays)
    if worker is not None:
        looked, steps = worker(traced, compressed.folder, reference, model, npu, device)
        report.update(looked)
        report["waterfall"] = hops(
            steps, model, reference, verdict.arrays, verdict.runner, device, settings.metric, recipe.folder
        )
    report = plain(report)
    with storage(folder):
        (folder / MANIFEST).write_bytes(dump(table))
        (folder / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (folder / "report.html").write_text(page(report), encoding="utf-8")
    return Artifact(folder, {"passed": verdict.passed, "manifest_sha256": manifest_hash(table)})


def report_table(verdict: Verdict, table: Mapping[str, Any]) -> dict[str, Any]:
    """report.json: the verdict with where its numbers come from."""
    report = verdict.as_table()
    report["outputs"] = [
        {"index": item.index, "name": item.name, **finite({k: getattr(item.drift, k) for k in item.drift.__slots__})}
        for item in verdict.outputs
    ]
    report["format"] = 2
    report["tools"] = table.get("tools")
    for key in ("name", "target", "precision", "compression"):
        report[key] = table.get(key)
    report["reference_device"] = table["reference"]["device"] if "reference" in table else None
    report["nb"] = {key: table["nb"][key] for key in NB_KEYS if key in table["nb"]} if table.get("nb") else None
    report["manifest_sha256"] = manifest_hash(table) if table else None
    report["limits"] = table.get("settings", {}).get("limits", {})
    return report


def verify_file(
    model: Path,
    reference: Path | None = None,
    limits: DriftLimits | None = None,
    metric: str | None = None,
    on: str = "emulator",
    runtime: Path | None = None,
    control: Path | None = None,
    limit_s: float = 300.0,
    say: Callable[[str], None] | None = None,
    layers: bool = False,
) -> tuple[Verdict, dict[str, Any]]:
    """Verify a .nb from files alone: the manifest and reference beside it, or a reference given.

    Args:
        on, runtime, limit_s, say: see open_runner.
        control: a CPU-only file of the same model, timed beside an NPU file on a device.
        layers: look at every op again, which needs PaddlePaddle and the build's cache; else the build's own look is
            shown.

    Returns:
        The verdict and the table that report.json holds.

    Raises:
        DataError: no reference, a reference of another build, or a model that is not the manifest's.
        NbError, UnsupportedOps: the file cannot be emulated.
    """
    table = load_manifest(model.parent / MANIFEST) if (model.parent / MANIFEST).exists() else {}
    loaded, settings, npu, folder = prepared(model, reference, limits, metric)
    on_device: dict[str, Any] = {}
    if is_device(on):
        with ExitStack() as stack:
            opened = [
                open_runner(on, file, runtime=runtime, limit_s=limit_s, batch=DEVICE_BATCH, say=say)
                for file in (model, control)
                if file is not None
            ]
            runner, *others = [stack.enter_context(one) for one in opened]
            verdict = verify(model, loaded, settings, folder=folder, runner=runner)
            on_device = device_report(runner, control_run(runner, others[0], loaded.inputs) if others else None)
    else:
        verdict = verify(model, loaded, settings, on=on, npu=npu, folder=folder, not_checked=(HOST_ONLY,))
    report = {**report_table(verdict, table), "contract": contract_entry(model, loaded.inputs, table), **on_device}
    report |= figures(model, str(table.get("target", "")), loaded.inputs).in_report(report)
    report["limits"] = {k: getattr(settings.limits, k) for k in settings.limits.__slots__}
    read = nb.read(model)
    report["partition"], report["findings"] = partition(read), findings(read, None)
    report["worst"] = worst(loaded, verdict.arrays)
    looked = recorded_looks(model, report, with_layers=layers)
    if is_device(on):
        looked["waterfall"] = with_device(
            looked.get("waterfall", []), model, loaded, verdict, settings.metric, folder, npu
        )
    return verdict, plain({**report, **looked})


def prepared(
    model: Path,
    reference: Path | None,
    limits: DriftLimits | None,
    metric: str | None,
) -> tuple[Reference, VerifySettings, str, Path | None]:
    """The reference, the settings to judge by, the arithmetic of NPU subgraphs, and where a metric's file is looked
    for.

    Raises:
        DataError: no reference, a reference of another build, or a model that is not the manifest's.
    """
    beside = model.parent / MANIFEST
    table = load_manifest(beside) if beside.exists() else {}
    source = reference or model.parent / REFERENCE
    if not source.exists():
        raise DataError(
            f"{model}: there is no {REFERENCE} beside it to compare with",
            try_="--reference FILE.npz, holding input/<name> and output/0, output/1, …",
        )
    settings, npu = VerifySettings(metric), "float32"
    if table:
        settings, npu = _recorded(table, beside, model, None if reference is not None else source)
    if limits is not None:
        settings = replace(settings, limits=settings.limits.overridden(limits))
    if metric is not None:
        settings = replace(settings, metric=metric)
    loaded = load_reference(source)
    if metric is not None and loaded.labels is None:
        raise DataError(
            f"{source}: holds no label, which the metric {metric!r} needs", try_="add an array `label` to it"
        )
    return loaded, settings, npu, _recipe_folder(model, settings.metric)


def recorded_looks(model: Path, report: Mapping[str, Any], *, with_layers: bool) -> dict[str, Any]:
    """Layers and hops: as the build of this very file recorded them beside it, or looked at again.

    Raises:
        DataError: they are to be looked at again, and what the build kept is gone.
    """
    built = model.parent / "report.json"
    if with_layers:
        return look_again(model, report)
    try:
        if built.stat().st_size > REPORT_MAX_BYTES:
            return {}
        known = json.loads(built.read_text(encoding="utf-8"))
        if (known.get("nb") or {}).get("sha256") != sha256(model):
            return {}
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}
    return {key: known[key] for key in LOOKS if known.get(key)}


def look_again(model: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    """Measure every op and hop anew, with the programs that the build's cache still holds."""
    cache = model.resolve().parent.parent / ".cache" / "compress"
    compressed = next(
        (path.parent for path in sorted(cache.glob("*/model.pdmodel")) if _made(path.parent, model)), None
    )
    if compressed is None:
        raise DataError(
            f"{model}: the programs it was made of are not in build/.cache, so its layers cannot be looked at again",
            try_="edgeflow build, which looks at them",
        )
    npu = recorded_arithmetic(load_manifest(model.parent / MANIFEST))
    looked, _ = traced(compressed, model.parent / REFERENCE, model, npu, str(report.get("reference_device") or "CPU"))
    return dict(looked)


def _made(compressed: Path, model: Path) -> bool:
    """This result of the compress stage is what the .nb was converted from, by the manifest's own record."""
    try:
        table = load_manifest(model.parent / MANIFEST)
        facts = json.loads((compressed / "facts.json").read_text(encoding="utf-8"))
        same = sha256(compressed / "model.pdmodel") == table["model"]["compressed_sha256"]
        return bool(same and facts["method"] == table["compression"])
    except (OSError, ValueError, KeyError, TypeError, EdgeflowError):
        return False


def with_device(
    rows: list[dict[str, Any]],
    model: Path,
    reference: Reference,
    verdict: Verdict,
    metric: str | None,
    folder: Path | None,
    npu: str,
) -> list[dict[str, Any]]:
    """The hops with a last one from the emulator to the device, which is computed here."""
    with Emulator(model, npu=npu) as runner:
        emulated = tuple(outputs_of(runner, reference))
    stops = [Step("nb_emulated", emulated, Emulator.name), Step("device", verdict.arrays, verdict.runner)]
    (row,) = waterfall(stops, reference, metric, folder)
    row["share"] = None  # the other hops were measured in the build
    return [*(item for item in rows if item.get("to") != "device"), row]


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
    except (KeyError, TypeError) as err:
        raise DataError(f"{beside}: key {err} is missing", try_="run edgeflow build again") from err
    if not isinstance(metric, (str, type(None))):
        raise DataError(f"{beside}: metric is of no known kind", try_="run edgeflow build again")
    for path, known in expected.items():
        if sha256(path) != known:
            raise DataError(
                f"{path}: is not the file that {beside.name} was written for (its hash differs)",
                try_="run edgeflow build again, or copy the .nb elsewhere and give --reference",
            )
    return VerifySettings(metric, limits), recorded_arithmetic(table)


def _recipe_folder(model: Path, metric: str | None) -> Path | None:
    """The recipe's folder, where build/<target>/model.nb lies below it and the recipe itself names the metric.

    A manifest may come from anywhere: what it names as Python is run only where the recipe says the same.
    """
    folder = model.resolve().parent.parent.parent
    try:
        recipe = load_recipe(folder)
    except EdgeflowError:
        return None
    return folder if recipe.metric is not None and recipe.metric.name == metric else None

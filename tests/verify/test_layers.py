"""Layer by layer, the waterfall, the self-test and the verdict: on the built example and on golden files."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.settings import DriftLimits
from edgeflow.emulate import Emulator
from edgeflow.files.arrays import load_npz, save_npz
from edgeflow.nb.dataflow import nodes
from edgeflow.nb.faults import faults, with_op, with_weight
from edgeflow.report.exchange import table
from edgeflow.verify.layers import LayerDrift, layer_drift
from edgeflow.verify.self_test import self_test
from edgeflow.verify.stage import Against, verify_file
from tests.conftest import GOLDEN, ROOT
from tests.projects import run as command

KINDS = {
    "one channel's scale doubled",
    "two channels swapped",
    "a layer zeroed",
    "a bit flipped in a weight's exponent",
    "a transposed weight",
    "an activation dropped",
    "a wrong rounding mode",
    "another opt version's attribute default",
}


def report(built: Path, target: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((built / "build" / target / "report.json").read_text())
    return found


@pytest.mark.build
def test_a_build_looks_at_every_op_and_hop(built: Path) -> None:
    for target, quantised in (("arm64-int8", True), ("kirin", False), ("x86", False)):
        found = report(built, target)
        model = nb.read(built / "build" / target / "model.nb")
        looked = {row["op"] for row in found["layers"]}  # type: ignore[attr-defined]
        plain = {k for k, node in enumerate(nodes(model, nested=True)) if node.op.type not in ("feed", "fetch")}
        assert looked == plain, "every op was traced and compared"
        for row in found["layers"]:  # type: ignore[attr-defined]
            assert row["entire"]["cosine"] > 0.99 and row["nan"] == row["inf"] == 0
            assert row["single"] is not None and (row["single"]["sqnr_db"] == "inf" or row["single"]["sqnr_db"] > 25)
        hops = {hop["to"]: hop for hop in found["waterfall"]}  # type: ignore[attr-defined]
        assert (
            hops["nb_emulated"]["available"]
            and not hops["device"]["available"]
            and "no device was asked" in hops["device"]["why_missing"]
        )
        assert hops["nb_paddle_lite"]["available"] == (target == "x86")
        shares = [hop["share"] for hop in hops.values() if hop["available"]]
        assert sum(shares) == pytest.approx(1.0)
        assert (hops["compressed"]["share"] > 0.9) == quantised, "quantising loses, opt does not"
        assert found["verdict"] == "PASS" and len(found["worst"]) == 8  # type: ignore[arg-type]
        assert found["worst"][0]["picture"].startswith("data:image/png;base64,")  # type: ignore[index]
    assert report(built, "arm64-int8")["first_drift"] and report(built, "x86")["first_drift"] is None


@pytest.mark.build
def test_reports_keep_to_their_schema(built: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema, of the dev extra, checks reports")
    schema = json.loads((ROOT / "edgeflow" / "report" / "report.schema.json").read_text())
    for target in ("arm64-int8", "kirin", "x86"):
        jsonschema.validate(report(built, target), schema)
    model = built / "build" / "kirin" / "model.nb"
    _, found = verify_file(model)
    jsonschema.validate(table(replace(found, self_test=self_test(model, copies=3))), schema)


def look(built: Path, change: object) -> LayerDrift:
    """The example's int8 file with a fault, looked at against its source program."""
    from edgeflow.graph import parameters
    from edgeflow.graph import program as programs
    from edgeflow.paddle.session import Session

    table = json.loads((built / "build" / "arm64-int8" / "manifest.json").read_text())
    cache = built / "build" / ".cache" / "compress"
    from edgeflow.files.atomic import sha256

    folder = next(
        path.parent for path in cache.glob("*/model.pdmodel") if sha256(path) == table["model"]["compressed_sha256"]
    )
    source = programs.load(folder / "source.pdmodel")
    weights = parameters.load(source, folder / "source.pdiparams")
    arrays = load_npz(built / "build" / "arm64-int8" / "reference.npz")
    model = nb.read(built / "build" / "arm64-int8" / "model.nb")
    with Session() as session:
        return layer_drift(
            change(model),
            source,
            {"image": arrays["input/image"]},  # type: ignore[operator]
            lambda part, feed, names: session.run(part, weights, feed, names),
            samples=16,
        )


@pytest.mark.build
def test_the_guilty_layer_is_named(built: Path) -> None:
    def zeroed(model: nb.Model) -> nb.Model:
        weight = model.parameters["conv2d_3.w_0"]
        return with_weight(model, weight, np.zeros(weight.dims, np.int8))

    found = look(built, zeroed)
    assert found.first_drift is not None and found.first_drift.name == "conv2d_3.w_0"

    def clipped(model: nb.Model) -> nb.Model:
        """Calibration that saw a quarter of the range: the scale of one layer's input."""
        index, op = next(
            (k, op) for k, op in enumerate(model.blocks[0].operations) if op.input("Filter") == "conv2d_2.w_0"
        )
        small = tuple(v / 4 for v in op.attr("Input0_scale"))
        calib, before = next(
            (k, o)
            for k, o in enumerate(model.blocks[0].operations)
            if k < index and o.type == "calib" and o.output("Out") == op.input("Input")
        )
        attribute = nb.Attribute(nb.AttrType.FLOATS, small)
        model = with_op(model, (0, index), replace(op, attributes={**op.attributes, "Input0_scale": attribute}))
        scale = nb.Attribute(nb.AttrType.FLOAT, float(before.attr("scale")) / 4)
        return with_op(model, (0, calib), replace(before, attributes={**before.attributes, "scale": scale}))

    def has_calib(model: nb.Model) -> bool:
        op = next(op for op in model.blocks[0].operations if op.input("Filter") == "conv2d_2.w_0")
        return any(o.type == "calib" and o.output("Out") == op.input("Input") for o in model.blocks[0].operations)

    if has_calib(nb.read(built / "build" / "arm64-int8" / "model.nb")):
        rows = look(built, clipped).layers
        saturated = [row.saturation for row in rows if row.saturation]
        assert max(saturated) > 0.05


@pytest.mark.parametrize(
    "case",
    [
        "net_lenet__int8_ptq_hist",
        "net_mobilenet_v2__int8_ptq_hist",
        "net_encoder__int8_ptq_hist",
        "net_lenet__fp32",
        "net_lenet__int8_timvx",
        "net_ssd__fp16",
    ],
)
def test_looking_does_not_change_the_answer(case: str) -> None:
    path = GOLDEN / case / "model.nb"
    packed = np.load(GOLDEN / case / "case.npz")
    with Emulator(path) as runner:
        feed = {spec.name: packed[f"in_{k}"] for k, spec in enumerate(runner.inputs)}
        before = runner.infer(feed)
        list(runner.dump(feed))
        after = runner.infer(feed)
    for name in before:
        assert np.array_equal(before[name], after[name])


@pytest.mark.build
def test_the_verdict_notices_faults_of_the_example(built: Path) -> None:
    for target in ("arm64-int8", "kirin"):
        found = self_test(built / "build" / target / "model.nb")
        assert found.missed_beyond_budget == 0 and found.false_alarms == 0 and found.unchanged_copies == 100
        assert (found.noticed or 0) >= 8 and found.smallest_noticed
    kinds = {fault.kind for fault in faults(nb.read(built / "build" / "arm64-int8" / "model.nb"))}
    assert kinds >= KINDS


@pytest.mark.parametrize(
    "case",
    ["net_lenet__int8_ptq_hist", pytest.param("net_mobilenet_v2__int8_ptq_hist", marks=pytest.mark.slow)],
)
def test_the_verdict_notices_faults_of_golden_nets(case: str, tmp_path: Path) -> None:
    """Their own answers on noise stand in for a labelled test set."""
    model = tmp_path / "model.nb"
    shutil.copyfile(GOLDEN / case / "model.nb", model)
    packed = np.load(GOLDEN / case / "case.npz")
    shape = packed["in_0"].shape[1:]
    noise = np.random.default_rng(0).uniform(-1, 1, (48, *shape)).astype(np.float32)
    with Emulator(model) as runner:
        name, outputs = (
            runner.inputs[0].name,
            [runner.infer({runner.inputs[0].name: noise[k : k + 1]}) for k in range(48)],
        )
    whole = np.concatenate([next(iter(item.values())) for item in outputs])
    reference = tmp_path / "reference.npz"
    save_npz(reference, {f"input/{name}": noise, "output/0": whole, "label": whole.reshape(48, -1).argmax(1)})
    limits = DriftLimits(metric_drop_max=0.05, sqnr_db_min=20.0)
    found = self_test(model, Against(reference, limits, "top1"))
    assert found.missed_beyond_budget == 0 and found.false_alarms == 0 and (found.noticed or 0) > 0
    if shape[0] == 3:
        assert "RGB and BGR swapped" in {row.fault for row in found.faults}


@pytest.mark.build
def test_three_exit_codes_and_every_form(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built / "build" / "arm64-int8", folder)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return command(tmp_path, "verify", str(folder / "model.nb"), *options)

    forms = [f"--{form}={tmp_path / form}" for form in ("html", "markdown", "junit", "sarif")]
    passed = run(*forms)
    assert passed.returncode == 0 and passed.stdout.rstrip().endswith("PASS") and "drift starts at" in passed.stdout
    assert all((tmp_path / form).stat().st_size > 200 for form in ("html", "markdown", "junit", "sarif"))
    failed = run("--sqnr-min", "90")
    assert failed.returncode == 3 and "FAIL" in failed.stdout
    arrays = load_npz(folder / "reference.npz")
    few = {key: array[:40] for key, array in arrays.items()}
    few["label"] = few["label"].copy()
    few["output/0"] = few["output/0"].copy()
    few["output/0"][:2] = few["output/0"][2:4][::-1]  # two answers that the candidate does not give
    few["label"][:2] = few["output/0"][:2].argmax(1)
    save_npz(tmp_path / "few.npz", few)
    unsure = run(
        "--reference",
        str(tmp_path / "few.npz"),
        "--metric",
        "top1",
        "--drop",
        "0.03",
        "--cosine-min",
        "0",
        "--sqnr-min",
        "0",
    )
    assert unsure.returncode in (3, 4)
    again = run("--layers")
    assert again.returncode == 1 and "build/.cache" in again.stderr, "the programs are not beside a copy"


@pytest.mark.build
def test_constant_outputs_and_nan_never_pass(built: Path, tmp_path: Path) -> None:
    source = built / "build" / "arm64" / "model.nb"
    model, reference = nb.read(source), built / "build" / "arm64" / "reference.npz"
    weight = model.parameters["linear_1.w_0"]
    broken = tmp_path / "model.nb"
    nb.write(with_weight(model, weight, np.zeros(weight.dims, np.float32)), broken)
    verdict, found = verify_file(broken, Against(reference, DriftLimits(max_abs_max=1e9)))
    assert verdict.verdict == "FAIL" and any("same for every sample" in text for text in found.broken)
    nb.write(with_weight(model, weight, np.full(weight.dims, np.nan, np.float32)), broken)
    verdict, found = verify_file(broken, Against(reference, DriftLimits(max_abs_max=1e9)))
    assert verdict.verdict == "FAIL" and np.isnan(found.outputs[0].max_abs)


@pytest.mark.build
def test_a_look_in_small_parts_sees_the_same(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is computed at a time changes what is held, and no figure."""
    from edgeflow.core.rounding import steady
    from edgeflow.graph import walk

    most: list[int] = []
    advance = walk.Walk._advance

    def counted(self: walk.Walk) -> None:
        advance(self)
        most.append(sum(array.size for array in self._held.values()))

    monkeypatch.setattr(walk.Walk, "_advance", counted)
    found = {}
    for room in (1, 1 << 30):
        monkeypatch.setattr("edgeflow.graph.walk.ROOM", room)
        monkeypatch.setattr("edgeflow.verify.layers.ROOM", room)
        most.clear()
        found[room] = (steady(look(built, lambda model: model)), len(most), max(most))
    (parts, many, held), (whole, once, all_held) = found.values()
    assert parts == whole and len(parts.layers) > 10
    assert many > 10 * once and held < 0.6 * all_held

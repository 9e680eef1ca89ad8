"""edgeflow lock and build --locked on real builds: what is accepted, what fails and by how much."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.targets import load_target
from edgeflow.emulate.examined import Examined
from edgeflow.files.arrays import save_npz
from edgeflow.flow.built import Built
from edgeflow.flow.locked import figures_of
from edgeflow.project.accepted import compare
from edgeflow.project.lockfile import read_lock
from edgeflow.report.record import Record
from edgeflow.report.record_parts import Output
from edgeflow.verify.file_facts import figures
from tests.conftest import GOLDEN, ROOT
from tests.projects import edit, run


def test_figures_of_files_that_were_never_built_here() -> None:
    plain = figures(Examined(GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"), load_target("arm64-int8"), {})
    assert (plain.ops, plain.subgraphs, plain.cpu_ops) == (11, None, None)
    assert plain.latency is not None and plain.latency.chip == "RK3399" and plain.latency.ms > 0
    npu = figures(Examined(GOLDEN / "net_lenet__int8_timvx" / "model.nb"), "verisilicon-timvx", {})
    assert npu.subgraphs == 1 and npu.cpu_ops is not None and npu.cpu_ops < npu.ops
    for name in ("", "../../etc/x.toml", "x.toml", "nosuch"):
        assert figures(Examined(GOLDEN / "net_lenet__fp32" / "model.nb"), name, {}).latency is None
    assert plain.predicted is not None and plain.predicted.threads == 1


@pytest.mark.build
def test_lock_then_worse_then_accepted(project: Path) -> None:
    """One project through its life: no lock, accepted, unchanged, worse, refused, accepted again."""
    lock = project / "edgeflow.lock"
    early = run(project, "build", "-t", "arm64-int8", "-t", "kirin", "--locked")
    assert early.returncode == 1 and "edgeflow.lock: is missing" in early.stderr and not (project / "build").exists()
    assert "try: edgeflow lock --target arm64-int8 --target kirin" in early.stderr

    assert "there is no recipe here" in run(project, "build", "nowhere", "-t", "arm64", "--locked").stderr

    new = run(project, "lock", "-t", "arm64-int8", "-t", "kirin")
    assert new.returncode == 0, new.stderr
    assert re.search(r"arm64-int8: new: SQNR [\d.]+ dB, top1 drop .*, 13 ops, .* ms predicted on RK3399", new.stdout)
    assert "1 NPU subgraph, " in new.stdout
    first, entries = lock.read_bytes(), read_lock(lock)
    report = json.loads((project / "build" / "arm64-int8" / "report.json").read_text())
    int8 = entries["arm64-int8"]
    assert int8.size_bytes == (project / "build" / "arm64-int8" / "model.nb").stat().st_size
    assert int8.ops == report["nb"]["ops"] and int8.samples == report["samples"]
    assert int8.predicted_latency_ms == pytest.approx(report["predicted_latency_ms"]["value"], rel=1e-3)
    assert int8.outputs[0].sqnr_db == pytest.approx(report["outputs"][0]["sqnr_db"], abs=0.01)
    assert entries["kirin"].subgraphs == 1 and entries["kirin"].chip == "Kirin 990"

    same = run(project, "build", "-t", "kirin", "-t", "arm64-int8", "--locked")
    assert same.returncode == 0 and same.stdout.count("as accepted in edgeflow.lock") == 2
    assert run(project, "lock", "-t", "arm64-int8").stdout == "arm64-int8: unchanged\n"
    assert lock.read_bytes() == first

    edit(project, "edgeflow.toml", 'algo = "hist"', 'algo = "abs_max"\nweights = "per_layer"')
    worse = run(project, "build", "-t", "arm64-int8", "--locked")
    assert worse.returncode == 3, worse.stderr
    assert re.search(r"arm64-int8: worse: SQNR \(dB\) is [\d.]+, was [\d.]+: [\d.]+ dB less", worse.stdout)
    assert "try: edgeflow lock --target arm64-int8" in worse.stdout
    table = json.loads(run(project, "build", "-t", "arm64-int8", "--locked", "--json").stdout)["arm64-int8"]["locked"]
    assert table["is_worse"] and any(change["judgement"] == "worse" for change in table["changes"])
    documented = (ROOT / "docs" / "lock.md").read_text()
    for key in (*table, *table["changes"][0], *table["found"], *table["found"]["outputs"][0]):
        assert f"`{key}`" in documented, key

    recipe = (project / "edgeflow.toml").read_text()
    (project / "edgeflow.toml").write_text(recipe.replace("[drift]\n", "[drift]\nsqnr_db_min = 200.0\n"))
    refused = run(project, "lock", "-t", "arm64-int8")
    assert refused.returncode == 3 and "not accepted: SQNR" in refused.stdout and lock.read_bytes() == first
    (project / "edgeflow.toml").write_text(recipe)

    accepted = run(project, "lock", "-t", "arm64-int8", "--json")
    assert accepted.returncode == 0 and json.loads(accepted.stdout)[0]["is_worse"]
    assert read_lock(lock)["kirin"] == entries["kirin"], "another target's entry is left alone"
    assert read_lock(lock)["arm64-int8"] != int8
    lock.write_text(
        lock.read_text().replace(f"size_bytes = {int8.size_bytes}", f"size_bytes = {int8.size_bytes + 1000}")
    )
    better = run(project, "build", "-t", "arm64-int8", "--locked")
    assert better.returncode == 0 and re.search(
        r"better: size \(bytes\) is .*: 1,000 bytes, 1.\d+ % less", better.stdout
    )
    assert "try: edgeflow lock --target arm64-int8" in better.stdout
    lock.write_text("format = 1\nx = [")
    broken = run(project, "lock", "-t", "arm64-int8")
    assert (
        broken.returncode == 1
        and "edgeflow.lock: is no TOML" in broken.stderr
        and lock.read_text() == "format = 1\nx = ["
    )


def test_an_error_rate_that_rises_is_worse(tmp_path: Path) -> None:
    """From 0.05 to 0.60 of the characters wrong: a lower one would be better, and the lock says so."""
    shutil.copyfile(GOLDEN / "net_lenet__fp32" / "model.nb", tmp_path / "model.nb")
    case = np.load(GOLDEN / "net_lenet__fp32" / "case.npz")
    save_npz(tmp_path / "reference.npz", {"input/x": case["in_0"], "output/0": case["out_0"]})
    record = Record(
        "PASS",
        samples=100,
        outputs=(Output(0, "y", max_abs=0.0, mean_abs=0.0, cosine=1.0, sqnr_db=math.inf),),
        metric="cer",
        metric_reference=0.05,
        metric_candidate=0.05,
    )
    before, after = (
        figures_of(
            Built("arm64", tmp_path, "float32", replace(record, metric_candidate=value), (), costs={}),
            load_target("arm64"),
        )
        for value in (0.05, 0.60)
    )
    (change,) = compare(before, after)
    assert (change.what, change.judgement) == ("metric_drop", "worse")
    assert after.metric_drop == pytest.approx(0.55)

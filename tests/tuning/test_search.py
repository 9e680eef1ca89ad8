"""The search on the real stages: it meets a budget, says so when it cannot, and always keeps the best so far."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import edgeflow
from edgeflow.core.errors import RecipeError, TargetError
from edgeflow.tuning.candidates import shares
from edgeflow.tuning.ranking import Goal
from edgeflow.tuning.search import search
from edgeflow.tuning.sensitivity import PruneCost

pytestmark = pytest.mark.build


def test_time_limit_best_so_far_and_the_recipe_it_writes(project: Path) -> None:
    told: list[str] = []
    found = search(
        project,
        "arm64-int8",
        Goal(metric_drop_max=0.01, budget_s=12, chip="Snapdragon 865"),
        told=lambda item, _: told.append(item.name),
    )
    assert (
        found.met
        and found.stopped == "time"
        and told == [item.name for item in found.tried if item.steps or not item.error]
    )
    assert told[:3] == ["float", "fp16", "int8 hist"], "simple before costly; this chip has half precision"
    certificate = json.loads(found.certificate.read_text())
    assert certificate["met"] and certificate["best"] == found.ranking.best.name  # type: ignore[union-attr]
    assert [row["name"] for row in certificate["tried"]] == [item.name for item in found.tried]
    assert all(row["latency_ms"] > 0 for row in certificate["tried"] if not row["error"])
    best = next(item for item in found.tried if item.name == "int8 hist")
    (built,) = edgeflow.build(project, targets=["arm64-int8"])
    assert built.report["nb"]["bytes"] == best.size_bytes, "a candidate is what a build makes"
    recipe = project / "edgeflow.toml"
    recipe.write_text(recipe.read_text() + "\n" + found.recipe)
    if "fp16" not in found.recipe:
        edgeflow.build(project, targets=["arm64-int8"])


def test_what_crashes_is_noted_and_the_search_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise ValueError("as a bug would")

    monkeypatch.setattr("edgeflow.tuning.candidates.layer_costs", crash)
    monkeypatch.setattr("edgeflow.tuning.candidates.ALGOS", ("hist",))
    monkeypatch.setattr("edgeflow.tuning.candidates.PRUNED", (0.25,))
    monkeypatch.setattr("edgeflow.tuning.candidates.EPOCHS", 8)
    found = search(project, "arm64-int8", Goal(metric_drop_max=0.01, budget_s=120))
    failed = [item.error for item in found.tried if item.name == "what each layer costs"]
    assert failed == ["ValueError: as a bug would"] and found.met and found.stopped == "done"
    assert [item.name for item in found.tried if not item.error][-1] == "int8 25% pruned"


def test_no_candidate_meets_it(project: Path) -> None:
    found = search(project, "kirin", Goal(metric_drop_max=0.01, size_bytes_max=1000, budget_s=4))
    assert not found.met and found.recipe.startswith("# float")
    assert json.loads(found.certificate.read_text())["closest"] == "float"
    with pytest.raises(RecipeError, match="should be above 0"):
        search(project, "kirin", Goal(latency_ms_max=0.0))
    with pytest.raises(TargetError, match="did you mean 'RK3399'"):
        search(project, "kirin", Goal(chip="RK3398"))
    with pytest.raises(RecipeError, match="no published latencies"):
        search(project, "x86", Goal(latency_ms_max=5.0))
    recipe = project / "edgeflow.toml"
    recipe.write_text(recipe.read_text().replace('[metric]\nname = "top1"\n', ""))
    with pytest.raises(RecipeError, match="whose drop could be measured"):
        search(project, "kirin", Goal(metric_drop_max=0.01))


def test_ctrl_c_gives_the_best_so_far_and_the_next_goes_on(project: Path) -> None:
    command = [sys.executable, "-m", "edgeflow", "search", "-t", "arm64-int8", "--budget", "5m", "--drop", "0.01"]
    child = subprocess.Popen(
        command,
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a runner in the background ignores it
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("int8 hist"):
            break
    os.kill(child.pid, signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0 and "it was interrupted" in out and "[targets.arm64-int8.compress]" in out
    since = time.monotonic()
    found = search(project, "arm64-int8", Goal(metric_drop_max=0.01, budget_s=3))
    assert "int8 hist" in [item.name for item in found.tried] and time.monotonic() - since < 30


def test_shares_take_from_the_layers_that_lose_least() -> None:
    costs = [
        PruneCost(name, ratio, round(ratio * 16), ratio * weight, 0.0)
        for name, weight in (("cheap", 0.1), ("dear", 10.0))
        for ratio in (0.25, 0.5, 0.75)
    ]
    assert shares(costs, 0.25) == {"cheap": 0.5}
    assert shares(costs, 0.9)["cheap"] == 0.75 and shares(costs, 0.9)["dear"] == 0.75


def test_a_layer_with_a_range_of_its_own(project: Path) -> None:
    recipe = project / "edgeflow.toml"
    plain = recipe.read_text()
    (first,) = edgeflow.build(project, targets=["arm64-int8"])
    recipe.write_text(plain + '[targets.arm64-int8.compress.layer_algo]\n"conv2d_4.w_0" = "abs_max"\n')
    (second,) = edgeflow.build(project, targets=["arm64-int8"])
    assert first.report["outputs"] != second.report["outputs"]
    assert (
        "1 layers with a range of their own" in json.loads((second.folder / "manifest.json").read_text())["compression"]
    )
    recipe.write_text(plain + '[targets.arm64-int8.compress.layer_algo]\n"conv2d_9.w_0" = "abs_max"\n')
    with pytest.raises(RecipeError, match="no quantised layer; did you mean"):
        edgeflow.build(project, targets=["arm64-int8"])


def test_reconstruction_rounds_weights_for_the_outputs(project: Path) -> None:
    recipe, data = project / "edgeflow.toml", project / "data.py"
    data.write_text(
        data.read_text().replace("pictures[:256]", "pictures[:48]")
    )  # an epoch a layer goes over all of them
    recipe.write_text(recipe.read_text() + '[targets.arm64-int8.compress]\nrounding = "reconstruction"\n')
    (built,) = edgeflow.build(project, targets=["arm64-int8"])
    assert built.report["outputs"][0]["sqnr_db"] > 20 and built.report["metric_candidate"] > 0.95
    assert "reconstructed" in json.loads((built.folder / "manifest.json").read_text())["compression"]

"""Compression: each method on the real thing, in the right order, the same bytes every time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgeflow
from edgeflow import nb
from edgeflow.compress.launch import fine_tune
from edgeflow.compress.prune import prune
from edgeflow.compress.slim import qat_settings
from edgeflow.compress.train import Job
from edgeflow.core.errors import CompressFailed, DataError, RecipeError
from edgeflow.core.settings import FineTuneSettings
from edgeflow.files.arrays import save_npz
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from tests.graph.programs import rewritten

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def project(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the example for all tests of this module: what ingest made of it is kept from test to test."""
    return copied(digits, tmp_path_factory.mktemp("compress") / "project")


@pytest.fixture
def own(digits: Path, tmp_path: Path) -> Path:
    """A copy for one test alone, which nothing else was built in."""
    return copied(digits, tmp_path / "own")


def copied(digits: Path, folder: Path) -> Path:
    return shutil.copytree(digits, folder, ignore=shutil.ignore_patterns("build", "__pycache__"))


def build(
    project: Path, target: str, text: str, folder: str = "build"
) -> tuple[edgeflow.Built, nb.Model, dict[str, object]]:
    recipe = project / "edgeflow.toml"
    kept = recipe.read_text()
    try:
        recipe.write_text(f"{kept}\n{text.replace('TARGET', f'targets.{target}.compress')}\n")
        (built,) = edgeflow.build(project, targets=[target], build_dir=project / folder)
    finally:
        recipe.write_text(kept)
    return built, nb.read(built.folder / "model.nb"), json.loads((built.folder / "manifest.json").read_text())


def kinds(model: nb.Model) -> list[str]:
    return [op.type for op in model.blocks[0].operations]


def test_same_data_give_the_same_bytes(project: Path) -> None:
    found = []
    for folder in ("a", "b"):
        built, _, _ = build(project, "arm64-int8", "", folder)
        compressed = next((project / folder / ".cache" / "compress").glob("*/model.pdmodel"))
        found.append(
            [
                path.read_bytes()
                for path in (built.folder / "model.nb", compressed, compressed.with_suffix(".pdiparams"))
            ]
        )
    assert found[0] == found[1]


@pytest.mark.parametrize("algo", ["KL", "mse", "emd", "avg", "abs_max", "ptf"])
def test_every_algorithm_quantises(algo: str, project: Path) -> None:
    built, model, manifest = build(project, "arm64-int8", f'[TARGET]\nalgo = "{algo}"')
    assert sum(op.attr("enable_int8", False) for op in model.blocks[0].operations) == 7
    assert algo in str(manifest["compression"])
    assert built.report["outputs"][0]["cosine"] > 0.97


def test_layers_stay_float(project: Path) -> None:
    plain, _, _ = build(project, "arm64-int8", "")
    built, model, manifest = build(project, "arm64-int8", '[TARGET]\nkeep_float = ["linear_1.w_0", "depthwise_conv2d"]')
    ops = model.blocks[0].operations
    assert [op.attr("enable_int8", False) for op in ops if op.type == "depthwise_conv2d"] == [False]
    assert [op.attr("enable_int8", False) for op in ops if op.type == "fc"] == [True, False]
    assert built.report["outputs"][0]["sqnr_db"] > plain.report["outputs"][0]["sqnr_db"]
    assert "2 layers kept in float" in str(manifest["compression"])


def test_weights_alone(project: Path) -> None:
    whole, _, _ = build(project, "arm64", "")
    size = (whole.folder / "model.nb").stat().st_size
    for bits, share, sqnr in (("int8", 0.4, 30), ("int16", 0.65, 60)):
        built, _, manifest = build(project, "arm64", f'[TARGET]\nweight_only = "{bits}"')
        assert (built.folder / "model.nb").stat().st_size < share * size
        assert built.report["outputs"][0]["sqnr_db"] > sqnr
        assert bits in str(manifest["compression"])


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm"])
def test_pruned_and_distilled(criterion: str, project: Path) -> None:
    text = f'[TARGET]\nprune = 0.25\nprune_criterion = "{criterion}"\nprune_skip = ["conv2d_0.w_0"]\n'
    raw, model, _ = build(project, "arm64", text)
    shapes = {p.name: p.dims for p in model.parameters.values()}
    assert (
        shapes["conv2d_0.w_0"][0] == 16 and shapes["conv2d_3.w_0"][0] == 24 and shapes["conv2d_4.w_0"][:2] == (48, 24)
    )
    assert shapes["linear_0.w_0"] == (48 * 4, 64), "the rows after flatten follow"
    if criterion != "l1":
        return  # what training makes of it is not the criterion's
    built, tuned, manifest = build(project, "arm64", text + "[TARGET.fine_tune]\nepochs = 8\nlearning_rate = 0.003\n")
    assert {p.name: p.dims for p in model.parameters.values()} == {p.name: p.dims for p in tuned.parameters.values()}
    assert built.report["outputs"][0]["sqnr_db"] > raw.report["outputs"][0]["sqnr_db"] + 3
    assert "distilled" in str(manifest["compression"])


def test_pruned_then_quantised(project: Path) -> None:
    built, model, manifest = build(project, "arm64-int8", "[TARGET]\nprune = 0.25\n[TARGET.fine_tune]\nepochs = 8\n")
    order = str(manifest["compression"])
    assert order.index("pruned") < order.index("distilled") < order.index("quantisation")
    assert sum(op.attr("enable_int8", False) for op in model.blocks[0].operations) == 7
    assert built.report["metric_candidate"] > 0.9


def test_sparse_convolutions(project: Path) -> None:
    built, model, _ = build(project, "arm64", "[TARGET]\nsparsity = 0.75\n[TARGET.fine_tune]\nepochs = 5\n")
    assert kinds(model).count("sparse_conv2d") == 1, "the one 1x1 convolution of the network"
    assert built.report["metric_candidate"] > 0.9


def test_quantisation_aware_training(own: Path) -> None:
    built, model, manifest = build(
        own,
        "arm64-int8",
        '[TARGET]\nqat = true\nkeep_float = ["linear_0.w_0"]\n[TARGET.fine_tune]\nepochs = 2\nlearning_rate = 0.0001\n',
    )
    assert sum(op.attr("enable_int8", False) for op in model.blocks[0].operations) == 6
    assert "quantisation-aware" in str(manifest["compression"])
    assert built.passed
    folder = next(path.parent for path in (own / "build" / ".cache" / "compress").glob("*/float.pdmodel"))
    source, trained = (
        parameters.load(programs.load(folder / f"{name}.pdmodel"), folder / f"{name}.pdiparams")["linear_0.w_0"]
        for name in ("source", "float")
    )
    kept = next(p for p in model.parameters.values() if p.dims == source.shape)
    assert np.array_equal(kept.array(), trained) and not np.array_equal(trained, source), (
        "what stays float was trained too"
    )


def test_sparse_weights_stay_sparse_under_quantisation(pruned: Job, tmp_path: Path) -> None:
    settings = FineTuneSettings(epochs=2, batch=16, learning_rate=0.002)
    float_job = replace(pruned, student=pruned.teacher, out=tmp_path / "sparse", settings=settings, sparsity=0.75)
    fine_tune(float_job)
    fine_tune(
        replace(
            float_job,
            student=tmp_path / "sparse",
            out=tmp_path / "int8",
            checkpoint=tmp_path / "q.npz",
            trained=tmp_path / "trained",
            quantise=qat_settings("channel_wise_abs_max"),
        )
    )
    for name in ("sparse", "trained", "int8"):
        program = programs.load(tmp_path / f"{name}.pdmodel")
        weights = parameters.load(program, tmp_path / f"{name}.pdiparams")
        pointwise = [array for array in weights.values() if array.ndim == 4 and array.shape[2:] == (1, 1)]
        assert pointwise and all(np.mean(array == 0) >= 0.74 for array in pointwise), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prune = 1.0", "at least 0 and below 1"),
        ("prune = 0.99", "would leave none of its"),
        ("sparsity = -0.1", "at least 0"),
        ('keep_float = ["linear_9.w_0"]', "did you mean 'linear_1.w_0'|did you mean 'linear_0.w_0'"),
        ("qat = true", "needs epochs"),
        ('prune = 0.1\nprune_skip = ["conv"]', "has no channels to lose"),
        ('weight_only = "int8"', "is for float32 on ARM"),
    ],
)
def test_what_cannot_be(text: str, message: str, project: Path) -> None:
    with pytest.raises((RecipeError, CompressFailed), match=message):
        build(project, "arm64-int8", f"[TARGET]\n{text}")


def test_what_a_target_has_no_kernels_for(project: Path) -> None:
    with pytest.raises(RecipeError, match="no sparse kernels"):
        build(project, "kirin", "[TARGET]\nsparsity = 0.5")
    recipe = project / "edgeflow.toml"
    recipe.write_text(
        "\n".join(line for line in recipe.read_text().splitlines() if not line.startswith(("calibration", "training")))
    )
    with pytest.raises(DataError, match="needs calibration data"):
        build(project, "kirin", "[TARGET]\nprune = 0.5\n[TARGET.fine_tune]\nepochs = 1")


@pytest.fixture
def pruned(digits: Path, tmp_path: Path) -> Job:
    """A fine-tuning of the example with half of one layer's channels gone."""
    raw, prefix = digits / "export" / "digits", tmp_path / "float"
    rewritten(programs.load(raw.with_suffix(".pdmodel")), raw, prefix)
    prune(prefix, tmp_path / "pruned", {"conv2d_3.w_0": 0.5}, criterion="l1")
    samples = np.random.default_rng(0).uniform(0, 1, (64, 1, 8, 8)).astype(np.float32)
    save_npz(tmp_path / "samples.npz", {"image": samples})
    return Job(
        tmp_path / "pruned",
        prefix,
        tmp_path / "out",
        tmp_path / "samples.npz",
        tmp_path / "c.npz",
        FineTuneSettings(epochs=5, batch=16),
    )


def test_training_goes_on_after_a_kill_and_stops_at_nan(pruned: Job, tmp_path: Path) -> None:
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(line)
        if line.startswith("epoch 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(pruned, kill)
    assert pruned.checkpoint.exists() and "s left" in said[0]
    tuned = fine_tune(pruned)
    assert tuned.resumed_at == 3 and tuned.loss_after < tuned.loss_before
    whole = fine_tune(replace(pruned, out=tmp_path / "whole", checkpoint=tmp_path / "w.npz"))
    assert tuned == replace(whole, resumed_at=3), "as if nothing had happened"
    assert (tmp_path / "whole.pdiparams").read_bytes() == (tmp_path / "out.pdiparams").read_bytes()
    save_npz(tmp_path / "huge.npz", {"image": np.full((64, 1, 8, 8), 1e30, np.float32)})
    wild = replace(
        pruned,
        checkpoint=tmp_path / "n.npz",
        samples=tmp_path / "huge.npz",
        settings=FineTuneSettings(epochs=3, batch=16, learning_rate=1e30),
    )
    with pytest.raises(CompressFailed, match="the loss is"):
        fine_tune(wild)
    save_npz(tmp_path / "few.npz", {"image": np.zeros((4, 1, 8, 8), np.float32)})
    with pytest.raises(CompressFailed, match="too few"):
        fine_tune(replace(pruned, samples=tmp_path / "few.npz", checkpoint=tmp_path / "d.npz"))


def test_two_processes_train_as_one(pruned: Job, tmp_path: Path) -> None:
    """Over gloo on the CPU, through paddle.distributed.launch; batches prepared by worker processes give the same
    too.
    """
    alone = fine_tune(pruned)
    said: list[str] = []
    settings = replace(pruned.settings, processes=2)
    both = fine_tune(
        replace(pruned, out=tmp_path / "both", checkpoint=tmp_path / "b.npz", settings=settings), said.append
    )
    assert len(said) == 5 and "s left" in said[0]
    assert both.epochs == alone.epochs and both.loss_before == alone.loss_before
    assert both.loss_after == pytest.approx(alone.loss_after, rel=0.15), (
        "statistics of batch norms see half a batch each"
    )
    assert (tmp_path / "both.pdiparams").stat().st_size == (tmp_path / "out.pdiparams").stat().st_size
    prepared = fine_tune(
        replace(
            pruned,
            out=tmp_path / "prepared",
            checkpoint=tmp_path / "p.npz",
            settings=replace(pruned.settings, workers=1),
        )
    )
    assert prepared == alone
    assert (tmp_path / "prepared.pdiparams").read_bytes() == (tmp_path / "out.pdiparams").read_bytes()
    save_npz(tmp_path / "few.npz", {"image": np.zeros((4, 1, 8, 8), np.float32)})
    with pytest.raises(CompressFailed, match="too few"):
        fine_tune(replace(pruned, samples=tmp_path / "few.npz", checkpoint=tmp_path / "f.npz", settings=settings))


def test_a_killed_build_goes_on_training_where_it_stopped(digits: Path, tmp_path: Path) -> None:
    project = copied(digits, tmp_path / "project")
    recipe = project / "edgeflow.toml"
    recipe.write_text(
        recipe.read_text()
        + "[compress]\nprune = 0.25\n[compress.fine_tune]\nepochs = 14\n".replace(
            "[compress]\n", "[targets.arm64.compress]\n"
        ).replace("[compress.fine_tune]", "[targets.arm64.compress.fine_tune]")
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "edgeflow", "build", "-t", "arm64"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    stage = project / "build" / ".cache" / "compress"
    deadline = time.monotonic() + 120
    while not list(stage.glob("*.float.npz")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert list(stage.glob("*.float.npz")), "a checkpoint outlives the kill"
    edgeflow.build(project, targets=["arm64"])
    (facts,) = (json.loads(path.read_text()) for path in stage.glob("*/facts.json"))
    assert facts["fine_tuned"]["resumed_at"] > 0 and not list(stage.glob("*.float.npz"))


def test_pruning_costs_are_those_of_pruned_programs(project: Path) -> None:
    """Channels put to zero give what channels taken away give."""
    from edgeflow.tuning.sensitivity import prune_sensitivity

    found = prune_sensitivity(project, "arm64", ratios=(0.5,), samples=64)
    assert [item.name for item in found] == ["conv2d_0.w_0", "conv2d_2.w_0", "conv2d_3.w_0", "conv2d_4.w_0"]
    cost = next(item for item in found if item.name == "conv2d_4.w_0")
    built, model, _ = build(project, "arm64", '[TARGET.prune_layers]\n"conv2d_4.w_0" = 0.5')
    assert model.parameters["conv2d_4.w_0"].dims[0] == 32 == 64 - cost.channels
    assert built.report["outputs"][0]["sqnr_db"] == pytest.approx(cost.sqnr_db, abs=1.5), (
        "other samples, the same error"
    )


def test_sensitivity_finds_the_layer_that_matters(own: Path) -> None:
    from edgeflow.tuning.sensitivity import sensitivity

    found = sensitivity(own, "arm64-int8")
    assert len(found) == 7 and [item.error for item in found] == sorted((item.error for item in found), reverse=True)
    assert all(0 < item.error < 0.01 for item in found)
    again = sensitivity(own, "arm64-int8")
    assert again == found, "kept from before"
    worst = found[0].name
    plain, _, _ = build(own, "arm64-int8", "")
    better, _, _ = build(own, "arm64-int8", f'[TARGET]\nkeep_float = ["{worst}"]')
    assert better.report["outputs"][0]["sqnr_db"] > plain.report["outputs"][0]["sqnr_db"]
    with pytest.raises(RecipeError, match="no layer is quantised"):
        sensitivity(own, "kirin")

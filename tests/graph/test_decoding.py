"""Boxes are made on the CPU in float, whatever form their head has, and all before it is one subgraph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.core.targets import load_target
from edgeflow.graph import program as programs
from edgeflow.graph.decoding import decoding_layers
from edgeflow.graph.edit import Editor
from edgeflow.graph.legality import examine
from edgeflow.graph.placement import decodes
from tests.graph.detectors import distributions, two_stages, yolo
from tests.graph.programs import export, rewritten

pytest.importorskip("paddle", reason="PaddlePaddle is not installed")


def exported(build: Callable[[], Any], folder: Path, target: str) -> Editor:
    """A detector, spelled for a target."""
    raw = folder / "raw" / "model"
    if build is yolo:
        from edgeflow.core.tensors import TensorSpec
        from edgeflow.paddle import session

        raw.parent.mkdir(parents=True)
        pair = tuple(TensorSpec(name, (1, 2)) for name in ("im_shape", "scale_factor"))
        session.export(build, (TensorSpec("x", (1, 3, 32, 32)), *pair), raw, "test")
        program = programs.load(raw.with_suffix(".pdmodel"))
    else:
        program = export(build, (1, 3, 32, 32), raw)
    rewritten(program, raw, folder / target, target)
    return Editor(programs.load((folder / target).with_suffix(".pdmodel")))


@pytest.mark.parametrize("form", ["vector", "linear", "conv", "yolo"])
@pytest.mark.parametrize("target", ["kirin", "verisilicon-timvx"])
def test_boxes_are_made_on_the_cpu_and_all_before_them_is_one_piece(form: str, target: str, tmp_path: Path) -> None:
    editor = exported(yolo if form == "yolo" else distributions(form), tmp_path, target)
    profile = load_target(target)
    found = [op.type for op in editor.ops if id(op) in decodes(editor, profile)]
    if form == "yolo":
        assert {"yolo_box", "transpose2", "cast"} <= set(found)
    else:
        assert "softmax" in found and "sigmoid" not in found, "scores may stay on the NPU"
        assert found.count("conv2d") == (1 if form == "conv" else 0), "the mean of a distribution, and no layer"
    findings, split = examine(editor, profile, profile.precision.default)
    assert split is not None and len(split.pieces) == 1
    assert set(split.pieces[0].op_types) >= {"conv2d"}
    assert any(finding.code == "P210" for finding in findings)


def test_the_mean_of_a_distribution_is_not_quantised(tmp_path: Path) -> None:
    """Eight bits of its shares are a good part of a pixel at each stride; what the network learned is quantised."""
    editor = exported(distributions("linear"), tmp_path / "a", "arm64-int8")
    (op,) = (op for op in editor.ops if op.type in ("matmul_v2", "matmul", "mul"))
    assert decoding_layers(editor) == {name for var in op.inputs for name in var.arguments if editor.is_parameter(name)}
    assert decoding_layers(exported(yolo, tmp_path / "b", "arm64-int8")) == frozenset()


def test_what_leads_to_more_layers_stays_on_the_npu(tmp_path: Path) -> None:
    """On the CPU it would cut the network in two."""
    editor = exported(two_stages, tmp_path, "kirin")
    profile = load_target("kirin")
    found = [op.type for op in editor.ops if id(op) in decodes(editor, profile)]
    assert "exp" not in found and "transpose2" in found
    _, split = examine(editor, profile, "float32")
    assert split is not None and len(split.pieces) == 1


def test_a_weight_without_columns_is_a_sum_of_products(tmp_path: Path) -> None:
    """PaddleSlim fails on it, and an NPU takes no vector."""
    editor = exported(distributions("vector"), tmp_path, "arm64-int8")
    types = [op.type for op in editor.ops]
    assert "matmul_v2" not in types and types.count("reduce_sum") == 1
    from edgeflow.paddle import session

    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    with session.Program(tmp_path / "raw" / "model", gpu=False) as before:
        wanted = list(before.infer({"x": x}).values())
    with session.Program(tmp_path / "arm64-int8", gpu=False) as after:
        got = list(after.infer({"x": x}).values())
    assert wanted[0].shape == got[0].shape and len(got[0])
    assert np.abs(wanted[0] - got[0]).max() < 1e-4

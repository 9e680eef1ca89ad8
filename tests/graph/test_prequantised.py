"""Programs that PaddleSlim quantised before they came: one spelling, the same numbers, int8 in the file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.emulate import Emulator
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.quantised import layers

pytestmark = pytest.mark.build

HERE = Path(__file__).parent / "quantised"
X = np.random.default_rng(3).normal(size=(16, 3, 8, 8)).astype(np.float32)


def run(prefix: Path) -> np.ndarray:
    from edgeflow.paddle.session import Program

    with Program(prefix, gpu=False) as runner:
        return next(iter(runner.infer({"x": X}).values()))


def came_in(kind: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """As ingest reads it, and Paddle runs it: raw; and as it leaves ingest: made."""
    from edgeflow.graph.canonicalise import canonicalise
    from edgeflow.graph.legalise import legalise
    from edgeflow.ingest.paddle_files import read_paddle_files
    from edgeflow.paddle.session import evaluate

    given = read_paddle_files(HERE, f"{kind}.pdmodel", None)
    programs.save(given.program, folder / "raw.pdmodel")
    parameters.save(given.program, given.weights, folder / "raw.pdiparams")
    legalise(given.program)
    canonicalise(given.program, given.weights, evaluate)
    legalise(given.program)
    programs.save(given.program, folder / "made.pdmodel")
    parameters.save(given.program, given.weights, folder / "made.pdiparams")
    return given.program, given.weights


@pytest.mark.parametrize(
    ("kind", "count", "tolerance"),
    [  # the onnx format rounds between all ops, ARM does not
        ("static", 3, 1e-6),
        ("static_onnx", 3, 2e-2),
        ("static_layer_onnx", 3, 2e-2),
        ("qat", 3, 1e-6),
        ("qat_onnx", 3, 4e-2),
        ("dynamic", 0, 1e-6),
    ],
)
def test_each_spelling_keeps_its_layers_and_numbers(kind: str, count: int, tolerance: float, tmp_path: Path) -> None:
    program, weights = came_in(kind, tmp_path)
    assert len(layers(Editor(program, weights))) == count
    assert not any(op.type.endswith("e_linear") or "quantize_dequantize" in op.type for op in program.blocks[0].ops)
    raw, made = run(tmp_path / "raw"), run(tmp_path / "made")
    assert np.abs(raw - made).mean() <= tolerance * np.abs(raw).mean()


@pytest.mark.parametrize("kind", ["static_layer_onnx", "qat_onnx"])
def test_opt_writes_int8_with_these_scales(kind: str, tmp_path: Path) -> None:
    from edgeflow.convert import opt

    came_in(kind, tmp_path)
    opt.convert(tmp_path / "made", tmp_path / "m.nb", opt.Conversion("arm"), tmp_path / "log")
    model = nb.read(tmp_path / "m.nb")
    computed = [op for op in model.blocks[0].operations if op.attr("enable_int8", False)]
    assert sum(op.type in ("conv2d", "fc", "matmul_v2", "mul") for op in computed) == 3
    with Emulator(model) as runner:
        (found,) = runner.infer({"x": X}).values()
    wanted = run(tmp_path / "made")
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_it_stays_int8_or_is_refused_in_plan_s_words(tmp_path: Path) -> None:
    from edgeflow.compress.stage import compress
    from edgeflow.core.artifact import Artifact, Tools
    from edgeflow.core.errors import ModelError, RecipeError
    from edgeflow.core.settings import CompressSettings
    from edgeflow.core.targets import load_target
    from edgeflow.flow.plan import plan

    for suffix in ("pdmodel", "pdiparams"):
        shutil.copy(HERE / f"static.{suffix}", tmp_path)
    (tmp_path / "edgeflow.toml").write_text(
        '[model]\nprogram = "static.pdmodel"\n[inputs.x]\nshape = [-1, 3, 8, 8]\n[data]\nevaluation = "d.npz"\n'
    )
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 3, 8, 8), np.float32))
    found = {item.target: item for item in plan(tmp_path, ["arm64-int8", "arm64", "rockchip"])}
    codes = {name: {f.code for f in item.findings} & {"P204", "P206", "P207", "P208"} for name, item in found.items()}
    assert codes == {"arm64-int8": {"P208"}, "arm64": {"P206"}, "rockchip": {"P207", "P208"}}
    assert found["arm64-int8"].buildable
    came_in("static", tmp_path)
    for suffix in ("pdmodel", "pdiparams"):
        (tmp_path / f"made.{suffix}").rename(tmp_path / f"model.{suffix}")
    source, out, target = Artifact(tmp_path), Tools(tmp_path / "out"), load_target("arm64-int8")
    out.folder.mkdir()
    kept = compress(source, target, CompressSettings(keep_float=("conv2d_1.w_0",)), out)
    assert kept.facts["quantised_before"] == 3
    assert kept.facts["method"].endswith("its own scales kept, 1 layers put back in float")
    step = np.abs(run(out.folder / "float")).max() / 127
    assert np.abs(run(out.folder / "float") - run(tmp_path / "raw")).max() < 8 * step
    assert np.array_equal(run(out.folder / "source"), run(out.folder / "float"))
    with pytest.raises(RecipeError, match="prune: the model is quantised already"):
        compress(source, target, CompressSettings(prune=0.5), out)
    with pytest.raises(ModelError, match="quantised 3 layers already, and this build is float32"):
        compress(source, load_target("arm64"), CompressSettings(), out)

"""Repairs and rewrites on real exports: opt takes them, and no number changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.convert import opt
from edgeflow.core.errors import BackendMissing, ModelError, OptFailed
from edgeflow.emulate import Emulator
from edgeflow.graph import program as programs
from edgeflow.graph.layermap import layer_map
from edgeflow.graph.legalise import legalise
from tests.conftest import WHOLE

pytestmark = pytest.mark.build


def layers() -> dict[str, tuple[Callable[[], Any], tuple[int, ...], str]]:
    from paddle import nn

    def conv_net() -> Any:
        return nn.Sequential(
            nn.Conv2D(3, 8, 3, padding=1),
            nn.BatchNorm2D(8),
            nn.ReLU6(),
            nn.Conv2D(8, 4, 1),
            nn.Swish(),
            nn.Flatten(),
            nn.Linear(4 * 64, 5),
        )

    return {
        "conv_relu6_swish_flatten": (conv_net, (2, 3, 8, 8), "relu6.threshold"),
        "relu6": (lambda: nn.Sequential(nn.ReLU6()), (2, 3, 4, 4), "relu6.threshold"),
        "swish": (lambda: nn.Sequential(nn.Swish()), (2, 3, 4, 4), "swish.beta"),
        "flatten": (lambda: nn.Sequential(nn.Flatten(), nn.Softmax()), (2, 3, 4, 4), "flatten_contiguous_range.XShape"),
        "instance_norm": (lambda: nn.Sequential(nn.InstanceNorm2D(3)), (2, 3, 6, 6), "instance_norm.SavedMean"),
    }


@pytest.mark.parametrize("name", ["conv_relu6_swish_flatten", "relu6", "swish", "flatten", "instance_norm"])
def test_repairs_let_opt_through_and_keep_the_numbers(name: str, tmp_path: Path) -> None:
    from tests.graph.programs import export, rewritten, run

    build, shape, repair = layers()[name]
    raw = tmp_path / "raw" / "model"
    program = export(build, shape, raw)
    made = legalise(program)
    assert made.get(repair, 0) >= 1
    assert legalise(program) == {}, "a second pass finds nothing left to repair"
    fixed = tmp_path / "fixed" / "model"
    rewritten(program, raw, fixed)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    before, after = run(raw, x), run(fixed, x)
    assert np.abs(before - after).max() <= 1e-6 * np.abs(before).max()
    opt.convert(fixed, tmp_path / "model.nb", opt.Conversion("arm"), tmp_path / "log")
    with Emulator(tmp_path / "model.nb") as runner:
        got = next(iter(runner.infer({"x": x}).values()))
    assert np.abs(got - before).max() <= 1e-5 * np.abs(before).max()


@pytest.mark.parametrize("kind", ["two convolutions", "scaled activation"])
def test_wrong_fusions_are_stopped(kind: str, tmp_path: Path) -> None:
    """opt 2.13rc0 merges a 3x3 and a 1x1 convolution, and a scale behind an activation, with wrong numbers."""
    from paddle import nn

    from tests.graph.programs import export, rewritten, run

    class Scaled(nn.Layer):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x * 2.0 + 1.0

    def build() -> Any:
        if kind == "two convolutions":
            return nn.Sequential(nn.Conv2D(3, 4, 3), nn.Conv2D(4, 5, 1))
        return nn.Sequential(nn.Conv2D(3, 4, 3, padding=1), nn.ReLU(), Scaled(), nn.Softmax(axis=1))

    raw = tmp_path / "raw" / "model"
    program = export(build, (1, 3, 10, 10), raw)
    x = np.random.default_rng(0).normal(size=(1, 3, 10, 10)).astype(np.float32)
    wanted, errors = run(raw, x), {}
    for name in ("plain", "repaired"):
        prefix = tmp_path / name / "model"
        made = rewritten(program, raw, prefix)
        assert made["conv2d.quantization_type"] == 1
        if name == "plain":
            copy = programs.load(prefix.with_suffix(".pdmodel"))
            for op in copy.blocks[0].ops:
                for index in reversed(range(len(op.attrs))):
                    if op.attrs[index].name == "quantization_type":
                        del op.attrs[index]
            programs.save(copy, prefix.with_suffix(".pdmodel"))
        opt.convert(prefix, tmp_path / f"{name}.nb", opt.Conversion("arm"), tmp_path / "log")
        got = next(iter(Emulator(tmp_path / f"{name}.nb").infer({"x": x}).values()))
        errors[name] = np.abs(got - wanted).max() / np.abs(wanted).max()
    assert errors["repaired"] < 1e-5
    assert errors["plain"] > 0.01, "opt no longer does this: the repair can go"


def test_conv_bias_is_folded_and_fuses(tmp_path: Path) -> None:
    from paddle import nn

    from tests.graph.programs import export, rewritten

    def build() -> Any:
        return nn.Sequential(nn.Conv2D(3, 6, 3), nn.ReLU(), nn.Conv2D(6, 4, 3), nn.ReLU())

    raw = tmp_path / "raw" / "model"
    program = export(build, (1, 3, 12, 12), raw)
    rewritten(program, raw, tmp_path / "canonical" / "model")
    counts = {}
    for name, prefix in (("plain", raw), ("canonical", tmp_path / "canonical" / "model")):
        opt.convert(prefix, tmp_path / f"{name}.nb", opt.Conversion("arm"), tmp_path / "log")
        counts[name] = len(nb.read(tmp_path / f"{name}.nb").blocks[0].operations) - 2
    assert counts == {"plain": 6, "canonical": 2}


def test_layer_map_is_true_in_numbers(built: Path) -> None:
    """Each float op's result equals the source variable it is mapped to, in the source program run by Paddle."""
    import paddle

    source = next((built / "build" / ".cache" / "ingest").glob("*/model.pdmodel")).with_suffix("")
    program = programs.load(source.with_suffix(".pdmodel"))
    x = np.load(built / "build" / "arm64" / "reference.npz")["input/image"][:4]
    for target, tolerance in (("arm64", 1e-5), ("arm64-int8", 0.1)):
        model = nb.read(built / "build" / target / "model.nb")
        mapped = layer_map(model, program)
        assert all(entry.sources for entry in mapped)
        names = sorted({entry.sources[-1] for entry in mapped})
        paddle.enable_static()
        executor, scope = paddle.static.Executor(paddle.CPUPlace()), paddle.static.Scope()
        with paddle.static.scope_guard(scope):
            loaded, _, _ = paddle.static.load_inference_model(str(source), executor)
            values = dict(zip(names, executor.run(loaded, feed={"image": x}, fetch_list=names), strict=True))
        paddle.disable_static()  # a mode of the whole process, which other tests share
        results = {item.index: item.array for item in Emulator(model).dump({"image": x})}
        for entry in mapped:
            if results[entry.op].dtype != np.int8:
                wanted = values[entry.sources[-1]]
                assert np.abs(results[entry.op].ravel() - wanted.ravel()).max() <= tolerance * np.abs(wanted).max(), (
                    entry
                )


@pytest.mark.skipif(not WHOLE.exists(), reason=f"no golden programs at {WHOLE}")
@pytest.mark.parametrize("net", ["lenet", "mobilenet_v2", "encoder"])
def test_layer_map_of_golden_nets(net: str) -> None:
    """Every op with weights, and at least 95 % of all; the two files whose source program is another are left out."""
    program = programs.load(WHOLE / f"net_{net}__fp32" / "model.pdmodel")
    for folder in sorted(WHOLE.glob(f"net_{net}__*")):
        if "rawbias" not in folder.name:
            mapped = layer_map(nb.read(folder / "model.nb"), program)
            assert all(entry.sources for entry in mapped if entry.has_weights), folder.name
            assert sum(bool(entry.sources) for entry in mapped) >= 0.95 * len(mapped), folder.name


@pytest.mark.parametrize("damage", ["truncated", "garbage", "json", "json by content", "empty", "missing"])
def test_what_is_no_program_is_named(damage: str, digits: Path, tmp_path: Path) -> None:
    path = tmp_path / ("model.json" if damage == "json" else "model.pdmodel")
    blob = (digits / "export" / "digits.pdmodel").read_bytes()
    content = {
        "truncated": blob[: len(blob) // 2],
        "garbage": b"\xff" * 100,
        "json": b"{}",
        "json by content": b'{"base": 1}',
        "empty": b"",
        "missing": None,
    }[damage]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        programs.load(path)
    assert caught.value.try_
    if "json" in damage:
        assert "Paddle 3" in caught.value.what


def test_opt_failures_are_named(digits: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "model"
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.copyfile(digits / "export" / f"digits{suffix}", prefix.with_suffix(suffix))
    log = tmp_path / "opt.log"
    with pytest.raises(OptFailed, match=r"SIGABRT.*threshold.*opt\.log"):
        opt.convert(prefix, tmp_path / "out.nb", opt.Conversion("arm"), log)
    assert log.stat().st_size > 0
    with pytest.raises(OptFailed, match="SIGABRT"):
        opt.convert(prefix, tmp_path / "out.nb", opt.Conversion("magic_npu"), log)


def test_missing_paddle_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util
    import sys

    programs.schema.cache_clear()
    monkeypatch.setitem(sys.modules, "paddle.base.proto.framework_pb2", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendMissing, match="paddlepaddle is not installed"):
        programs.schema()
    monkeypatch.undo()
    programs.schema.cache_clear()

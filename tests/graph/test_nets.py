"""Whole networks: rewriting keeps their numbers, leaves fewer ops, and the predicted partition is the one opt
writes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.convert import opt
from edgeflow.core.targets import load_target
from edgeflow.emulate import Emulator
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.legality import partition_of
from edgeflow.graph.placement import off_npu
from tests.graph.programs import pieces

pytestmark = pytest.mark.build

NETS = (
    "lenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3",
    "shufflenet_v2",
    "resnet_bias",
    "encoder",
    "crnn",
    "db",
    "primitive",
)
NPUS = ("kirin", "verisilicon-timvx", "rockchip", "mediatek", "amlogic", "imagination", "nnapi", "eeasytech")
PATTERNS = {"lenet", "mobilenet_v2", "mobilenet_v3", "resnet_bias", "crnn", "db", "primitive"}
"""Networks that have a conv bias, a dropout, primitive activations or consecutive transposes: each must shrink on
ARM.
"""

TWO_PIECES = {("crnn", npu) for npu in NPUS}
"""The LSTM stays on the CPU and parts the network in two."""


def ops(model: nb.Model) -> int:
    return sum(op.type not in ("feed", "fetch", "subgraph") for block in model.blocks for op in block.operations)


@pytest.mark.parametrize("name", NETS)
def test_net(name: str, tmp_path: Path) -> None:
    from tests.graph.nets import nets
    from tests.graph.programs import export, rewritten, run

    build, shape = nets()[name]
    raw = tmp_path / "raw" / "model"
    program = export(build, shape, raw)
    legal = tmp_path / "legal" / "model"
    legal.parent.mkdir()
    legal.with_suffix(".pdiparams").write_bytes(raw.with_suffix(".pdiparams").read_bytes())
    from edgeflow.graph.legalise import legalise

    copy = type(program).FromString(program.SerializeToString())
    legalise(copy)
    programs.save(copy, legal.with_suffix(".pdmodel"))
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    wanted = run(raw, x)
    for target in ("arm64", *NPUS):
        profile = load_target(target)
        prefix = tmp_path / target / "model"
        rewritten(program, raw, prefix, target)
        # Folded weights change the order of sums; how much that shows in deep nets depends on the CPU's vectors (2e-6
        # seen).
        assert np.abs(run(prefix, x) - wanted).max() <= 4e-6 * np.abs(wanted).max(), target
        editor = Editor(programs.load(prefix.with_suffix(".pdmodel")))
        kept = off_npu(editor, profile, ())
        file = tmp_path / f"{target}.nb"
        opt.convert(prefix, file, opt.Conversion(profile.lite.valid_targets, off_npu=kept), tmp_path / "log")
        model = nb.read(file)
        if target == "arm64":
            opt.convert(legal, tmp_path / "raw.nb", opt.Conversion("arm"), tmp_path / "log")
            plain = ops(nb.read(tmp_path / "raw.nb"))
            assert ops(model) < plain if name in PATTERNS else ops(model) <= plain
            with Emulator(file) as runner:
                got = next(iter(runner.infer({"x": x}).values()))
            assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()
            continue
        split = partition_of(editor, profile, set())
        assert {frozenset(piece.ops) for piece in split.pieces} == pieces(model), target
        if target in ("kirin", "verisilicon-timvx"):
            assert len(split.pieces) == (2 if (name, target) in TWO_PIECES else 1)


def test_ops_are_kept_off_the_npu(tmp_path: Path) -> None:
    """By type, by a variable, and where a restriction would make the driver abort."""
    from edgeflow.core.errors import RecipeError
    from tests.graph.nets import nets
    from tests.graph.programs import export, rewritten

    build, shape = nets()["lenet"]
    raw, prefix = tmp_path / "raw" / "model", tmp_path / "kirin" / "model"
    rewritten(export(build, shape, raw), raw, prefix, "kirin")
    target = load_target("kirin")
    editor = Editor(programs.load(prefix.with_suffix(".pdmodel")))
    first = next(op for op in editor.ops if op.type == "pool2d")
    name = first.outputs[0].arguments[0]
    for asked, count in (("pool2d", 3), (f"pool2d::{name}", 2)):
        lines = off_npu(editor, target, (asked,))
        assert lines == (asked,)
        opt.convert(
            prefix, tmp_path / "out.nb", opt.Conversion(target.lite.valid_targets, off_npu=lines), tmp_path / "log"
        )
        model = nb.read(tmp_path / "out.nb")
        assert len(pieces(model)) == count
        from edgeflow.graph.placement import matching

        kept = {id(op) for op in matching(editor, asked)}
        assert {frozenset(p.ops) for p in partition_of(editor, target, kept).pieces} == pieces(model)
    for bad, message in (
        ("pool3d", "did you mean 'pool2d'"),
        ("pool2d:nothing", "no op of that type"),
        ("a:b:c:d", "should be OP"),
        ("pool2d::x\nconv2d", "should be OP"),
    ):
        with pytest.raises(RecipeError, match=message):
            off_npu(editor, target, (bad,))


def test_half_precision_pools_avoid_the_wrong_kernel(tmp_path: Path) -> None:
    """The fp16 kernel for 2x2 windows loses a lane from width 18 on; narrow ones stay as they are."""
    from paddle import nn

    from edgeflow.emulate.shape_trace import trace_shapes
    from edgeflow.nb.lint import lint
    from tests.graph.programs import export, rewritten, run

    for width, split in ((16, False), (21, True)):
        shape = (1, 3, 9, width)
        raw = tmp_path / str(width) / "raw" / "model"
        program = export(lambda: nn.Sequential(nn.MaxPool2D(2, 2)), shape, raw)
        prefix = tmp_path / str(width) / "fp16" / "model"
        made = rewritten(program, raw, prefix, "arm64-fp16")
        assert bool(made.get("max pool in two steps")) == split
        x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        assert (run(prefix, x) == run(raw, x)).all()
        opt.convert(prefix, tmp_path / "out.nb", opt.Conversion("arm", fp16=True), tmp_path / "log")
        model = nb.read(tmp_path / "out.nb")
        shapes, _ = trace_shapes(model, {"x": shape})
        assert "NB116" not in {finding.code for finding in lint(model, load_target("arm64-fp16"), shapes)}

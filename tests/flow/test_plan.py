"""Plans: findings before any work, in time, and true."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.errors import ModelError, RecipeError, TargetError
from edgeflow.core.targets import folder, load_target, names
from edgeflow.flow.plan import NpuQuestions, plan
from edgeflow.graph.edit import Editor
from edgeflow.graph.legality import examine
from edgeflow.report.partition_picture import lines, svg
from edgeflow.verify.npu_share import Required
from tests.graph.programs import export
from tests.projects import run

pytestmark = pytest.mark.build


def test_every_profile_is_planned_built_and_verified(digits: Path, tmp_path: Path) -> None:
    """A real conversion for each profile; the plan's split is the one in the file."""
    import edgeflow
    from tests.graph.programs import pieces

    project = tmp_path / "project"
    shutil.copytree(digits, project, ignore=shutil.ignore_patterns("build", "__pycache__"))
    plans = {item.target: item for item in plan(project, names())}
    assert all(item.buildable for item in plans.values())
    for built in edgeflow.build(project, targets=list(names())):
        assert built.record.verdict != "FAIL", (built.target, built.record.broken)
        model = nb.read(built.folder / "model.nb")
        split = plans[built.target].split
        assert (split is not None) == load_target(built.target).uses_npu
        if split is not None:
            written = {frozenset(name.removesuffix(".dequantized") for name in piece) for piece in pieces(model)}
            assert {frozenset(piece.ops) for piece in split.pieces} == written, built.target
        scales = [
            value
            for block in model.blocks
            for op in block.operations
            for key, attr in op.attributes.items()
            if key.endswith("_scale") and isinstance(attr.value, tuple)
            for value in attr.value
        ]
        if load_target(built.target).precision.scales == "power_of_two":
            assert scales and all(math.log2(scale).is_integer() for scale in scales)
        if load_target(built.target).precision.full_integer:
            for block in model.blocks[1:]:
                assert all(any(key.endswith("_scale") for key in op.attributes) for op in block.operations)


def test_findings(project: Path) -> None:
    recipe = project / "edgeflow.toml"
    text = recipe.read_text()
    recipe.write_text(text + '\n[targets.kirin.compress]\nprecision = "int8"\n')
    (found,) = plan(project, ["kirin"])
    assert not found.buildable
    assert [f.code for f in found.findings if f.severity == "error"] == ["P201"]
    assert "no symmetric int8 type" in found.findings[0].why
    assert "P301" in {f.code for f in found.findings}, "the batch is open"
    recipe.write_text("\n".join(line for line in text.splitlines() if not line.startswith("calibration")))
    (found,) = plan(project, ["arm64-int8"])
    assert "P204" in {f.code for f in found.findings}
    assert not (project / "build").exists(), "a plan writes nothing"


def test_an_open_size_is_refused_for_an_npu_with_the_line_to_add(tmp_path: Path) -> None:
    def build() -> Any:
        import paddle

        return paddle.nn.Conv2D(3, 4, 3)

    editor = Editor(export(build, (-1, 3, -1, 32), tmp_path / "m"))
    for target, wanted in (("kirin", ["error"]), ("verisilicon-timvx", ["error"]), ("arm64", [])):
        found = [f for f in examine(editor, load_target(target), "float32")[0] if f.code == "P301"]
        assert [f.severity for f in found] == wanted
        assert all(f.fix.startswith("shape = [1, 3, N, 32] under [inputs.x]") for f in found)


@pytest.mark.parametrize(
    ("layer", "code", "text"),
    [
        ("nn.Fold([4, 4], 2)", "P101", "fold"),
        ("Fn(lambda x: paddle.cast(x, 'float16'))", "P102", "float16"),
        ("Fn(lambda x: paddle.linalg.inv(x))", "P103", "inverse"),
    ],
)
def test_ops_are_named_with_the_reason(layer: str, code: str, text: str, tmp_path: Path) -> None:
    shape = "[1, 8, 9]" if "Fold" in layer else "[1, 4, 4]"
    (tmp_path / "model.py").write_text(
        "import paddle\nfrom paddle import nn\n\nclass Fn(nn.Layer):\n    def __init__(self, f):\n        super().__init__()\n"
        f"        self.f = f\n\n    def forward(self, x):\n        return self.f(x)\n\ndef build():\n    return {layer}\n"
    )
    (tmp_path / "edgeflow.toml").write_text(
        f'[model]\nfactory = "model.py:build"\n[inputs.x]\nshape = {shape}\n[data]\nevaluation = "x.npz"\n'
    )
    np.savez(tmp_path / "x.npz", x=np.zeros([4, *json.loads(shape)[1:]], np.float32))
    (found,) = plan(tmp_path, ["arm64"])
    assert [(f.code, text in f.op or text in f.why) for f in found.findings if f.severity == "error"] == [(code, True)]


def test_restrictions_of_a_driver(tmp_path: Path) -> None:
    """Kirin takes hard_sigmoid with slope 0.2 only: others are respelled. A softplus with another beta cannot be."""
    (tmp_path / "model.py").write_text(
        "from paddle import nn\n\ndef build():\n    return nn.Sequential(nn.Conv2D(3, 4, 3), nn.Hardsigmoid(), nn.Conv2D(4, 4, 3), "
        "nn.Softplus(beta=2))\n"
    )
    (tmp_path / "edgeflow.toml").write_text(
        '[model]\nfactory = "model.py:build"\n[inputs.x]\nshape = [1, 3, 8, 8]\n[data]\nevaluation = "x.npz"\n'
    )
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 3, 8, 8), np.float32))
    (found,) = plan(tmp_path, ["kirin"])
    assert found.respelled == {"hard_sigmoid -> scale+relu6": 1}
    assert [f.code for f in found.findings if f.severity != "note"] == ["P401"]
    assert found.split is not None and [kind for kind, _ in found.split.on_cpu] == ["softplus"]
    asked = NpuQuestions(explain=True, require=Required("ops", 0.9))
    (told,) = plan(tmp_path, ["kirin"], keep_on_cpu=["relu6"], npu=asked)
    assert told.borders is not None and told.split is not None and len(told.split.pieces) == 2
    assert [(j.op_type, j.pieces) for j in told.borders.joins] == [("relu6", 1)]
    assert [(o.op_type, o.reason) for o in told.borders.ops if o.piece is None] == [
        ("relu6", "keep_on_cpu asks for it: relu6"),
        ("softplus", "the NPU takes it only so: beta must be 1 and threshold 20"),
    ]
    assert not told.buildable and "P404" in [f.code for f in told.findings if "required >= 90 %" in f.why]
    assert "joins the most: 1 relu6 on the NPU would leave 1 piece" in lines(told.borders)[-1]
    root = ElementTree.fromstring(svg(told.borders, "x"))
    classes = [one.get("class", "") for one in root.iter() if one.get("class")]
    assert sum("cpu" in c.split() for c in classes) == 2 and root.tag.endswith("svg")
    (other,) = plan(tmp_path, ["kirin"], keep_on_cpu=["conv2d"])
    assert other.split is not None and len(other.split.on_cpu) == 3


def test_ops_of_an_int8_model_are_kept_in_float(project: Path) -> None:
    import edgeflow
    from edgeflow.core.errors import RecipeError as Wrong

    recipe = project / "edgeflow.toml"
    text = recipe.read_text()
    one = "conv2d::conv2d_2.tmp_0"  # opt knows the result of a quantised op by another name
    recipe.write_text(f'{text}\n[targets.mediatek.convert]\nkeep_float = ["mul"]\nkeep_on_cpu = ["pool2d", "{one}"]\n')
    (built,) = edgeflow.build(project, targets=["mediatek"])
    model = nb.read(built.folder / "model.nb")
    ops = [op for block in model.blocks for op in block.operations]
    assert built.record.verdict != "FAIL" and [op.attr("enable_int8", False) for op in ops if op.type == "mul"] == [
        False,
        False,
    ]
    assert [op.type for op in model.blocks[0].operations].count("subgraph") == 3
    assert [op.output("Output") for op in model.blocks[0].operations if op.type == "conv2d"] == [
        "conv2d_2.tmp_0.dequantized"
    ]
    recipe.write_text(text + '\n[convert]\nkeep_float = ["mull"]\n')
    with pytest.raises(Wrong, match=r"keep_float: 'mull'.*did you mean 'mul'"):
        edgeflow.build(project, targets=["mediatek"])


def test_bad_input(tmp_path: Path, project: Path) -> None:
    with pytest.raises(RecipeError, match="no target"):
        plan(project)
    with pytest.raises(RecipeError, match="no recipe"):
        plan(tmp_path, ["kirin"])
    with pytest.raises(TargetError, match="did you mean"):
        plan(project, ["kirn"])
    (project / "model.py").write_text("def build():\n    raise ValueError('broken')\n")
    with pytest.raises(ModelError, match="broken"):
        plan(project, ["kirin"])


def test_command(project: Path) -> None:
    done = run(project, "plan", "-t", "kirin", "-t", "rockchip")
    assert done.returncode == 0, done.stderr
    assert "1 subgraph," in done.stdout and "matmul_v2 -> mul" in done.stdout and "can be built" in done.stdout
    assert done.stderr == ""
    table = json.loads(run(project, "plan", "-t", "kirin", "--json").stdout)
    assert table[0]["buildable"] is True and table[0]["split"]["pieces"][0]["op_types"]
    keys = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
    assert all(f"`{key}`" in keys for key in table[0])


def test_every_finding_is_documented() -> None:
    import re

    page = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
    sources = [
        Path(__file__).parents[2] / "edgeflow" / name
        for name in ("graph/legality.py", "compress/buildable.py", "flow/plan.py", "flow/early.py")
    ]
    codes = {code for source in sources for code in re.findall(r'"(P\d{3})"', source.read_text())}
    assert codes == set(re.findall(r"^\| (P\d{3}) ", page, re.M))


def test_refused_chips_say_why() -> None:
    for chip in ("RK3588", "rk3399pro", "Kirin 970"):
        with pytest.raises(TargetError, match="is not on this stack") as caught:
            load_target(chip)
        assert caught.value.try_.split()[-1] in names()
    with pytest.raises(TargetError, match=r"rockchip .* and verisilicon-timvx .* drive"):
        load_target("RV1126")
    assert load_target("kirin 990").name == "kirin", "the chip's own NPU, not Android's CPU"
    assert load_target("SD865").name == "android-arm64"
    assert (folder() / "unsupported_chips.json").exists()


def test_what_only_the_emulator_lacks_is_built_when_asked_for_and_never_passes(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "import numpy as np, paddle\n"
        "class Net(paddle.nn.Layer):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.linear = paddle.nn.Linear(4, 16)\n"
        "    def forward(self, x):\n"
        "        return paddle.inverse(self.linear(x).reshape([-1, 4, 4]) + 5 * paddle.eye(4))\n"
        "def data():\n"
        "    return {'x': np.random.default_rng(0).normal(size=(8, 4)).astype('float32')}\n"
    )
    (tmp_path / "edgeflow.toml").write_text(
        '[model]\nfactory = "model.py:Net"\n[inputs.x]\nshape = [-1, 4]\n[data]\nevaluation = "model.py:data"\n'
    )
    done = run(tmp_path, "build", "-t", "arm64")
    assert done.returncode == 1 and "--unverified" in done.stderr
    done = run(tmp_path, "build", "-t", "arm64", "--unverified")
    assert done.returncode == 0 and "NOT VERIFIED" in done.stderr and "NOT JUDGED" in done.stdout
    assert (tmp_path / "build" / "arm64" / "model.nb").is_file()
    assert "never ran here" in (tmp_path / "build" / "arm64" / "report.html").read_text()

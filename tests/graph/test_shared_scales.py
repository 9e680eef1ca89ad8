"""One range for what a concat or a split holds together, and ranges of their own where the parts are too far apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.compress.npu_scales import complete
from edgeflow.core.targets import load_target
from edgeflow.graph.edit import Editor, output, set_attr
from edgeflow.graph.program import attribute, input_of, load
from edgeflow.graph.quantised import names_in_opt
from edgeflow.graph.shared_scales import range_of, share_scales, unlike
from tests.graph.programs import export, rewritten, run

pytest.importorskip("paddle", reason="PaddlePaddle is not installed")


def joined() -> Any:
    """A split, a concat, its result in another order, a maximum and an exponential."""
    import paddle

    class Joined(paddle.nn.Layer):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            functional = paddle.nn.functional
            left, right = paddle.split(functional.relu(x), 2, axis=1)
            both = paddle.concat([functional.sigmoid(left), functional.tanh(right)], axis=1)
            turned = functional.relu6(both.transpose([0, 2, 3, 1]))
            return paddle.exp(paddle.maximum(turned, turned * 0.5))

    return Joined()


RANGES = {"relu": 3.0, "split": 3.0, "sigmoid": 1.0, "tanh": 2.0, "concat": 2.0, "transpose2": 2.0, "relu6": 8.0}


def ranged(folder: Path, **changed: float) -> Editor:
    program = export(joined, (1, 4, 5, 6), folder / "m")
    editor = Editor(program, {})
    for op in editor.ops:
        if op.type in RANGES:
            set_attr(op, "out_threshold", {**RANGES, **changed}[op.type])
    editor.touch()
    editor.commit()
    return editor


def of(editor: Editor, kind: str) -> list[float]:
    (op,) = [op for op in editor.ops if op.type == kind]
    return [range_of(editor, name) for var in op.outputs for name in var.arguments if var.parameter == "Out"]


def test_joined_parts_share_the_widest_range(tmp_path: Path) -> None:
    editor = ranged(tmp_path)
    assert [line.split("::")[0] for line in unlike(editor.program)] == ["concat"]
    assert share_scales(editor) == 1
    editor.touch()
    editor.commit()
    assert [of(editor, kind) for kind in ("sigmoid", "tanh", "concat", "transpose2")] == [[2.0]] * 4
    assert of(editor, "relu6") == [8.0] and of(editor, "split") == [3.0, 3.0], "what computes between them has its own"
    assert unlike(editor.program) == ()


def test_parts_far_apart_keep_theirs(tmp_path: Path) -> None:
    editor = ranged(tmp_path, sigmoid=0.4)
    assert share_scales(editor) == 0
    editor.touch()
    editor.commit()
    assert of(editor, "sigmoid") == [pytest.approx(0.4)]
    assert unlike(editor.program)


def test_missing_ranges_are_measured_and_split_has_its_widest(tmp_path: Path) -> None:
    editor = ranged(tmp_path)
    (split,) = [op for op in editor.ops if op.type == "split"]
    for key, value in (("Out0_threshold", 3.0), ("Out1_threshold", 2.5), ("out_threshold", 2.5)):
        set_attr(split, key, value)
    editor.touch()
    samples = {"x": np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype("float32")}
    complete(editor, load_target("verisilicon-timvx"), samples)
    editor.commit()
    (split,) = [op for op in editor.ops if op.type == "split"]
    said = attribute(split, "out_threshold")
    assert said is not None and said.f == 3.0, "opt gives every output this one"
    (largest,) = of(editor, "elementwise_max")
    assert 0.3 < largest < 1.0 and of(editor, "exp") == [pytest.approx(2.718281828**largest, rel=1e-4)]


def test_what_stands_before_an_output_has_its_name_in_opt(tmp_path: Path) -> None:
    editor = Editor(export(joined, (1, 4, 5, 6), tmp_path / "m"), {})
    (exp,) = [op for op in editor.ops if op.type == "exp"]
    (fetch,) = [op for op in editor.ops if op.type == "fetch"]
    assert names_in_opt(editor) == {output(exp): input_of(fetch, "X")} and output(exp) != input_of(fetch, "X")


def test_constants_are_spelled_as_int8_takes_them(tmp_path: Path) -> None:
    def build() -> Any:
        import paddle

        class Net(paddle.nn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.factor = self.create_parameter([1])
                self.shift = self.create_parameter([1])
                self.each = self.create_parameter([4, 1, 1])

            def forward(self, x: Any) -> Any:
                x = paddle.nn.functional.relu(x)
                return self.each * paddle.nn.functional.relu(self.factor * x + self.shift)

        return Net()

    raw, out = tmp_path / "raw", tmp_path / "out"
    program = export(build, (1, 4, 5, 6), raw)
    made = rewritten(program, raw, out, "verisilicon-timvx")
    assert made["constants as int8 takes them"] == 3
    spelled = load(out.with_suffix(".pdmodel"))
    editor = Editor(spelled, {})
    assert [op.type for op in editor.ops if op.type == "scale"] == ["scale", "scale"]
    assert all(not editor.is_parameter(input_of(op, "X")) for op in editor.ops if op.type == "elementwise_mul")
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype("float32")
    assert np.allclose(run(out, x), run(raw, x), atol=1e-6)

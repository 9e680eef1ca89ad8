"""One file for each finding that has it, and one that has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.coverage import covered
from edgeflow.core.targets import load_target
from edgeflow.emulate.shape_trace import trace_shapes
from edgeflow.nb import Attribute, AttrType, Block, Model
from edgeflow.nb.lint import RULES, lint
from tests.conftest import GOLDEN
from tests.nb.make import model, op

W = {"w": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)}
W8 = {"w": np.arange(4 * 27, dtype=np.int8).reshape(4, 3, 3, 3), "b": np.zeros(4, np.float32)}
CONV = {"strides": (1, 1), "paddings": (1, 1), "dilations": (1, 1), "groups": 1}
INT8 = {"enable_int8": True, "Input0_scale": (0.1,), **CONV}


def conv(kernel: str = "def/4/1/1", **more: object) -> nb.Op:
    return op("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "y"}, kernel, **{**CONV, **more})


def npu(inner: list[nb.Op], **declared: object) -> Model:
    sub = op("subgraph", {"Inputs": ("x", "w")}, {"Outputs": "y"}, "def/18/4/1", sub_block=1, output_data_names=("y",))
    return model([sub], W8, blocks=(Block(tuple(inner)),), **declared)  # type: ignore[arg-type]


def bad(value: float) -> Model:
    array = W["w"].copy()
    array[0, 0, 0, 0] = value
    return model([conv()], {"w": array})


FILES: dict[str, tuple[Callable[[], Model], str | None]] = {
    "NB101": (
        lambda: model(
            [
                conv("fp32_out/4/2/1", **INT8, Filter0_scale=(0.1,) * 4),
                op("fc", {"Input": "y", "W": "f"}, {"Out": "z"}, in_num_col_dims=1),
            ],
            {**W8, "f": np.ones((256, 2), np.float32) * np.arange(2, dtype=np.float32)},
            outputs=("z",),
        ),
        None,
    ),
    "NB102": (lambda: npu([op("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "y"}, None, **INT8)]), "kirin"),
    "NB103": (lambda: npu([op("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "y"}, None, **INT8)]), None),
    "NB105": (lambda: model([conv(), op("relu", {"X": "y"}, {"Out": "z"})], W, outputs=("z",)), "arm64"),
    "NB106": (lambda: model([op("fake_quantize_dequantize_abs_max", {"X": "x"}, {"Out": "y"})]), None),
    "NB107": (lambda: bad(float("nan")), None),
    "NB108": (lambda: model([conv("def/4/5/1")], W), "arm64"),
    "NB109": (lambda: model([op("tan", {"X": "x"}, {"Out": "y"})]), "arm64"),
    "NB110": (lambda: npu([op("relu", {"X": "x"}, {"Out": "y"}, None)], inputs={"x": (-1, 3, 8, 8)}), "kirin"),
    "NB111": (lambda: nb.read(GOLDEN / "net_mobilenet_v1_sp__sparse_fp32" / "model.nb"), "arm64"),
    "NB112": (lambda: model([conv(z=Attribute(AttrType.FLOAT64, 0.5))], W), None),
    "NB113": (lambda: model([conv("fp32_out/4/2/1", **INT8, Filter0_scale=(0.1,))], W8), None),
    "NB114": (
        lambda: model([conv("fp32_out/4/2/1", **{**INT8, "Input0_scale": (0.0,)}, Filter0_scale=(0.1,) * 4)], W8),
        None,
    ),
    "NB115": (
        lambda: model(
            [
                op(
                    "conv2d_transpose",
                    {"Input": "x", "Filter": "w", "Bias": "batch_norm2d_0.b_0"},
                    {"Output": "y"},
                    "fp32_out/4/2/1",
                    **INT8,
                    Filter0_scale=(0.1,) * 3,
                )
            ],
            {**W8, "batch_norm2d_0.b_0": np.zeros(3, np.float32)},
            inputs={"x": (1, 4, 8, 8)},
        ),
        None,
    ),
    "NB116": (
        lambda: model(
            [op("scatter", {"X": "x", "Ids": "i", "Updates": "u"}, {"Out": "y"})],
            {"i": np.zeros(1, np.int64), "u": np.zeros((1, 3, 8, 8), np.float32)},
        ),
        None,
    ),
}


@pytest.mark.parametrize("code", FILES)
def test_each_finding_is_found(code: str) -> None:
    make, name = FILES[code]
    target = load_target(name) if name else None
    found = lint(make(), target, None, covered(target) if target else None)
    match = [finding for finding in found if finding.code == code]
    assert match, [f.code for f in found]
    assert match[0].why
    assert match[0].fix


def test_per_layer_target() -> None:
    """NB104 needs a profile that wants per-layer weights."""
    target = load_target("arm64-int8")
    strict = replace(target, precision=replace(target.precision, weights="per_layer"))
    made = model([conv("fp32_out/4/2/1", **INT8, Filter0_scale=(0.1, 0.2, 0.3, 0.4))], W8)
    assert "NB104" in {f.code for f in lint(made, strict)}
    assert "NB104" not in {f.code for f in lint(made, target)}


def test_every_rule_has_a_code_in_its_docstring_and_a_test() -> None:
    codes = {str(rule.__doc__)[:5] for rule in RULES}
    assert len(codes) == len(RULES)
    assert codes == set(FILES) | {"NB104"}


def test_fp16_pool_defect_depends_on_the_width() -> None:
    for width, expected in ((16, False), (20, True)):
        pool = op(
            "pool2d",
            {"X": "x"},
            {"Out": "y"},
            "def/4/5/1",
            pooling_type="max",
            ksize=(2, 2),
            strides=(2, 2),
            paddings=(0, 0),
        )
        made = model([pool], inputs={"x": (1, 1, 4, width)})
        shapes, _ = trace_shapes(made)
        assert ("NB116" in {f.code for f in lint(made, None, shapes)}) is expected


def test_one_scale_is_enough_for_a_transposed_convolution() -> None:
    """Its filter is [Cin, Cout / groups, kh, kw], and the kernel spreads a single scale over Cout (NB113)."""
    weight = {"w": np.arange(8 * 9, dtype=np.int8).reshape(8, 1, 3, 3)}
    made = op(
        "conv2d_transpose",
        {"Input": "x", "Filter": "w"},
        {"Output": "y"},
        "fp32_out/4/2/1",
        **INT8,
        Filter0_scale=(0.1,),
    )
    assert "NB113" not in {finding.code for finding in lint(model([made], weight))}


def test_a_clean_file_has_no_finding() -> None:
    target = load_target("arm64")
    found = nb.read(GOLDEN / "net_lenet__fp32" / "model.nb")
    assert lint(found, target, trace_shapes(found)[0], covered(target)) == []


def test_raw_bias_is_told_from_a_residual_sum() -> None:
    raw = nb.read(GOLDEN / "net_lenet__int8_ptq_rawbias" / "model.nb")
    assert {f.code for f in lint(raw)} >= {"NB105"}
    residual = nb.read(GOLDEN / "net_mobilenet_v2__int8_ptq_hist" / "model.nb")
    assert "NB105" not in {f.code for f in lint(residual)}


def test_scales_are_wanted_where_the_driver_wants_them() -> None:
    """An int8 op's output on every NPU; a float op only where the target is full_integer (NB103)."""
    whole = {"Input0_scale": (0.1,), "Filter0_scale": (0.1,) * 4, "Output0_scale": (0.1,)}
    int8 = op("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "y"}, None, enable_int8=True, **whole)
    plain = op("relu", {"X": "x"}, {"Out": "y"}, None)

    def codes(inner: nb.Op, name: str) -> list[str]:
        return [f.code for f in lint(npu([inner]), load_target(name), None, covered(load_target(name)))]

    for name in ("rockchip", "amlogic", "imagination"):
        assert "NB103" in codes(plain, name), name
    for name in ("verisilicon-timvx", "mediatek", "qualcomm-qnn", "eeasytech", "kirin"):
        assert "NB103" not in codes(plain, name), name
        assert "NB103" in codes(op("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "y"}, None, **INT8), name), name
        assert "NB103" not in codes(int8, name), name

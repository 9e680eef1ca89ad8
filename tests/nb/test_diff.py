"""Differences in words: none where there is none, the right ones where there are."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.nb import Model
from edgeflow.nb.diff import diff
from tests.conftest import GOLDEN
from tests.nb.make import model, op, parameter


def golden(case: str) -> Model:
    return nb.read(GOLDEN / case / "model.nb")


def renamed(found: Model) -> Model:
    """The same model with every variable called otherwise."""
    names: dict[str, str] = {}

    def new(name: str) -> str:
        return (
            name
            if name in found.parameters or name in ("feed", "fetch", *found.inputs)
            else names.setdefault(name, f"v{len(names)}")
        )

    ops = tuple(
        replace(
            o,
            inputs={p: tuple(map(new, n)) for p, n in o.inputs.items()},
            outputs={p: tuple(map(new, n)) for p, n in o.outputs.items()},
        )
        for o in found.blocks[0].operations
    )
    return replace(found, blocks=(replace(found.blocks[0], operations=ops), *found.blocks[1:]))


@pytest.mark.parametrize("case", ["net_lenet__int8_ptq_hist", "net_encoder__int8_ptq_hist", "net_ssd__fp16"])
def test_names_do_not_count(case: str) -> None:
    found = golden(case)
    assert diff(found, found).same
    assert diff(found, renamed(found)).same


def test_order_of_independent_ops_does_not_count() -> None:
    branches = [op("relu", {"X": "x"}, {"Out": "a"}), op("sigmoid", {"X": "x"}, {"Out": "b"})]
    end = op("elementwise_add", {"X": "a", "Y": "b"}, {"Out": "y"}, axis=-1)
    assert diff(model([*branches, end]), model([*reversed(branches), end])).same


def test_swapped_operands_count() -> None:
    branches = [op("relu", {"X": "x"}, {"Out": "a"}), op("sigmoid", {"X": "x"}, {"Out": "b"})]
    one = op("elementwise_sub", {"X": "a", "Y": "b"}, {"Out": "y"}, axis=-1)
    other = op("elementwise_sub", {"X": "b", "Y": "a"}, {"Out": "y"}, axis=-1)
    assert not diff(model([*branches, one]), model([*branches, other])).same


def test_quantisation_in_words() -> None:
    found = diff(golden("net_lenet__fp32"), golden("net_lenet__int8_ptq_hist"))
    assert not found.same
    assert found.removed == ()
    assert {name.split(" ")[0] for name in found.added} <= {"calib", "scale"}
    texts = [text for change in found.changed for text in change.changes]
    assert any("kernel def/arm/float32 -> fp32_out/arm/int8" in text for text in texts)
    assert any(text.startswith("quantised (scales of Filter, Input") for text in texts)


def test_weight_sqnr_is_of_the_dequantised_weight() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    scale = np.abs(weight).reshape(4, -1).max(1) / 127
    steps = np.round(weight / scale[:, None, None, None]).astype(np.int8)
    common = {"strides": (1, 1), "paddings": (1, 1), "groups": 1, "dilations": (1, 1)}
    conv = op("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "y"}, **common)
    conv8 = op(
        "conv2d",
        {"Input": "x", "Filter": "w"},
        {"Output": "y"},
        "fp32_out/4/2/1",
        enable_int8=True,
        Input0_scale=(0.1,),
        Filter0_scale=tuple(float(s) for s in scale),
        **common,
    )
    found = diff(model([conv], {"w": weight}), model([conv8], {"w": steps}))
    noise = weight - steps * scale[:, None, None, None]
    expected = 10 * np.log10(np.square(weight).sum() / np.square(noise).sum())
    assert found.weights[0].sqnr_db == pytest.approx(expected, abs=1e-3)
    assert found.weights[0].change == "float32 -> int8"


def test_fusion_and_attributes() -> None:
    plain = op("fc", {"Input": "x", "W": "w"}, {"Out": "y"}, in_num_col_dims=1)
    fused = op("fc", {"Input": "x", "W": "w", "Bias": "b"}, {"Out": "y"}, in_num_col_dims=1, activation_type="relu")
    weights = {"w": np.ones((192, 2), np.float32)}
    found = diff(model([plain], weights), model([fused], {**weights, "b": np.ones(2, np.float32)}))
    assert found.changed[0].changes == ("fused activation none -> relu", "bias fused in")


def test_one_flipped_bit_in_a_weight_is_seen() -> None:
    found = golden("net_lenet__fp32")
    name = sorted(found.parameters)[random.Random(0).randrange(len(found.parameters))]
    array = found.parameters[name].array().copy()
    array.flat[0] = -array.flat[0] - 1
    other = replace(found, parameters={**found.parameters, name: parameter(name, array)})
    change = diff(found, other)
    assert [w.name for w in change.weights] == [name]
    assert change.as_table()["same"] is False


def test_header_and_inputs() -> None:
    one = model([op("relu", {"X": "x"}, {"Out": "y"})])
    other = replace(
        model([op("relu", {"X": "x"}, {"Out": "y"})], inputs={"x": (1, 3, 16, 16)}), header=nb.Header(2, "v2.12")
    )
    found = diff(one, other)
    assert found.header == ("opt version: v2.13-rc -> v2.12",)
    assert found.interface == ("inputs: x [1, 3, 8, 8] -> x [1, 3, 16, 16]",)

"""Predicted latency against what was published: the order of fp32, fp16, int8 and sparse, the cases where int8 or
sparse loses included.
"""

from __future__ import annotations

import json

import pytest

from edgeflow import nb
from edgeflow.core.errors import TargetError
from edgeflow.core.targets import folder, load_target
from edgeflow.emulate.shape_trace import trace_shapes
from edgeflow.nb.predict import Work, chip_costs, predict, published, rank_agreement, works
from tests.conftest import GOLDEN

TABLES = json.loads((folder() / "latency_published.json").read_text())
DENSITY = 0.25


def predicted(chip: str, abi: str, kind: str, network: str) -> float:
    costs = chip_costs(chip, abi)
    table = published()["work"][network]["int8" if kind == "int8" else "float32"]
    work = Work(**table)
    if kind == "sparse":
        work = Work(work.dense, 0.0, work.depthwise, work.pointwise * DENSITY, work.elements)
    return costs["float32" if kind == "sparse" else kind].of(work)  # type: ignore[index]


def every_pair() -> list[tuple[str, str, str, str, str]]:
    pairs = []
    for abi, kinds in TABLES["cpu"].items():
        for chip in TABLES["chips"]:
            for network in published()["work"]:
                have = [kind for kind in kinds if network in kinds[kind].get(chip, {})]
                pairs += [(abi, chip, network, a, b) for k, a in enumerate(have) for b in have[:k]]
    return pairs


def test_published_order_of_precisions() -> None:
    wrong = []
    for abi, chip, network, a, b in every_pair():
        real = [TABLES["cpu"][abi][kind][chip][network] for kind in (a, b)]
        guess = [predicted(chip, abi, kind, network) for kind in (a, b)]
        if rank_agreement(guess, real) < 1:
            wrong.append((abi, chip, network, a, b, real, [round(g, 2) for g in guess]))
    total = len(every_pair())
    assert total > 150
    assert len(wrong) <= 0.06 * total, wrong
    assert all(max(real) / min(real) < 1.4 for *_, real, _ in wrong), "only close calls are called wrongly"


@pytest.mark.parametrize(
    ("chip", "network", "faster", "slower"),
    [
        ("Snapdragon 865", "MobileNetV2", "float16", "int8"),
        ("Snapdragon 865", "MobileNetV3_large_x1_0", "float16", "int8"),
        ("Snapdragon 865", "MobileNetV3_small_x1_0", "float16", "int8"),
        ("Kirin 990", "MobileNetV2", "float16", "int8"),
        ("Snapdragon 625", "MobileNetV1", "float32", "sparse"),
        ("Snapdragon 625", "MobileNetV2", "float32", "sparse"),
        ("Snapdragon 865", "MobileNetV1", "sparse", "float32"),
        ("RK3399", "MobileNetV1", "int8", "float32"),
    ],
)
def test_smaller_is_not_always_faster(chip: str, network: str, faster: str, slower: str) -> None:
    cpu = TABLES["cpu"]["armv8"]
    assert cpu[faster][chip][network] < cpu[slower][chip][network], "as published"
    assert predicted(chip, "armv8", faster, network) < predicted(chip, "armv8", slower, network)


def test_npu_against_cpu() -> None:
    for chip in ("Kirin 990", "A311D", "RV1126"):
        for network, ms in TABLES["npu"][chip]["ms"].items():
            npu = chip_costs(chip)["npu"]
            guess = npu.of(Work(**published()["work"][network]["float32"])) + npu.fixed
            assert guess < TABLES["npu"][chip]["cpu_ms"][network] and 0.3 < guess / ms < 3


@pytest.mark.parametrize(
    "case", ["net_mobilenet_v2__int8_ptq_hist", "net_lenet__fp32", "net_mobilenet_v1_sp__sparse_fp32"]
)
def test_a_file_is_predicted_from_its_own_ops(case: str) -> None:
    model = nb.read(GOLDEN / case / "model.nb")
    shapes, why = trace_shapes(model)
    assert shapes is not None, why
    target = load_target("android-arm64")
    found = predict(model, shapes, target)
    assert found is not None and found.ms > 0 and found.error is not None and "Snapdragon 865" in str(found)
    older = predict(model, shapes, target, "Snapdragon 625")
    assert older is not None and older.ms > found.ms
    if "sparse" in case:
        assert works(model, shapes)["float32"].sparse > 0
        assert predict(model, shapes, target, "Snapdragon 855") is None, "nothing sparse was published for it"
    with pytest.raises(TargetError, match="has no published latencies; did you mean 'RK3399'"):
        predict(model, shapes, target, "RK3398")


def test_no_table_no_number() -> None:
    model = nb.read(GOLDEN / "net_lenet__fp32" / "model.nb")
    shapes, _ = trace_shapes(model)
    assert shapes is not None and predict(model, shapes, load_target("x86")) is None


def test_the_error_is_that_of_networks_left_out() -> None:
    """Each published network predicted from the others alone, fitted again here."""
    import numpy as np

    scipy = pytest.importorskip("scipy.optimize", reason="scipy, which comes with the dev extra, fits the costs")
    for chip in ("Snapdragon 865", "RK3399"):
        column = TABLES["cpu"]["armv8"]["float32"][chip]
        tables = [published()["work"][name]["float32"] for name in column]
        rows = np.asarray([[t["dense"] + t["pointwise"], t["depthwise"], t["elements"]] for t in tables])
        times = np.asarray(list(column.values()))
        errors = []
        for k in range(len(times)):
            kept = np.arange(len(times)) != k
            costs, _ = scipy.nnls(rows[kept] / times[kept, None], np.ones(kept.sum()))
            errors.append(abs(rows[k] @ costs - times[k]) / times[k])
        assert np.isclose(np.mean(errors), chip_costs(chip)["float32"].error, rtol=1e-3)

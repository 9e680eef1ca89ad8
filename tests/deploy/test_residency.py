"""Residency from recorded texts: a share only where the device gave evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.deploy import runners
from edgeflow.deploy.residency import Evidence, residency

# Texts as the sources of Paddle Lite v2.13-rc print them; no NPU was at hand to record real ones.
DEVICE = (
    "[4  8/30 14:31:50.299 ...kernels/nnadapter/engine.cc:361 Engine] NNAdapter device verisilicon_timvx: "
    "vendor=VeriSilicon type=2 version=1\n"
)
RAN = "[3  8/30 14:31:50.401 ...kernels/nnadapter/engine.cc:262 Execute] Process cost 1834.000000 us\n"
PROFILE = """Timing cycle = 10
===== Detailed Dispatch Profiler Summary: N/A, Exclude 1 warm-ups =====
OperatorType         KerneAttr                      KernelName               Remark                     InDim           FilterDim       OutDim          Avg(ms) Min(ms) Max(ms) Last(ms) Avg(%)  GOPs    GOPS
feed                 host/any/any                   NotImpl                  N/A                        N/A             N/A             N/A             0.001   0.001   0.001   0.001   0.02%    0.00    0.00
subgraph             nnadapter/any/NCHW             NotImpl                  N/A                        N/A             N/A             N/A             3.600   3.500   3.900   3.600   90.00%    0.00    0.00
softmax              arm/float/NCHW                 softmax_basic            N/A                        1x10            N/A             1x10            0.400   0.400   0.400   0.400   9.98%    0.00    0.00

"""
KIRIN = Evidence(("huawei_kirin_npu",), 1, 8, 10)
VIV = Evidence(("verisilicon_timvx",), 1, 8, 10, DEVICE)


def test_without_evidence_it_is_unknown() -> None:
    for found in (
        KIRIN,
        VIV,
        replace(VIV, npu_ms=1.0, cpu_ms=20.0),
        replace(VIV, subgraphs=3, cache_files=("a.nnc", "b.nnc")),
    ):
        judged = residency(found)
        assert judged.share is None
        assert "on the NPU: unknown" in str(judged)
    assert "20 ms, this file 1 ms" in str(residency(replace(VIV, npu_ms=1.0, cpu_ms=20.0)))
    assert "2 compiled programs appeared for 3 subgraphs" in str(
        residency(replace(VIV, subgraphs=3, cache_files=("a.nnc", "b.nnc")))
    )


def test_compiled_programs_are_evidence() -> None:
    judged = residency(replace(KIRIN, cache_files=("0a.nnc",)))
    assert (judged.share, judged.of) == (0.8, "ops")
    assert "1 compiled programs appeared for 1 subgraphs" in judged.evidence[0]


def test_executions_in_the_log_are_evidence() -> None:
    judged = residency(replace(VIV, log=DEVICE + RAN))
    assert (judged.share, judged.of) == (0.8, "ops")
    assert "verisilicon_timvx of VeriSilicon, an accelerator" in str(judged)
    assert residency(replace(VIV, log=RAN)).share is None, "an execution on what?"


def test_the_profile_gives_time() -> None:
    judged = residency(replace(VIV, log=DEVICE + PROFILE, cache_files=("a.nnc",)))
    assert judged.of == "time"
    assert judged.share == pytest.approx(0.9, abs=1e-3)
    assert residency(replace(VIV, log=PROFILE.replace("90.00%", "40.00%"))).share is None, (
        "a table that does not add up"
    )


@pytest.mark.parametrize(
    "log", [DEVICE.replace("type=2", "type=0") + RAN, DEVICE.replace("verisilicon_timvx", "builtin_device") + RAN]
)
def test_a_device_that_is_the_cpu(log: str) -> None:
    judged = residency(replace(VIV, log=log, cache_files=("a.nnc",)))
    assert judged.share == 0.0
    assert "computes on the CPU" in str(judged)


BUILTIN = """[3 11/25 22:22:30.213 ...work/pl/lite/kernels/nnadapter/engine.cc:308 Engine] NNAdapter device builtin_device: vendor=Paddle type=0 version=1
[5 11/25 23:59:59.939 ...nadapter/nnadapter/src/runtime/device.cc:245 Execute] Running CONV_2D ...
[5 11/25 23:59:59.970 ...nadapter/nnadapter/src/runtime/device.cc:245 Execute] Running ADD ...
[3 11/26  0: 0: 0.  2 ...nadapter/nnadapter/src/runtime/device.cc:282 Execute] Process cost 78 us
[3 11/26  0: 0: 0.  2 ...work/pl/lite/kernels/nnadapter/engine.cc:248 Execute] Process cost 63907.000000 us
[5 11/26  0: 0: 0. 10 ...nadapter/nnadapter/src/runtime/device.cc:245 Execute] Running SOFTMAX ...
[3 11/26  0: 0: 0. 15 ...nadapter/nnadapter/src/runtime/device.cc:282 Execute] Process cost 19 us
[3 11/26  0: 0: 0. 15 ...work/pl/lite/kernels/nnadapter/engine.cc:248 Execute] Process cost 5076.000000 us
"""  # what Paddle Lite v2.13-rc printed under qemu, shortened, the clock moved to midnight


def test_a_clock_whose_seconds_were_read_too_early() -> None:
    log = BUILTIN.replace("23:59:59.970", "23:59:59.  1")
    assert [row.ms for row in residency(replace(VIV, subgraphs=2, log=log)).times] == [62.0, 1.0, 5.0]


def test_time_of_single_ops() -> None:
    built = residency(replace(VIV, subgraphs=2, log=BUILTIN.replace("SOFTMAX", "POOL") * 2 + BUILTIN)).times
    assert [(row.op, row.where, row.ms) for row in built] == [
        ("conv_2d", "subgraph 1", 31.0),
        ("add", "subgraph 1", 32.0),
        ("softmax", "subgraph 2", 5.0),
    ]
    assert sum(row.share for row in built) == pytest.approx(1)
    driver = residency(replace(VIV, log=DEVICE + RAN)).times  # a driver says what a subgraph took, and no more
    assert [(row.op, row.where, row.ms, row.share) for row in driver] == [("subgraph", "subgraph 1", 1.834, 1.0)]
    profile = residency(replace(VIV, log=DEVICE + PROFILE)).times
    assert [(row.op, row.where, row.ms, row.share) for row in profile][1:] == [
        ("subgraph", "nnadapter", 3.6, 0.9),
        ("softmax", "arm", 0.4, pytest.approx(0.0998)),
    ]
    assert residency(VIV).times == ()


def test_a_driver_that_may_use_the_cpu_stays_unknown() -> None:
    assert residency(Evidence(("android_nnapi",), 1, 8, 10, cache_files=("a.nnc",))).share is None
    assert residency(Evidence(("huawei_kirin_npu", "google_xnnpack"), 1, 8, 10, cache_files=("a.nnc",))).share is None


def test_a_runtime_that_complains_stays_unknown() -> None:
    judged = residency(replace(VIV, log=DEVICE + "Build model failed(3) !\n" + RAN, cache_files=("a.nnc",)))
    assert judged.share is None
    assert "Build model failed" in str(judged)


def test_programs_of_another_npu_target_run_the_file_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "target_of", lambda model: "kirin")
    model = Path("no/such/model.nb")
    assert runners.npu_settings(model, "kirin").devices == ("huawei_kirin_npu",)
    assert runners.npu_settings(model, "arm64").devices == ("huawei_kirin_npu",), "a plain library says nothing of it"
    assert runners.npu_settings(model, "nnadapter-builtin").devices == ("builtin_device",)


def test_a_file_without_subgraphs() -> None:
    assert residency(Evidence((), 0, 0, 10)).share == 0.0


@given(
    st.text(max_size=300),
    st.lists(st.sampled_from([DEVICE, RAN, BUILTIN, PROFILE, "subgraph nnadapter/any/NCHW " * 50]), max_size=6),
)
def test_no_log_breaks_it(noise: str, parts: list[str]) -> None:
    judged = residency(replace(VIV, log=noise.join(parts)))
    assert judged.share is None or 0.0 <= judged.share <= 1.0
    assert all(c.isprintable() for c in str(judged))

"""The emulator against the real ARM runtime: every golden case, and the totals that the README claims."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeflow.core.errors import NbError
from edgeflow.emulate import Emulator
from tests.conftest import WILD, Case, golden_cases

CASES = golden_cases()

APPROXIMATED = {
    "zoo_conv_act__tanh": 5e-5,  # tanh fused into a convolution, from one Newton step
}
HALF_ULPS = 2
"""Most half precision cases are equal to the bit; 3x3 averages and nets that go through them are not."""
# NPU and OpenCL files are compared with Paddle's own outputs: other rounding, so other limits.
REFERENCE_LIMITS = {"float32": 1e-3, "int8": 3e-2}


def run(case: Case) -> tuple[list[np.ndarray], list[np.ndarray]]:
    runner = Emulator(case.model, threads=1)
    feed = {spec.name: array for spec, array in zip(runner.inputs, case.inputs(), strict=True)}
    return list(runner.infer(feed).values()), case.outputs()


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest error over the largest magnitude."""
    assert got.size == wanted.size, (got.shape, wanted.shape)
    if wanted.size == 0:
        return 0.0
    scale = max(float(np.abs(wanted.astype(np.float64)).max()), 1e-30)
    return float(np.abs(got.astype(np.float64).ravel() - wanted.astype(np.float64).ravel()).max()) / scale


def limit(case: Case) -> float:
    if not case.on_arm:
        return REFERENCE_LIMITS["int8" if case.precision == "int8" else "float32"]
    return APPROXIMATED.get(case.name, 1e-5)


@pytest.mark.parametrize("case", [c for c in CASES if not c.suspect and c.precision != "fp16"], ids=lambda c: c.name)
def test_equals_arm(case: Case) -> None:
    for got, wanted in zip(*run(case), strict=True):
        assert got.dtype == wanted.dtype
        if case.on_arm:  # the pinned version knows no tensor without dimensions, the recorded one does
            assert got.shape == (wanted.shape or (1,))
        assert relative(got, wanted) <= limit(case)
        if case.precision == "int8" and case.on_arm and np.linalg.norm(wanted) > 0:
            cosine = np.dot(got.ravel(), wanted.ravel()) / (np.linalg.norm(got) * np.linalg.norm(wanted))
            assert cosine >= 0.99999
        if case.kind == "net" and wanted.ndim == 2 and wanted.shape[-1] > 1:
            assert (got.argmax(-1) == wanted.argmax(-1)).all()


@pytest.mark.parametrize("case", [c for c in CASES if not c.suspect and c.precision == "fp16"], ids=lambda c: c.name)
def test_fp16_within_ulps(case: Case) -> None:
    for got, wanted in zip(*run(case), strict=True):
        ulp = 2.0 ** (np.floor(np.log2(np.abs(wanted).max())) - 10)
        assert np.abs(got - wanted).max() / ulp <= HALF_ULPS


def test_most_float_cases_are_within_two_millionths() -> None:
    cases = [c for c in CASES if c.precision == "fp32" and c.on_arm and not c.suspect]
    errors = [max(relative(g, w) for g, w in zip(*run(case), strict=True)) for case in cases]
    assert np.mean(np.asarray(errors) <= 2e-6) >= 0.9
    assert sum(error > 1e-5 for error in errors) <= len(APPROXIMATED)


def test_most_int8_cases_are_bit_identical() -> None:
    cases = [c for c in CASES if c.precision == "int8" and c.on_arm and not c.suspect]
    same = [all(np.array_equal(g, w) for g, w in zip(*run(case), strict=True)) for case in cases]
    assert np.mean(same) >= 0.75


def test_where_the_runtime_aborts_the_emulator_refuses_and_ideal_computes() -> None:
    case = next(c for c in CASES if c.name == "zoo_reduce_max__chw")
    feed = {s.name: a for s, a in zip(Emulator(case.model).inputs, case.inputs(), strict=True)}
    with pytest.raises(NbError, match="aborts"):
        Emulator(case.model, threads=1).infer(feed)
    (ideal,) = Emulator(case.model, threads=1, ideal=True).infer(feed).values()
    (x,) = case.inputs()
    assert np.array_equal(ideal.ravel(), x.max((1, 2, 3)).ravel())


def test_ideal_leaves_the_runtimes_wrong_values_out() -> None:
    case = next(c for c in CASES if c.name == "or_ad_avg3_9x9__fp32")
    feed = {s.name: a for s, a in zip(Emulator(case.model).inputs, case.inputs(), strict=True)}
    (ideal,) = Emulator(case.model, threads=1, ideal=True).infer(feed).values()
    (x,) = case.inputs()
    meant = x.reshape(*x.shape[:2], 3, x.shape[2] // 3, 3, x.shape[3] // 3).mean((3, 5))
    assert np.abs(ideal - meant).max() < 1e-6
    assert relative(ideal, case.outputs()[0]) > 0.5


def test_suspect_cases_run_or_say_why() -> None:
    """Files that record defects of the runtime must still parse and be executed, or be refused in words."""
    from edgeflow.core.errors import EdgeflowError

    for case in (c for c in CASES if c.suspect):
        try:
            Emulator(case.model, threads=1).infer(
                {s.name: a for s, a in zip(Emulator(case.model).inputs, case.inputs(), strict=True)}
            )
        except EdgeflowError as err:
            assert err.what


@pytest.mark.skipif(not WILD.exists(), reason=f"no published third-party files at {WILD}")
def test_published_files() -> None:
    for folder in sorted(path for path in WILD.iterdir() if path.is_dir()):
        json.loads((folder / "oracle.json").read_text())
        runner = Emulator(folder / "model.nb")
        feed = {s.name: np.load(folder / f"in_{k}.npy") for k, s in enumerate(runner.inputs)}
        for k, got in enumerate(runner.infer(feed).values()):
            wanted = np.load(folder / f"out_{k}.npy")
            assert relative(got, wanted) <= 1e-5, folder.name
            assert got.argmax() == wanted.argmax()

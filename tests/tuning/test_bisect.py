"""edgeflow bisect on a real build, with NPUs that are wrong on purpose: the emulator and a planted fault."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeflow
from edgeflow.core.errors import DataError, Dropped
from edgeflow.deploy.runners import open_runner
from edgeflow.emulate import Emulator
from edgeflow.tuning.bisect import Bisection, bisect
from edgeflow.tuning.device_trials import HeldTo, Trials
from edgeflow.tuning.reproducer import with_cases
from edgeflow.tuning.variants import Variants
from tests.projects import run
from tests.tuning.faulty import Device, alone, layout, shape, together

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits network for Kirin: 22 ops, all on the NPU."""
    folder = tmp_path_factory.mktemp("bisect") / "digits"
    shutil.copytree(digits, folder, ignore=shutil.ignore_patterns("build"))
    edgeflow.build(folder, targets=["kirin"])
    return folder / "build" / "kirin" / "model.nb"


def search(model: Path, device: Any, where: str, expect: Any = "reference") -> tuple[Bisection, Trials]:
    trials = Trials(Variants(model), device, where, HeldTo(expect=expect, samples=4))
    return bisect(trials), trials


POOL, FLAT = "pool2d::pool2d_0.tmp_0", "flatten_contiguous_range::flatten_0.tmp_0"
FAULTS = {
    "one": (alone("conv2d::conv2d_3.tmp_0"), [("conv2d::conv2d_3.tmp_0",)]),
    "together": (together("relu::relu_0.tmp_0", "relu::relu_2.tmp_0"), [("relu::relu_0.tmp_0", "relu::relu_2.tmp_0")]),
    "layout": (layout, [(POOL, FLAT)]),
    "shape": (shape(16), [("conv2d::conv2d_0.tmp_0",), ("conv2d::conv2d_1.tmp_0",)]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(model: Path, fault: str) -> None:
    rewrite, wanted = FAULTS[fault]
    found, trials = search(model, Device(rewrite, "float16"), fault)
    assert [item.ops for item in found.culprits] == wanted
    assert found.runs <= found.bound == 2 + sum(6 * len(ops) + 1 for ops in wanted)
    assert found.before and found.after and found.after.npu_ops == 22 - len(found.keep_on_cpu)
    assert found.after.crossings > found.before.crossings == 2
    assert trials.run([m for m in trials.variants.movable if m.line in found.keep_on_cpu]).kind == "right"


def test_the_case_shows_the_fault_alone(model: Path, tmp_path: Path) -> None:
    rewrite, _ = FAULTS["layout"]
    device = Device(rewrite, "float16")
    found, trials = search(model, device, "case")
    (culprit,) = with_cases(trials, found, tmp_path, print).culprits
    assert culprit.case is not None and culprit.alone
    folder = Path(culprit.case)
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    assert set(arrays) == {"in_0", "emulator_0", "device_0"}
    with device(folder / "model.nb") as faulty, Emulator(folder / "model.nb", npu="float16") as right:
        assert np.array_equal(faulty.infer({"relu_1.tmp_0": arrays["in_0"]})["flatten_0.tmp_0"], arrays["device_0"])
        assert np.array_equal(right.infer({"relu_1.tmp_0": arrays["in_0"]})["flatten_0.tmp_0"], arrays["emulator_0"])
    assert [op["type"] for op in json.loads((folder / "case.json").read_text())["on_npu"]] == [
        "pool2d",
        "flatten_contiguous_range",
    ]


@pytest.mark.parametrize("says", [True, False])
def test_an_op_that_a_runtime_aborts_on(model: Path, says: bool) -> None:
    device = Device(lambda *_: None, "float16", refuses=("relu6",), says=says)
    found, _ = search(model, device, f"aborts {says}", expect="emulator")
    assert {op for item in found.culprits for op in item.ops} == {"relu6::relu6_0.tmp_0", "relu6::relu6_1.tmp_0"}
    if says:  # named by the runtime: acted on at once
        assert (found.keep_on_cpu, found.runs) == (("relu6",), 3)
    assert found.found == "culprits" and found.runs <= found.bound


def test_a_cut_link_loses_nothing(model: Path) -> None:
    device = Device(alone(POOL), "float16")

    @contextmanager
    def cut(path: Path) -> Iterator[Any]:
        if device.opened == 5:
            raise Dropped("phone: the connection broke")
        with device(path) as runner:
            yield runner

    with pytest.raises(Dropped):
        search(model, cut, "cut")
    found, _ = search(model, device, "cut")
    assert [item.ops for item in found.culprits] == [(POOL,)]
    assert found.kept == 4  # all but the first, which is run again: the device may be another one by now
    assert found.runs + found.kept <= found.bound


def test_what_is_not_the_npu_is_said(model: Path) -> None:
    right, _ = search(model, lambda path: open_runner(path, npu="float16"), "right")
    assert (right.found, right.runs) == ("nothing wrong", 1)

    @contextmanager
    def broken(path: Path) -> Iterator[Any]:
        with Device(lambda *_: None)(path) as runner:
            runner.infer = lambda feed: {
                "save_infer_model/scale_0.tmp_0": np.zeros((len(feed["image"]), 10), "float32")
            }
            yield runner

    both, _ = search(model, broken, "broken")
    assert (both.found, both.runs, both.keep_on_cpu) == ("wrong on the CPU too", 2, ())


def test_the_command(model: Path, tmp_path: Path) -> None:
    done = run(model.parent, "bisect", "model.nb", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["found"] == "nothing wrong"
    shutil.copytree(model.parents[1], tmp_path / "build", ignore=shutil.ignore_patterns(".cache"))
    gone = run(tmp_path, "bisect", "build/kirin/model.nb")
    assert gone.returncode == 1 and "are not in build/.cache" in gone.stderr


def test_a_file_of_another_build_is_refused(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "build"
    shutil.copytree(model.parents[1], copy)
    (other,) = (copy / ".cache" / "compress").glob("*/model.pdmodel")
    other.write_bytes(other.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"not in build/\.cache"):
        Variants(copy / "kirin" / "model.nb")

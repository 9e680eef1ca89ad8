"""The device's own programs driven over ssh: what the runner asks and what they answer is one language."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import TransportError
from edgeflow.core.preprocess import Preprocess
from edgeflow.deploy.remote import Remote, RunOptions
from edgeflow.deploy.runtime import load_runtime
from edgeflow.deploy.ssh import CONFIG
from edgeflow.deploy.stage import deploy_to
from edgeflow.project.contract import Contract, Golden, InputContract, ModelFile, RuntimeContract, dump_contract
from tests.demos.builds import built
from tests.deploy.builds import feed_of
from tests.deploy.conftest import MODEL
from tests.deploy.device.make import seal
from tests.deploy.device.sshd import SshDevice

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PROGRAMS = ("dump", "bench", "classify")


@pytest.fixture
def programs(runtime: Path, tmp_path: Path) -> Path:
    """A runtime folder with the programs of edgeflow/demos, over recorded outputs instead of Paddle Lite."""
    compiled = built("aarch64-linux-gnu").folder / "bin"
    folder = shutil.copytree(runtime, tmp_path / "programs")
    for name in PROGRAMS:
        shutil.copy(compiled / f"recorded_{name}", folder / "bin" / name)
    return seal(folder)


def save_recorded(model: Path, inputs: np.ndarray, outputs: np.ndarray) -> None:
    folder = model.with_name(f"{model.name}.recorded")
    folder.mkdir()
    np.save(folder / "in_0.npy", inputs)
    np.save(folder / "out_0.npy", outputs)


def test_dump_and_bench(ssh_device: SshDevice, programs: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG, str(ssh_device.config))
    feed, expected = feed_of(recorded)
    options = RunOptions(threads=2, power_mode="high", runtime=RuntimeContract(("verisilicon_timvx",), "A=1;B=2"))
    with Remote(ssh_device.address, MODEL, load_runtime(programs), options) as runner:
        with pytest.raises(TransportError, match=r"dump: ended with status 1 \(dump: .*in_0.npy"):
            runner.infer(feed)
        save_recorded(Path(runner._model), next(iter(feed.values())), expected)
        np.testing.assert_array_equal(runner.infer(feed)[runner.outputs[0]], expected)
        timing = runner.time({name: a[:1] for name, a in feed.items()}, warm_up=2, repeats=5, cool_down_ms=1, threads=4)
        assert len(timing.times_ms) == 5
        assert timing.first_ms > 0


def test_a_bundle_checks_itself(
    ssh_device: SshDevice, programs: Path, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract.json as Python writes it is what the programs read."""
    monkeypatch.setenv(CONFIG, str(ssh_device.config))
    ((name, samples),), outputs = feed_of(recorded)[0].items(), feed_of(recorded)[1]
    build = tmp_path / "build"
    (build / "golden").mkdir(parents=True)
    shutil.copy(MODEL, build / "model.nb")
    np.save(build / "golden" / "in_0.npy", samples)
    np.save(build / "golden" / "out_0.npy", outputs)
    (build / "labels.txt").write_text("".join(f"{k}\n" for k in range(outputs.shape[1])))
    steps = Preprocess(
        resize="letterbox",
        size=samples.shape[2:],
        colour="GRAY",
        scale=1 / 255,
        mean=(0.5,),
        std=(0.25,),
        pad_value=114.0,
    )
    contract = Contract(
        "lenet",
        "arm64-int8",
        "classify",
        ModelFile("model.nb", hashlib.sha256(MODEL.read_bytes()).hexdigest()),
        (InputContract(name, "float32", (1, *samples.shape[1:]), steps),),
        ("out",),
        Golden(("golden/in_0.npy",), ("golden/out_0.npy",), 1e-3),
        "labels.txt",
        RuntimeContract(("verisilicon_timvx",), "A=1;B=2", ("libnnadapter.so",)),
    )
    (build / "contract.json").write_bytes(dump_contract(contract))
    place = Path(deploy_to(build, f"{ssh_device.address}{tmp_path}/there", runtime=programs).place)
    assert json.loads((place / "bundle.json").read_text())["program"] == "classify"
    save_recorded(place / "model.nb", samples, outputs)

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                "ssh",
                "-F",
                str(ssh_device.config),
                "-p",
                ssh_device.address.rpartition(":")[2],
                "127.0.0.1",
                f"{place}/run.sh --check",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = check()
    assert (done.returncode, done.stdout) == (0, "PASS: 1 outputs within 0.001\n"), done.stderr
    outputs[2, 3] += 0.5
    np.save(place / "golden" / "out_0.npy", outputs)
    done = check()
    assert done.returncode == 3
    assert done.stdout.startswith("FAIL: output 0")
    assert "[2, 3]" in done.stdout or "[2,3]" in done.stdout

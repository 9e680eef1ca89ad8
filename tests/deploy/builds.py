"""What tests of devices work with: recorded samples, a build to deploy, and a device that misbehaves."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from edgeflow.project.contract import Contract, Golden, InputContract, ModelFile, dump_contract
from edgeflow.project.trust import trust
from tests.deploy.conftest import MODEL
from tests.deploy.device.sshd import SshDevice


def feed_of(recorded: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    arrays = dict(np.load(recorded))
    return {name.removeprefix("input/"): a for name, a in arrays.items() if name.startswith("input/")}, arrays[
        "output/0"
    ]


def make_build(root: Path, recorded: Path, runtime: Path, target: str) -> Path:
    """build/<target>/ as a build leaves it for deploy, and the programs beside it."""
    folder = root / "build" / target
    (folder / "golden").mkdir(parents=True)
    shutil.copy(MODEL, folder / "model.nb")
    feed, outputs = feed_of(recorded)
    ((name, samples),) = feed.items()
    np.save(folder / "golden" / "in_0.npy", samples)
    np.save(folder / "golden" / "out_0.npy", outputs)
    shutil.copy(recorded, folder / "reference.npz")
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    contract = Contract(
        "lenet",
        target,
        None,
        ModelFile("model.nb", digest),
        (InputContract(name, "float32", (-1, *samples.shape[1:])),),
        ("out",),
        Golden(("golden/in_0.npy",), ("golden/out_0.npy",), 1e-3),
    )
    (folder / "contract.json").write_bytes(dump_contract(contract))
    shutil.copytree(runtime, root / "build" / "device" / target)
    manifest = {
        "format": 1,
        "target": target,
        "npu_arithmetic": None,
        "nb": {"sha256": digest},
        "reference": {"sha256": hashlib.sha256((folder / "reference.npz").read_bytes()).hexdigest(), "device": "cpu"},
        "settings": {"metric": None, "limits": {"cosine_min": 0.999}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    trust(root / "build" / "device" / folder.name)
    return folder


def fault(device: SshDevice, text: str) -> None:
    (device.machine.home / "faults").write_text(text + "\n")

"""A device watched op by op. The devices here are Paddle Lite's own x86 runtime, the emulator with every rounding tie
sent up, and a program behind a real ssh server; faults are put into the files that they run.
"""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgeflow import nb
from edgeflow.cli.main import edgeflow
from edgeflow.core.errors import TransportError
from edgeflow.deploy.ssh import CONFIG
from edgeflow.emulate import Emulator
from edgeflow.files.atomic import sha256
from edgeflow.verify.device_layers import watch_device
from tests.conftest import GOLDEN, ROOT
from tests.deploy.conftest import *  # noqa: F403 (fixtures)
from tests.deploy.device.sshd import SshDevice

INT8 = GOLDEN / "net_mobilenet_v2__int8_ptq_hist"
SMALL = GOLDEN / "net_lenet__int8_ptq_hist"
TIED = GOLDEN / "net_crnn_lstm__int8_ptq_hist"
"""One of its values lies at exactly half a step."""


def faulty(path: Path, op: int) -> None:
    """Make the weights of one op of a file, counted from its first, a thousandth too large."""
    model = nb.read(path)
    (name, *_) = [v for names in model.blocks[0].operations[op].inputs.values() for v in names if v in model.parameters]
    weight = model.parameters[name]
    wrong = (weight.array() * np.float32(1.001)).astype(np.float32)
    path.unlink()  # the old bytes stay mapped
    nb.write(
        replace(model, parameters={**model.parameters, name: replace(weight, data=memoryview(wrong.tobytes()))}), path
    )


def on_x86(feed: dict[str, np.ndarray], op: int | None = None) -> Callable[[Path], Sequence[np.ndarray]]:
    from edgeflow.deploy.paddle_lite import PaddleLite

    def run(path: Path) -> list[np.ndarray]:
        copy = path.with_name("run.nb") if op is None else path.parent / "faulty.nb"
        copy.unlink(missing_ok=True)
        copy.write_bytes(path.read_bytes())
        if op is not None:
            faulty(copy, op)
        with PaddleLite(copy) as runner:
            return list(runner.infer(feed).values())

    return run


@pytest.mark.build
def test_the_first_op_that_computes_otherwise_is_named(built: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.nb"
    model.write_bytes((built / "build" / "x86" / "model.nb").read_bytes())
    arrays = np.load(built / "build" / "x86" / "reference.npz")
    feed = {key.removeprefix("input/"): arrays[key][:4] for key in arrays.files if key.startswith("input/")}
    right = watch_device(model, feed, on_x86(feed))
    operations = nb.read(model).blocks[0].operations
    assert {row.op_type for row in right.layers} >= {
        "conv2d",
        "depthwise_conv2d",
        "matmul_v2",
    } and not right.not_watched
    assert right.first is None and all(row.state == "agrees" and row.alone for row in right.layers)

    wrong = [index for index, op in enumerate(operations) if op.type == "conv2d"][2]
    found = watch_device(model, feed, on_x86(feed, wrong))
    (culprit,) = [row for row in found.layers if row.state == "differs"]
    assert found.first == culprit.op and culprit.output == operations[wrong].output("Output")
    assert f"({culprit.op_type}, {culprit.output}) is the first of {len(found.layers)} watched" in found.sentence
    assert culprit.error is not None and 5e-5 < culprit.error < 2e-3
    later = [row for row in found.layers if row.op > culprit.op and row.entire > 1e-5]
    assert later, "what comes after carries the error, and is not blamed for it"


def test_rounding_ties_are_no_difference() -> None:
    model = nb.read(TIED / "model.nb")
    packed = dict(np.load(TIED / "case.npz"))
    feed = {spec.name: packed[f"in_{k}"] for k, spec in enumerate(model.input_specs)}
    states = []
    for rounding in (1, -1):

        def device(path: Path, rounding: int = rounding) -> list[np.ndarray]:
            return list(Emulator(nb.read(path), rounding=rounding).infer(feed).values())

        found = watch_device(TIED / "model.nb", feed, device)
        assert found.first is None and {row.state for row in found.layers} <= {"agrees", "ties", "unsure"}
        states.append([row.state for row in found.layers].count("ties"))
    assert sorted(states) == [0, 1], "one of the two directions is the emulator's own"
    assert "but for rounding ties" in found.sentence or states[0]


def test_a_copy_counts_only_where_the_answer_stays() -> None:
    model = nb.read(INT8 / "model.nb")
    packed = dict(np.load(INT8 / "case.npz"))
    feed = {spec.name: packed[f"in_{k}"] for k, spec in enumerate(model.input_specs)}

    def run(path: Path) -> list[np.ndarray]:
        given = list(Emulator(nb.read(path)).infer(feed).values())
        return given if path.name == "model.nb" else [given[0] + 1, *given[1:]]

    def dies(path: Path) -> list[np.ndarray]:
        if path.name != "model.nb":
            raise TransportError("the program died")
        return run(path)

    for device, why in ((run, "looking changed the answer"), (dies, "the program died")):
        found = watch_device(INT8 / "model.nb", feed, device)
        assert len(found.layers) == 1 and found.not_watched and all(why in text for text in found.not_watched)


DUMP = """#!{python}
import json, sys
sys.path.insert(0, {root!r})
import numpy as np
from pathlib import Path
from edgeflow import nb
from edgeflow.cli.main import edgeflow
from edgeflow.emulate import Emulator
words = sys.argv[1:]
model, out = words[words.index("--model") + 1], words[words.index("--out") + 1]
given = words[words.index("--in") + 1 : words.index("--out")]
file = nb.read(model)
runner = Emulator(file, rounding=1)
feed = {{spec.name: np.load(path) for spec, path in zip(file.input_specs, given)}}
found = list(runner.infer(feed).values())
for k, array in enumerate(found):
    np.save(f"{{out}}/out_{{k}}.npy", array)
print(json.dumps({{"outputs": [{{"shape": list(a.shape), "dtype": str(a.dtype)}} for a in found]}}))
"""


def test_over_ssh(ssh_device: SshDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: the command line, a real ssh server, copies sent there, and what it says."""
    monkeypatch.setenv(CONFIG, str(ssh_device.config))
    packed = dict(np.load(SMALL / "case.npz"))
    (tmp_path / "model.nb").write_bytes((SMALL / "model.nb").read_bytes())
    (name,) = (spec.name for spec in nb.read(tmp_path / "model.nb").input_specs)
    np.savez(tmp_path / "reference.npz", **{f"input/{name}": packed["in_0"], "output/0": packed["out_0"]})
    runtime = tmp_path / "runtime"
    (runtime / "bin").mkdir(parents=True)
    program = runtime / "bin" / "dump"
    program.write_text(DUMP.format(python=sys.executable, root=str(ROOT)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    table = {"format": 1, "target": "arm64-int8", "preset": "aarch64-linux-gnu", "abi": "aarch64-linux"}
    table |= {"machine": "aarch64", "library": None, "files": {"bin/dump": sha256(program)}}
    (runtime / "runtime.json").write_text(json.dumps(table))
    # Two samples: what a device computes is the emulator's here, and only the way to it is tried.
    words = ("verify", tmp_path / "model.nb", "--runtime", runtime, "--on", ssh_device.address, "--layers")
    done = CliRunner().invoke(edgeflow, [*map(str, words), "--cosine-min", "0.9", "--json"])
    assert done.exit_code in (0, 4), done.output
    look = json.loads(done.stdout)["device_look"]
    assert len(look["layers"]) > 10 and look["first"] is None and look["not_watched"] == []

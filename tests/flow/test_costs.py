"""What stages cost, and how many targets go at once by it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core import memory
from edgeflow.core.errors import EdgeflowError
from edgeflow.flow import costs
from edgeflow.flow.costs import Cost, Costs, Turns
from edgeflow.flow.how import How
from tests.projects import run


@pytest.mark.skipif(memory.resident() is None, reason="needs /proc with the children of processes")
def test_memory_of_a_block_and_of_its_children_is_seen(tmp_path: Path) -> None:
    import subprocess
    import sys

    found = Costs(tmp_path / "costs.json")
    with found.taken("arm64", "verify"):
        held = np.ones(5_000_000)
        code = "import time; held = bytearray(60_000_000); held[::4096] = held[::4096]; time.sleep(0.5)"
        subprocess.run([sys.executable, "-c", code], check=True)
    del held
    found.save()
    again = Costs(tmp_path / "costs.json").known("arm64", "verify")
    assert again is not None and again.growth_bytes is not None and again.peak_bytes is not None
    assert 95e6 < again.growth_bytes < 200e6 < 10 * again.peak_bytes and again.seconds >= 0.5


@pytest.mark.parametrize("text", ["", "[]", '{"a": 3}', '{"a": {"verify": []}}', '{"a": {"verify": {"seconds": "x"}}}'])
def test_a_record_that_is_damaged_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    assert Costs(path).known("a", "verify") in (None, Cost(0.0))


def at_once(turns: Turns, count: int, known: int | None, *, small: bool = False) -> int:
    """How many of `count` were in their turn together."""
    inside, most, guard = [0], [0], threading.Lock()

    def work() -> None:
        with turns.turn(known, small=small):
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.1)
            with guard:
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most[0]


def test_as_many_at_once_as_cores_and_memory_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "available", lambda: 10_000)
    assert at_once(Turns(4), 6, 1_000) == 4, "cores"
    assert at_once(Turns(4), 6, 4_000) == 2, "80 % of the memory"
    assert at_once(Turns(4), 6, 9_000) == 1, "one always goes"
    assert at_once(Turns(4), 4, None, small=True) == 4, "what is small waits for nothing"
    monkeypatch.setattr(costs, "available", lambda: None)
    assert at_once(Turns(3), 4, None) == 3, "memory is not known here"
    assert at_once(Turns(1), 3, 1) == 1


def test_the_first_is_measured_before_others_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "available", lambda: 1 << 40)
    turns, inside = Turns(4), []

    def work(name: int) -> None:
        with turns.turn(None, small=False):
            inside.append(("in", name))
            time.sleep(0.15)
            inside.append(("out", name))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [what for what, _ in inside[:4]] == ["in", "out", "in", "in"]


def test_who_waits_when_a_build_is_stopped_does_not_begin() -> None:
    turns, told = Turns(1), []

    def waits() -> None:
        try:
            with turns.turn(1, small=False):
                told.append("began")
        except EdgeflowError as err:
            told.append(err.what)

    with turns.turn(1, small=False):
        thread = threading.Thread(target=waits)
        thread.start()
        turns.close()
    thread.join()
    assert told == ["the build was stopped"]


def test_ctrl_c_begins_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --jobs 1 the second target would only begin after the first, whose wait is what Ctrl-C ends."""
    import edgeflow.flow.build as flow

    began: list[str] = []

    def run_one(self: flow.Flow, target: object) -> None:
        began.append(target.name)  # type: ignore[attr-defined]
        if len(began) > 1:
            time.sleep(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(flow.Flow, "run", run_one)
    monkeypatch.setattr(flow, "look_before", lambda *_: [])
    (tmp_path / "edgeflow.toml").write_text(
        '[model]\nfactory = "m.py:f"\n[inputs.x]\nshape = [1]\n[data]\nevaluation = "e.npz"\n'
    )
    with pytest.raises(KeyboardInterrupt):
        flow.build(tmp_path, ["arm64", "x86", "armv7"], how=How(jobs=1))
    assert 1 <= len(began) < 3


@pytest.mark.build
def test_a_build_says_what_it_took_and_without_layers_it_looks_at_none(built: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(built, tmp_path / "project")
    done = run(tmp_path / "project", "build", "-t", "arm64", "--no-layers", "--jobs", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["arm64"]
    assert found["costs"]["verify"]["seconds"] > 0 and found["costs"]["verify"]["peak_bytes"] > 1e8
    assert found["layers"] == [] and found["first_drift"] is None and found["waterfall"]
    assert json.loads((built / "build" / "arm64" / "report.json").read_text())["layers"], (
        "they stand in the other build"
    )
    whole = run(built, "verify", "build/arm64/model.nb", "--json", "--no-layers")
    assert json.loads(whole.stdout)["layers"] == []

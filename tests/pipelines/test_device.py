"""A pipeline on a device: what is sent there, and what its program may answer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edgeflow.core.errors import EdgeflowError
from edgeflow.deploy.qemu import MACHINES, Qemu
from edgeflow.deploy.runners import Where
from edgeflow.pipelines import device
from edgeflow.pipelines.flow import BuiltPipeline
from edgeflow.pipelines.verify import judged_sides, load_judged, verify_folder
from tests.deploy.device.make import missing

pytestmark = [pytest.mark.build, pytest.mark.skipif(bool(missing(MACHINES["aarch64"][0])), reason="qemu-user")]


def programs(folder: Path, script: str) -> Path:
    """A runtime folder for this machine whose `ocr` is a shell script."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    (folder / "bin/ocr").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "lib/any.so").write_bytes(b"library")
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("bin/ocr", "lib/any.so")}
    table = {"format": 1, "target": "arm64", "preset": "host", "abi": "x86_64-linux", "machine": "x86_64"}
    (folder / "runtime.json").write_text(json.dumps({**table, "library": None, "files": files}))
    return folder


def answer(built: BuiltPipeline, spoil: dict[str, object] | None = None) -> str:
    """A script that prints, for the pictures it is given, what the emulator read on the pages."""
    pages = []
    for page in load_judged(built.folder).pages:
        lines = [
            {"text": line.text, "score": line.score, "box": line.box, "box_score": line.box_score, "turned": False}
            for line in page.emulated.lines
        ]
        pages.append({"lines": lines, "times_ms": {}})
    pages[0]["lines"][0].update(spoil or {})
    calls = [pages[k : k + device.CHUNK] for k in range(0, len(pages), device.CHUNK)]
    said = []
    for k, call in enumerate(calls):
        named = [{"picture": f"{n}_0.png", **page} for n, page in enumerate(call)]
        (built.folder.parent / f"said_{k}.json").write_text(json.dumps({"pictures": named, "load_ms": 1.0}))
        said.append(f"{k}) cat {built.folder.parent}/said_{k}.json ;;")
    # Held to what it was sent: the pipeline's files beside each other, and a folder of pictures.
    return (
        'test "$1" = --pipeline && cd "$(dirname "$2")" && test -s detector/model.nb && test -s dictionary.txt && '
        'test -s "$5/0_0.png" || exit 9\nn=$(cat ../calls 2>/dev/null || echo 0); echo $((n + 1)) > ../calls\n'
        f"case $n in {' '.join(said)} esac"
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine as the device."""

    def connect(address: str, machine: str | None = None) -> Qemu:
        transport = Qemu("aarch64")
        transport.emulation = None
        return transport

    monkeypatch.setattr(device, "connect", connect)


@pytest.mark.usefixtures("here")
def test_what_a_device_reads_is_judged_and_held_to_the_emulator(built: list[BuiltPipeline], tmp_path: Path) -> None:
    arm = built[0]
    where = Where("ssh://device", programs(tmp_path / "good", answer(arm)))
    record, _ = verify_folder(arm.folder, where=where)
    assert record.passed and record.same_as_emulator == 1.0 and record.candidate.hmean == arm.record.candidate.hmean
    assert [hop.name for hop in record.waterfall][-2:] == ["emulator", "device"]
    assert "emulator" not in record.runner and not any("nothing ran on it" in note for note in record.notes)
    other = Where("ssh://device", programs(tmp_path / "other", answer(arm, {"text": "丁"})))
    record, _ = verify_folder(arm.folder, where=other)
    lines = len(judged_sides(arm.folder)[0].right)
    assert record.same_as_emulator == pytest.approx(1 - 1 / lines) and record.lost.recogniser == 1


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"box": [[0, 0], [1, 0], [1, 1]]}, "no four corners"),
        ({"score": float("nan")}, "no four corners, or of no numbers"),
        ({"text": 7}, "text"),
        (None, "status 5"),
    ],
)
def test_what_a_device_may_not_answer(
    built: list[BuiltPipeline], tmp_path: Path, spoil: dict[str, object] | None, said: str
) -> None:
    script = "exit 5" if spoil is None else answer(built[0], spoil)
    with pytest.raises(EdgeflowError, match=said):
        verify_folder(built[0].folder, where=Where("ssh://device", programs(tmp_path / "programs", script)))

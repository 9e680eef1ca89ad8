"""docs/device.md and the README's device commands are held to the commands' own options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgeflow.cli.main import edgeflow
from edgeflow.core.targets import load_target, names
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "device.md").read_text()


def commands() -> list[str]:
    text = PAGE + (ROOT / "README.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("edgeflow ")]


@pytest.mark.parametrize("line", commands())
def test_commands_exist_with_these_options(line: str) -> None:
    name, *words = shlex.split(line)[1:]
    command = edgeflow.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None, name
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_there_are_commands() -> None:
    assert len(commands()) >= 12


def test_targets_and_archives_are_the_profiles() -> None:
    for row in re.findall(r"^\| [^|]+ \| ([a-z0-9, -]+) \| `(inference_lite_lib[^`]+)`", PAGE, re.M):
        for target in row[0].split(", "):
            assert target in names()
            toolchain = load_target(target).toolchain
            assert toolchain is not None
            assert toolchain.library == row[1], target


def test_the_profile_of_the_page_loads(tmp_path: Path) -> None:
    text = re.findall(r"```toml\n# rv1126.toml\n(.*?)```", PAGE, re.S)[0]
    (tmp_path / "rv1126.toml").write_text(text)
    found = load_target(str(tmp_path / "rv1126.toml"))
    assert found.toolchain is not None
    assert (found.toolchain.preset, found.runtime.devices) == ("armhf-linux-gnueabihf", ("verisilicon_timvx",))

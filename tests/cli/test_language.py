"""The command line speaks Chinese where the locale asks, English otherwise, and JSON is the same in both."""

from __future__ import annotations

import inspect
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edgeflow.cli.language import tr
from edgeflow.cli.printing import PAINTED
from edgeflow.cli.tables import columns, table
from edgeflow.core.catalogue import sentence_in_chinese
from tests.conftest import ROOT

NAMES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.mark.parametrize(
    ("given", "chinese"),
    [
        ({}, False),
        ({"LANG": "zh_CN.UTF-8"}, True),
        ({"LANG": "zh_CN.gb18030"}, True),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, False),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, False),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:zh_CN"}, True),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en:zh_CN"}, False),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, False),
        ({"LANG": "zh_TW.UTF-8"}, False),
        ({"LANG": "../../../../etc"}, False),
    ],
)
def test_the_locale_chooses(given: dict[str, str], chinese: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert (tr("can be built") == "可以构建") is chinese


def test_a_terminal_without_chinese_letters_gets_english() -> None:
    code = "from edgeflow.cli.language import tr; print(tr('verdict'))"
    more = {"LANG": "zh_CN.UTF-8", "LANGUAGE": "", "LC_ALL": "", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | more, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "verdict\n", done.stderr


def test_the_catalogue_holds_every_message_and_is_compiled() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "catalogue", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_chinese_tables_align(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert table((tr("target"), tr("verdict")), [("kirin", "PASS")]) == "目标   判定\n-----  ----\nkirin  PASS"


def test_words_that_are_coloured_in_english_are_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("broken", "error", "cannot be built", "undecided", "warning", "can be built", "try", "fix")
    english = [PAINTED.search(f"{word}:") for word in words]
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese = [PAINTED.search(f"{tr(word)}:") for word in words]
    for one, other in zip(english, chinese, strict=True):
        assert one and other and one.lastgroup == other.lastgroup


def test_plan_in_chinese_and_its_json_in_english() -> None:
    from edgeflow.cli.main import edgeflow

    model = str(ROOT / "tests" / "graph" / "quantised" / "static.pdmodel")
    told = {}
    for language in ("zh_CN", "en"):
        env = {"LANGUAGE": language, "LC_ALL": "zh_CN.UTF-8"}
        for flag in ("", "--json"):
            told[language, flag] = CliRunner().invoke(
                edgeflow, ["plan", model, "-t", "kirin", *filter(None, [flag])], env=env
            )
    assert {found.exit_code for found in told.values()} == {1}
    assert "P206 错误: program:" in told["zh_CN", ""].stdout and told["zh_CN", ""].stdout.endswith("  不能构建\n")
    assert "P206 error: program:" in told["en", ""].stdout and told["en", ""].stdout.endswith("  cannot be built\n")
    assert told["zh_CN", "--json"].stdout == told["en", "--json"].stdout
    assert not json.loads(told["en", "--json"].stdout)[0]["buildable"]


def in_both(*arguments: str, width: int | None = None) -> tuple[str, str]:
    """What a command prints in Chinese and in English."""
    from edgeflow.cli.main import edgeflow

    said = []
    for language in ("zh_CN", "en"):
        asked = {"LANGUAGE": language, "LC_ALL": "zh_CN.UTF-8"}
        done = CliRunner().invoke(edgeflow, list(arguments), env=asked, terminal_width=width)
        assert done.exit_code in (0, 1, 2, 3), done.output
        said.append(done.stdout or done.stderr)
    return said[0], said[1]


def test_other_commands_in_chinese_and_their_json_in_english(tmp_path: Path) -> None:
    golden = ROOT / "tests" / "golden"
    library = str(tmp_path / "empty.so")
    Path(library).write_bytes(struct.pack("<4sBB10xHH", b"\x7fELF", 2, 1, 3, 183) + b"\0Paddle-Lite")
    one, other = (str(golden / name / "model.nb") for name in ("zoo_matmul__1d1d", "zoo_elementwise_int__mod_int32"))
    for arguments, chinese, english in (
        (("inspect", one), "输入: ", "inputs: "),
        (("diff", one, other), "移除 (", "removed ("),
        (("diff", one, one), "相同", "the same"),
        (("doctor", str(ROOT / "tests" / "cli")), "可以运行", "can run"),
        (("bench", one, "--repeats", "1", "--warm-up", "0"), "线程  次数", "threads  runs"),
        (("match", one, library), "库: aarch64，没有写明版本", "library: aarch64, no version named"),
        (("targets",), "RK3588: rockchip_npu 驱动", "RK3588: the rockchip_npu driver"),
        (("plan", str(ROOT / "docs"), "-t", "kirin"), "这里没有配方", "there is no recipe here"),
        (("targets", "kirn"), "您是不是要写 'kirin'？", "did you mean 'kirin'?"),
        (("bogus",), "没有命令 'bogus'；", "no command 'bogus';"),
    ):
        ours, theirs = in_both(*arguments)
        assert chinese in ours and english in theirs, arguments
        assert not re.search("[\u4e00-\u9fff]", theirs)
        assert len(ours.splitlines()) == len(theirs.splitlines())
    ours, theirs = in_both("inspect", one, "--json")
    assert ours == theirs


def test_help_in_chinese_fits_the_terminal_and_english_comes_back() -> None:
    for arguments in (("--help",), ("verify", "--help"), ("bisect", "--help")):
        ours, theirs = in_both(*arguments, width=80)
        assert max(map(columns, ours.splitlines())) <= 80
        assert "显示本说明并退出" in ours and not re.search("[\u4e00-\u9fff]", theirs)
    assert "\n           edgeflow bisect build/kirin --on adb:SERIAL --against" in ours  # lines that the command keeps


def test_every_help_is_there_in_chinese() -> None:
    from edgeflow.cli.main import edgeflow

    english, context = [], click.Context(edgeflow)
    waiting = [edgeflow.get_command(context, name) for name in edgeflow.list_commands(context)]
    while waiting:
        command = waiting.pop()
        assert command is not None
        texts = [
            " ".join(text.split()) for text in inspect.cleandoc(command.help or "").split("\n\n") if text[0] != "\b"
        ]
        texts += [option.help for option in command.params if isinstance(option, click.Option) and option.help]
        english += [text for text in texts if not re.search("[\u4e00-\u9fff]", sentence_in_chinese(text))]
        waiting += getattr(command, "commands", {}).values()
    assert english == []

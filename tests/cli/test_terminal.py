"""The terminal: names that people give, how edgeflow speaks, and whose lines an error shows."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgeflow.cli.main import edgeflow
from edgeflow.cli.printing import MANNER, clear_progress, painted
from edgeflow.cli.progress import Progress
from edgeflow.cli.shape_option import parse_shapes
from edgeflow.cli.tables import table
from edgeflow.core.errors import DataError, last_line
from edgeflow.core.tensors import TensorSpec, meant, named
from edgeflow.ingest.data import load_samples
from edgeflow.project.places import BuildFolder, build_root
from edgeflow.project.recipe import load_recipe
from edgeflow.project.user_errors import user_lines
from tests.conftest import GOLDEN

LENET = str(GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(edgeflow, arguments)


def test_a_file_goes_by_many_names(tmp_path: Path) -> None:
    """A .nb, its folder, its manifest, and a recipe that one build was made of."""
    build = tmp_path / "build" / "arm64"
    build.mkdir(parents=True)
    (build / "model.nb").write_bytes(Path(LENET).read_bytes())
    (build / "manifest.json").write_text("{}")
    (tmp_path / "edgeflow.toml").write_text(
        '[model]\nfactory = "m.py:f"\n[inputs.x]\nshape = [1]\n[data]\nevaluation = "e.npz"\n'
    )
    for name in (build / "model.nb", build, build / "manifest.json", tmp_path, tmp_path / "edgeflow.toml"):
        assert "ops: 11" in call("inspect", str(name)).output, name
    other = tmp_path / "build" / "kirin"
    other.mkdir()
    (other / "model.nb").write_bytes(Path(LENET).read_bytes())
    several = call("inspect", str(tmp_path))
    assert several.exit_code == 2 and "kirin/model.nb" in " ".join(several.output.split())
    recipe = (tmp_path / "edgeflow.toml").read_text()
    (tmp_path / "edgeflow.toml").write_text(f'{recipe}[project]\ntargets = ["kirin990"]\n')
    assert "kirin/model.nb" in call("inspect", str(tmp_path)).output
    (tmp_path / "small.toml").write_text(recipe)
    assert "no model.nb" in call("inspect", str(tmp_path / "small.toml")).output
    assert build_root(tmp_path / "small.toml") == tmp_path / "build" / "small.recipe"
    assert BuildFolder(tmp_path / "build" / "small.recipe" / "arm64").recipe == tmp_path / "small.toml"
    other = tmp_path / "other" / "kirin"
    other.mkdir(parents=True)
    (other / "model.nb").write_bytes(Path(LENET).read_bytes())
    elsewhere = call("inspect", str(tmp_path), "--build-dir", str(tmp_path / "other"))
    assert elsewhere.exit_code == 0 and str(other / "model.nb") in elsewhere.stderr
    assert all(
        "--build-dir" in call(name, "--help").stdout for name in ("verify", "report", "run", "deploy", "bench", "diff")
    )


def test_names_of_inputs_may_hold_anything() -> None:
    assert named("x=y=in.npy", ["x", "x=y"]) == ("x=y", "in.npy")
    assert named("in=1.npy", ["x"]) == ("", "in=1.npy")
    assert parse_shapes(["x=y=1,3"]) == {"x=y": (1, 3)}
    assert meant(["labels", "imgae"], ["image", "label"]) == {"labels": "label", "imgae": "image"}


def test_init_says_what_a_shell_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a b" / "my model"
    found = call("init", str(place), "--json")
    assert json.loads(found.stdout) == [str(place / "edgeflow.toml"), str(place / "model.py")]
    assert f"cd '{place}'" in found.stderr
    assert load_recipe(place).name == "my model"
    monkeypatch.chdir(tmp_path)
    assert "cd ./-x && " in call("init", "--", "-x").stderr


def test_the_manner_of_speaking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours on a terminal alone, whole sentences in help, silence and tracebacks where they are asked for."""
    listed = CliRunner().invoke(edgeflow, ["--help"], env={"COLUMNS": "80"}).output
    assert "..." not in listed.partition("\n")[2] and max(map(len, listed.splitlines())) <= 80
    for shell in ("bash", "zsh", "fish"):
        assert "_EDGEFLOW_COMPLETE" in call("completion", shell).output
    assert "File" not in call("targets", "kirn").output and "Traceback" in call("targets", "kirn", "-v").output
    wrong = call("inspect", LENET, "-q")
    assert wrong.exit_code == 0 and wrong.stderr == ""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert painted("arm64  PASS", err=False) == "arm64  \x1b[32mPASS\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("arm64  PASS", err=False) == "arm64  PASS"


def test_tables_align_with_chinese() -> None:
    lines = table(("name", "n"), [("猫", "1"), ("e\u0301", "2"), ("abc", "3")]).split("\n")
    assert lines[2:] == ["猫    1", "e\u0301     2", "abc   3"]


def test_progress_says_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("edgeflow.cli.progress.time.monotonic", lambda: now[0])
    progress = Progress()
    for at, said in ((0, "draws 0 of 200"), (5, "draws 50 of 200, 15 s left"), (18, "draws 180 of 200, 2 s left")):
        now[0] = float(at)
        assert progress._with_rest("arm64", "verify", said.partition(",")[0]) == said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress_to(stream: io.StringIO, now: list[float], monkeypatch: pytest.MonkeyPatch) -> Progress:
    """Progress on a stream, with a clock of its own; nobody looks but who calls `_look`."""
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("edgeflow.cli.progress.time.monotonic", lambda: now[0])
    for name in ("quiet", "verbose"):
        monkeypatch.setattr(MANNER, name, False)
    return Progress()


def test_a_live_line_for_each_target_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is counted, or by an earlier build; lines of finished stages stay, the live ones do not."""
    terminal, now = Terminal(), [100.0]
    progress = progress_to(terminal, now, monkeypatch)
    progress.say("arm64", "verify", "start")
    progress.say("arm64", "verify", "about 40.0 s, as before")
    progress.say("kirin", "compress", "start")
    progress.say("kirin", "compress", "epochs 1 of 4")
    progress.say("kirin", "compress", "log: build/.cache/compress/compress.log")
    now[0] = 110.0
    for _ in range(2):
        progress._look("|")
    both = terminal.getvalue()
    bar = f"[{'#' * 5:<20}]"
    lines = f"| arm64              verify    {bar} 10 s, 30 s left\n| kirin              compress  {bar} 10 s, epochs 1 of 4"
    assert both == f"\r\x1b[K{lines}\r\x1b[1A\x1b[J{lines}", "two lines, drawn over"
    progress.say("kirin", "compress", "done")
    progress._look("/")
    after = terminal.getvalue()[len(both) :]
    assert after.startswith("\r\x1b[1A\x1b[Jkirin              compress    10.0 s\n\r\x1b[K/ arm64")
    clear_progress()
    assert terminal.getvalue().endswith("left\r\x1b[K")


def test_a_log_hears_of_long_work_and_has_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), [0.0]
    progress = progress_to(stream, now, monkeypatch)
    progress.say("arm64", "verify", "start")
    for second in (4, 6, 9, 17, 30):
        now[0] = float(second)
        progress._look("|")
    lines = [f"arm64              verify    {second} s" for second in (6, 17)]
    assert stream.getvalue().splitlines() == lines, "after 5 s, then 10 s, then 20 s"
    monkeypatch.setattr(MANNER, "verbose", True)
    progress.say("", "ingest", "log: build/.cache/ingest/ingest.log")
    assert stream.getvalue().endswith("ingest    log: build/.cache/ingest/ingest.log\n")
    monkeypatch.setattr(MANNER, "quiet", True)
    progress.say("arm64", "verify", "done")
    assert "30.0 s" not in stream.getvalue()


def test_user_code_shows_its_own_lines(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def f(x):\n    return x['nothing']\n")
    (tmp_path / "data.py").write_text("import helper\n\ndef evaluation():\n    return helper.f({})\n")
    with pytest.raises(DataError) as caught:
        load_samples("data.py:evaluation", tmp_path, [TensorSpec("x", (-1, 4))], "evaluation")
    assert caught.value.lines == (
        "data.py, line 4, in evaluation: return helper.f({})",
        "helper.py, line 2, in f: return x['nothing']",
        "KeyError: 'nothing'",
    )
    paddles = ValueError(
        'In transformed code:\n\n    File "HOME/net.py", line 7, in forward\n        y = self.a(x)\n        return self.b(y)\n'
        '        ~~~~~~ <--- HERE\n    def build(): pass\n    File "/lib/paddle/nn.py", line 3, in __call__\n'
        "        self.forward()\n\n    ValueError: (InvalidArgument) channels\n      [Hint: expected 24]\n".replace(
            "HOME", str(tmp_path)
        )
    )
    assert user_lines(paddles, tmp_path)[1:] == (
        "net.py, line 7, in forward:", "y = self.a(x)", "return self.b(y)", "ValueError: (InvalidArgument) channels",
        "[Hint: expected 24]",
    )  # fmt: skip
    assert last_line(paddles) == "ValueError: (InvalidArgument) channels"


def test_a_narrow_terminal_shortens_names_and_a_file_gets_them_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import shutil
    import sys

    from edgeflow.cli.tables import columns, table

    rows = [("save_infer_model/scale_0.tmp_0", "0.5"), ("层的名字很长很长很长很长很长很长很长很长", "1")]
    head = ("output", "a column of its own")
    whole = table(head, rows)
    assert all(row[0] in whole for row in rows)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((40, 24)))
    narrow = table(head, rows)
    assert max(map(columns, narrow.splitlines())) <= 40
    assert "save_" in narrow and "…" in narrow and "_0.tmp_0" in narrow
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((5, 24)))
    assert len(table(head, rows).splitlines()) == 4
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((200, 24)))
    assert table(head, rows) == whole

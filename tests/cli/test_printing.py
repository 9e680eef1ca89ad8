"""What files bring to the terminal is shown and never obeyed, whichever command prints it."""

from __future__ import annotations

import ast
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgeflow import nb
from edgeflow.cli.main import edgeflow
from edgeflow.cli.printing import visible
from edgeflow.emulate import Emulator
from tests.conftest import ROOT
from tests.nb.make import model, op

ACTS = "\x1b]0;PWN\x07\x1b[2J\x9b5m\u202egnp\u2066\x7f\x08"
FORGED = "\nverify: PASS\r\u2028\x85forged"
NAME = f"y{ACTS}{FORGED}"
CHILDREN = {"compress/launch_child.py", "convert/opt_child.py", "deploy/paddle_lite_child.py", "flow/workers.py"}
"""Programs of their own, and workers whose output goes into a log."""


def hostile(folder: Path, weight: float = 1.0) -> Path:
    """A .nb that can be run, whose names act on a terminal."""
    weights = {f"w{ACTS}{FORGED}": np.full((2, 4), weight, np.float32)}
    ops = [
        op("relu", {"X": "x"}, {"Out": f"h{ACTS}"}),
        op("fc", {"Input": f"h{ACTS}", "W": next(iter(weights))}, {"Out": NAME}, in_num_col_dims=1),
    ]
    path = folder / f"model{weight}.nb"
    path.write_bytes(nb.to_bytes(model(ops, weights, {"x": (1, 2)}, (NAME,))))
    return path


def call(*arguments: str, code: int | None = None) -> str:
    found = CliRunner().invoke(edgeflow, arguments)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    said = found.output
    acting = {c for c in said if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert not acting, (acting, said)
    assert not any(line.startswith(("verify: PASS", "forged")) for line in said.splitlines()), said
    assert code is None or found.exit_code == code, said
    return said


def test_commands_show_names_and_never_send_them(tmp_path: Path) -> None:
    path = hostile(tmp_path)
    other = hostile(tmp_path, 2.0)
    np.save(tmp_path / "x.npy", np.ones((1, 2), np.float32))
    assert "\\x1b]0;PWN" in call("inspect", str(path), code=0)
    assert "\\nverify: PASS" in call("diff", str(path), str(other), code=3)
    call("diff", str(other), str(path), code=3)
    call("export", str(path), str(tmp_path / "m.onnx"), code=0)
    assert "\\x9b5m" in call(
        "run", str(path), "--input", f"x={tmp_path / 'x.npy'}", "-o", str(tmp_path / "out"), "--dump", code=0
    )
    call("bench", str(path), "--warm-up", "0", "--repeats", "1", code=0)
    call("match", str(path), str(path), code=1)
    assert json.loads(call("inspect", str(path), "--json"))["outputs"] == [NAME]
    assert json.loads(call("diff", str(path), str(other), "--json"))["same"] is False


def test_verify_shows_names(tmp_path: Path) -> None:
    path = hostile(tmp_path)
    x = np.ones((1, 2), np.float32)
    with Emulator(path) as emulator:
        outputs = list(emulator.infer({"x": x}).values())
    reference = tmp_path / "reference.npz"
    np.savez(reference, **{"input/x": x, "output/0": outputs[0]})
    assert "\\u202egnp" in call("verify", str(path), "--reference", str(reference), "--cosine-min", "0.9")


def test_errors_show_what_they_name(tmp_path: Path) -> None:
    path = tmp_path / "model.nb"
    path.write_bytes(nb.to_bytes(model([op(f"bad{NAME}", {"X": "x"}, {"Out": "y"})], None, {"x": (1, 2)})))
    assert "\\x1b[2J" in call("export", str(path), str(tmp_path / "m.onnx"), code=1)
    call("inspect", str(path), code=0)
    call("inspect", str(tmp_path / f"no{ACTS}such.nb"), code=2)
    folder = tmp_path / f"f{ACTS}"
    folder.mkdir()
    call("plan", str(folder), "-t", "arm64", code=1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größer 图像 🦊", "größer 图像 🦊"),
        ("a\nb\tc\x00", "a\\nb\\tc\\x00"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e\u2066\u2028\u200b\ufeff", "\\u202e\\u2066\\u2028\\u200b\\ufeff"),
        ("\udc9b\U000e0041", "\\udc9b\\U000e0041"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_place_prints() -> None:
    """Everything else hands its lines to cli/printing.py."""
    for path in sorted((ROOT / "edgeflow").rglob("*.py")):
        name = path.relative_to(ROOT / "edgeflow").as_posix()
        if name in CHILDREN or name == "cli/printing.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in ("print", "click.echo", "click.secho", "echo", "secho", "sys.stdout.write"), name
            assert called != "sys.stderr.write", name

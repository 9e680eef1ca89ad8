"""Commands as a person types them: output, exit codes, and the messages on the way."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgeflow.cli.main import COMMANDS, edgeflow
from tests.conftest import GOLDEN, ROOT

LENET = str(GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(edgeflow, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    found = call(name, "--help")
    assert found.exit_code == 0
    assert "Example: edgeflow" in found.output
    assert f"edgeflow {name}" in (ROOT / "README.md").read_text()


def test_help_is_instant() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "edgeflow", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.6  # the bench prints the exact figure; this notices a heavy import


def test_unknown_command_gets_the_near_match() -> None:
    found = call("verfy")
    assert found.exit_code == 2
    assert "did you mean 'verify'" in found.output


def test_targets() -> None:
    assert "kirin" in call("targets").output
    shown = call("targets", "kirin").output
    assert "not int8: opt writes such a file" in shown
    assert "--target arm64-int8" in shown
    assert json.loads(call("targets", "kirin", "--json").output)["name"] == "kirin"
    assert len(json.loads(call("targets", "--json").output)) >= 7
    wrong = call("targets", "kirn")
    assert wrong.exit_code == 1
    assert "did you mean 'kirin'" in wrong.output


def test_doctor() -> None:
    found = json.loads(call("doctor", "--json").output)
    assert found["stages"]["verify"] == ""
    assert "onnxruntime" in found["installed"]
    assert "verify" in call("doctor").output
    assert all(item["fix"] for item in found["checks"] if item["severity"] in ("warning", "error")), found["checks"]


def test_doctor_looks_at_the_recipe_too(tmp_path: Path) -> None:
    (tmp_path / "edgeflow.toml").write_text(
        '[project]\ntargets = ["kirin990"]\n[model]\nfactory = "model.py:build"\n[inputs.x]\nshape = [1]\n[data]\nevaluation = "x.npz"\n'
    )
    found = call("doctor", str(tmp_path))
    assert found.exit_code == 1
    assert "model.py, which does not exist" in found.output and "x.npz does not exist" in found.output


def test_inspect() -> None:
    text = call("inspect", LENET).output
    for expected in (
        "meta version 2, opt v2.13-rc, int8",
        "MACs: ",
        "quantisation: 4 int8 ops",
        "conv2d",
        "findings: none",
    ):
        assert expected in text
    table = json.loads(call("inspect", LENET, "--json").output)
    documented = (ROOT / "docs" / "inspect.md").read_text()
    for key in (*table, *table["quantisation"], *table["inputs"][0]):
        assert f"`{key}`" in documented, key
    kirin = call("inspect", str(GOLDEN / "net_lenet__int8_timvx" / "model.nb"), "--target", "kirin").output
    assert "NB102 error" in kirin
    assert "partition as written by opt: 1 subgraphs" in kirin
    json.loads(call("inspect", str(GOLDEN / "net_lenet__fp32_rockchip" / "model.nb"), "--json").output)


def test_diff() -> None:
    same = call("diff", LENET, LENET)
    assert (same.exit_code, same.output) == (0, "the same\n")
    other = call("diff", str(GOLDEN / "net_lenet__fp32" / "model.nb"), LENET)
    assert other.exit_code == 3
    assert "float32 -> int8" in other.output
    table = json.loads(call("diff", str(GOLDEN / "net_lenet__fp32" / "model.nb"), LENET, "--json").output)
    assert table["same"] is False


def test_run_and_dump(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    np.save(tmp_path / "in.npy", image)
    found = call(
        "run", LENET, "--input", f"x={tmp_path / 'in.npy'}", "--output-dir", str(tmp_path / "out"), "--dump", "--json"
    )
    assert found.exit_code == 0, found.output
    table = json.loads(found.output)
    assert np.load(tmp_path / "out" / "out_0.npy").shape == (1, 10)
    assert table[0]["dtype"] == "float32"
    assert table[0]["nan_count"] == 0
    assert len(table) == 1 + 11
    assert len(list((tmp_path / "out" / "dump").iterdir())) == 11
    plain = call("run", LENET, "-i", str(tmp_path / "in.npy"), "-o", str(tmp_path / "again"))
    assert "float32[1, 10]" in plain.output
    assert np.array_equal(np.load(tmp_path / "again" / "out_0.npy"), np.load(tmp_path / "out" / "out_0.npy"))
    for wrong, message in ((f"y={tmp_path / 'in.npy'}", "unknown"), (f"x={tmp_path / 'none.npy'}", "no readable .npy")):
        failed = call("run", LENET, "--input", wrong, "--output-dir", str(tmp_path / "no"))
        assert failed.exit_code == 1
        assert message in failed.output


def test_export(tmp_path: Path) -> None:
    found = call("export", LENET, str(tmp_path / "x.onnx"))
    assert found.exit_code == 0
    assert (tmp_path / "x.onnx").stat().st_size > 10_000
    assert call("export", LENET, str(tmp_path / "x.onnx"), "--shape", "x=1,a").exit_code == 1


def test_verify_with_a_reference(tmp_path: Path) -> None:
    case = np.load(GOLDEN / "net_lenet__int8_ptq_hist" / "case.npz")
    np.savez(tmp_path / "r.npz", **{"input/x": case["in_0"], "output/0": case["out_0"]})
    found = call("verify", LENET, "--reference", str(tmp_path / "r.npz"), "--cosine-min", "0.9999", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["passed"]
    np.savez(tmp_path / "w.npz", **{"input/x": case["in_0"], "output/0": case["out_0"][:, ::-1].copy()})
    worse = call("verify", LENET, "--reference", str(tmp_path / "w.npz"), "--cosine-min", "0.9999")
    assert worse.exit_code == 3
    assert "FAIL" in worse.output
    assert "broken: cosine" in worse.output
    given = ("verify", LENET, "--reference", str(tmp_path / "r.npz"))
    unjudged = call(*given, "--json")
    assert unjudged.exit_code == 4, "no limit was given, and nobody said that none is meant"
    assert (json.loads(unjudged.output)["verdict"], json.loads(unjudged.output)["passed"]) == ("NOT JUDGED", False)
    assert call(*given, "--no-limits").exit_code == 0
    assert call(*given, "--no-limits", "--cosine-min", "0.9").exit_code == 2
    alone = call("verify", LENET)
    assert alone.exit_code == 1
    assert "try: --reference" in alone.output
    assert call("verify", LENET, "--reference", str(tmp_path / "r.npz"), "--metric", "top9").exit_code == 1


def test_files_that_are_no_nb(tmp_path: Path) -> None:
    path = tmp_path / "x.nb"
    path.write_bytes(b"\x09\x00" + b"nonsense" * 20)
    for command in (["inspect", str(path)], ["diff", str(path), LENET], ["export", str(path), str(tmp_path / "o")]):
        found = call(*command)
        assert found.exit_code == 1
        assert found.output.startswith("edgeflow: ")
        assert "Traceback" not in found.output


@pytest.mark.build
def test_init_writes_a_project_that_builds(tmp_path: Path) -> None:
    assert call("init", str(tmp_path / "new")).exit_code == 0
    assert call("init", str(tmp_path / "new")).exit_code == 1
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow", "build", "--target", "arm64", "--json"],
        cwd=tmp_path / "new",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arm64"]["passed"]

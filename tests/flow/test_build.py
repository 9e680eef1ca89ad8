"""The whole flow on real parts: what comes out, twice the same, resumed, and never in the way of the user's files."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edgeflow
from edgeflow.core.errors import (
    CompressFailed,
    DataError,
    EdgeflowError,
    ModelError,
    RecipeError,
    StorageError,
    TargetError,
)
from tests.projects import edit, hashes, run

pytestmark = pytest.mark.build
RESULTS = {"model.nb", "manifest.json", "reference.npz", "report.json", "report.html", "contract.json", "golden"}


def test_the_example_is_accurate(digits: Path) -> None:
    assert float((digits / "accuracy").read_text()) >= 0.97


def test_what_a_build_leaves(built: Path) -> None:
    for target, precision in (("kirin", "float32"), ("arm64-int8", "int8"), ("arm64", "float32")):
        folder = built / "build" / target
        held = {"compressed.npz"} if target == "arm64-int8" else set()
        assert {p.name for p in folder.iterdir()} == RESULTS | held
        manifest = json.loads((folder / "manifest.json").read_text())
        report = json.loads((folder / "report.json").read_text())
        assert manifest["precision"] == precision
        assert manifest["target"] == target
        assert manifest["reference"]["device"].startswith(("CPU", "GPU"))
        assert manifest["nb"]["sha256"] == hashes(folder)["model.nb"]
        assert manifest["reference"]["sha256"] == hashes(folder)["reference.npz"]
        assert manifest["layers"]["mapped"] == manifest["layers"]["total"] > 5
        assert report["passed"]
        assert report["metric_reference"] >= 0.97
        assert report["metric_candidate"] >= report["metric_reference"] - 0.01
        assert "emulator" in report["runner"]
        assert any("device itself" in text for text in report["not_checked"])
        text = (folder / "report.html").read_text()
        assert "PASS" in text
        assert "://" not in text
        assert "on the NPU" not in text
    assert json.loads((built / "build" / "kirin" / "manifest.json").read_text())["npu_arithmetic"] == "float16"


def test_int8_is_small_and_wholly_quantised(built: Path) -> None:
    sizes = {t: (built / "build" / t / "model.nb").stat().st_size for t in ("arm64", "arm64-int8")}
    assert sizes["arm64-int8"] < 0.4 * sizes["arm64"]
    model = edgeflow.read(built / "build" / "arm64-int8" / "model.nb")
    multiplying = [op for op in model.blocks[0].operations if op.type in ("conv2d", "depthwise_conv2d", "fc")]
    assert multiplying
    assert all(op.attr("enable_int8") for op in multiplying)


def test_an_int8_build_keeps_how_ties_fell(built: Path, tmp_path: Path) -> None:
    """Its file is exact with them; a folder without them says that less was looked at."""
    copy = tmp_path / "build" / "arm64-int8"
    shutil.copytree(built / "build" / "arm64-int8", copy)
    (exact,) = json.loads((copy / "manifest.json").read_text())["compressed"]["exactness"]
    assert (exact["decided"], exact["astray"]) == (16, 0) and exact["apart"] < 1e-6
    assert edgeflow.verify(copy / "model.nb").exact[0].decided == 16
    (copy / "compressed.npz").unlink()
    found = edgeflow.verify(copy / "model.nb")
    assert not found.exact and any("compressed.npz is missing" in text for text in found.not_checked)


def test_advice_on_layers_was_measured(built: Path) -> None:
    report = json.loads((built / "build" / "arm64-int8" / "report.json").read_text())
    advised = [row for row in report["layers"] if (row["fix"] or "").startswith("keep_float")]
    gains = [float(re.search(r"brings the outputs (\d+\.\d) dB, from \d", row["why"])[1]) for row in advised]
    assert len(advised) <= 5 and all(gain >= 0.5 for gain in gains)
    first = report["first_drift"]
    if first["fix"].startswith("keep_float"):
        assert f"{max(gains):.1f} dB" in first["why"], "the best of them"


def test_verify_repeats_the_check_from_the_files(built: Path, tmp_path: Path) -> None:
    for target in ("kirin", "arm64-int8"):
        copy = tmp_path / target
        shutil.copytree(built / "build" / target, copy)
        verdict = edgeflow.verify(copy / "model.nb")
        report = json.loads((copy / "report.json").read_text())
        assert verdict.passed
        assert verdict.metric_candidate == report["metric_candidate"]
        assert verdict.outputs[0].drift.max_abs == report["outputs"][0]["max_abs"]


def test_two_builds_are_byte_identical(project: Path, built: Path) -> None:
    shutil.rmtree(project / "build", ignore_errors=True)
    done = run(project, "build", "-t", "arm64-int8", "-t", "kirin")
    assert done.returncode == 0, done.stderr
    for target in ("arm64-int8", "kirin"):
        assert hashes(project / "build" / target) == hashes(built / "build" / target)


def test_a_second_build_keeps_everything_and_edits_remake_what_they_touch(project: Path) -> None:
    assert run(project, "build", "-t", "arm64-int8").returncode == 0
    first = hashes(project / "build" / "arm64-int8")
    done = run(project, "build", "-t", "arm64-int8")
    assert done.stderr.count("kept") == 4, done.stderr
    assert "kept: its code ran again" in done.stderr
    assert hashes(project / "build" / "arm64-int8") == first
    assert "kept" not in run(project, "build", "-t", "arm64-int8", "--no-cache").stderr
    assert hashes(project / "build" / "arm64-int8") == first
    recipe = project / "edgeflow.toml"
    recipe.write_text(recipe.read_text().replace('algo = "hist"', 'algo = "abs_max"'))
    done = run(project, "build", "-t", "arm64-int8")
    assert "ingest        kept" in done.stderr
    assert "compress      kept" not in done.stderr
    assert hashes(project / "build" / "arm64-int8")["model.nb"] != first["model.nb"]
    # The weights are read by the user's factory: a change in them must be noticed though no recipe names them.
    import zlib  # noqa: F401

    import paddle

    paddle.disable_static()  # whatever ran before in this process
    state = paddle.load(str(project / "digits.pdparams"))
    state["stem.0.bias"] = paddle.to_tensor(state["stem.0.bias"]) + 0.5
    paddle.save(state, str(project / "digits.pdparams"))
    done = run(project, "build", "-t", "arm64-int8")
    assert "kept" not in done.stderr


def test_a_users_metric_is_called_in_every_build(project: Path) -> None:
    (project / "metric.py").write_text(
        "from pathlib import Path\n"
        "def score(outputs, labels):\n"
        "    return float((Path(__file__).parent / 'dictionary.txt').read_text())\n"
    )
    recipe = project / "edgeflow.toml"
    recipe.write_text(recipe.read_text().replace('name = "top1"', 'name = "metric.py:score"'))
    for value, kept in (("0.5", False), ("0.5", True), ("0.25", False), ("0.25", True)):
        (project / "dictionary.txt").write_text(value)
        (built,) = edgeflow.build(project, ["arm64"])
        assert built.report["metric_candidate"] == float(value)
        assert ("verify" in built.kept) == kept


def test_a_flipped_bit_in_the_cache_never_reaches_a_model(project: Path) -> None:
    (first,) = edgeflow.build(project, ["arm64"])
    before = hashes(first.folder)
    (weights,) = (project / "build" / ".cache" / "ingest").glob("*/model.pdiparams")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-2] + bytes([whole[-2] ^ 0x10]) + whole[-1:])
    said: list[str] = []
    (again,) = edgeflow.build(project, ["arm64"], say=lambda target, stage, what: said.append(what))
    assert any("model.pdiparams is damaged" in line for line in said)
    assert "ingest" not in again.kept
    assert hashes(again.folder) == before
    assert weights.read_bytes() == whole


def test_the_users_files_are_never_written(project: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in project.rglob("*") if p.is_file()}
    assert run(project, "build", "-t", "arm64-int8").returncode == 0
    for path, (content, stamp) in before.items():
        assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, stamp)
    new = {p for p in project.rglob("*") if p.is_file()} - before.keys()
    assert all("build" in p.parts for p in new), new


def test_from_a_program_and_files(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pair"
    folder.mkdir()
    reference = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import numpy as np, data\nnp.savez('cal.npz', **data.calibration())\ne = data.evaluation()\n"
                "import os\nos.mkdir('eval')\n[np.save(f'eval/{k}.npy', v) for k, v in e.items()]"
            ),
        ],
        cwd=project,
    )
    assert reference.returncode == 0
    shutil.move(project / "cal.npz", folder)
    shutil.move(project / "eval", folder)
    for suffix in ("pdmodel", "pdiparams"):
        shutil.copyfile(project / "export" / f"digits.{suffix}", folder / f"digits.{suffix}")
    (folder / "edgeflow.toml").write_text("""
[model]
program = "digits.pdmodel"
[inputs.image]
shape = [-1, 1, 8, 8]
[data]
calibration = "cal.npz"
evaluation = "eval"
[metric]
name = "top1"
""")
    kept = hashes(folder)
    results = edgeflow.build(folder, ["arm64-int8"])
    assert results[0].passed
    assert {k: v for k, v in hashes(folder).items() if k in kept} == kept


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes(project: Path, built: Path) -> None:
    source = random.Random(0)
    for attempt in range(5):
        child = subprocess.Popen(
            [sys.executable, "-m", "edgeflow", "build", "-t", "arm64-int8", "-t", "kirin"],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(source.uniform(0.5, 1.5 + 1.2 * attempt))
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for target in ("arm64-int8", "kirin"):
            folder = project / "build" / target
            if folder.exists():
                assert {p.name for p in folder.iterdir()} - {"compressed.npz"} == RESULTS
                assert edgeflow.verify(folder / "model.nb").passed
    done = run(project, "build", "-t", "arm64-int8", "-t", "kirin")
    assert done.returncode == 0, done.stderr
    for target in ("arm64-int8", "kirin"):
        assert hashes(project / "build" / target) == hashes(built / "build" / target)
    assert not list((project / "build").rglob("*.tmp*"))


def test_two_builds_at_once_do_not_corrupt_each_other(project: Path, built: Path) -> None:
    command = [sys.executable, "-m", "edgeflow", "build", "-t", "arm64-int8", "-t", "kirin"]
    children = [
        subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for child in children:
        _, err = child.communicate()
        assert child.returncode == 0, err
    for target in ("arm64-int8", "kirin"):
        assert hashes(project / "build" / target) == hashes(built / "build" / target)


def test_int8_for_kirin_is_refused_before_any_work(project: Path) -> None:
    recipe = project / "edgeflow.toml"
    recipe.write_text(recipe.read_text() + '\n[targets.kirin.compress]\nprecision = "int8"\n')
    with pytest.raises(RecipeError, match="no symmetric int8 type") as caught:
        edgeflow.build(project, ["kirin"])
    assert "arm64-int8" in caught.value.try_
    assert not (project / "build").exists()


def test_limits_that_do_not_hold(project: Path) -> None:
    recipe = project / "edgeflow.toml"
    recipe.write_text(recipe.read_text().replace("[drift]\n", "[drift]\nsqnr_db_min = 200.0\n"))
    done = run(project, "build", "-t", "arm64-int8")
    assert done.returncode == 3
    assert "broken: SQNR" in done.stderr
    assert "FAIL" in done.stdout
    again = run(project, "verify", "build/arm64-int8/model.nb")
    assert again.returncode == 3
    assert run(project, "verify", "build/arm64-int8/model.nb", "--sqnr-min", "10").returncode == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "error", "message"),
    [
        (
            "edgeflow.toml",
            "shape = [-1, 1, 8, 8]",
            "shape = [-1, 1, 9, 9]",
            DataError,
            "should have \\[any, 1, 9, 9\\]",
        ),
        ("data.py", "astype(np.float32)", "astype(np.float64)", DataError, "is float64, and should be float32"),
        ("data.py", 'return {"image": pictures[:256]}', 'return {"image": pictures[:0]}', DataError, "holds no sample"),
        (
            "data.py",
            'return {"image": pictures, "label": labels}',
            'return {"image": pictures * np.nan, "label": labels}',
            DataError,
            "NaN",
        ),
        ("model.py", "return model\n", "return 3\n", ModelError, "returned int, and should return a paddle.nn.Layer"),
        (
            "model.py",
            "model = Digits()\n    model.set",
            "raise RuntimeError('oh')\n    model.set",
            ModelError,
            "RuntimeError: oh",
        ),
        ("edgeflow.toml", "model.py:build", "model.py:biuld", RecipeError, "did you mean 'build'"),
        ("edgeflow.toml", 'calibration = "data.py:calibration"\n', "", DataError, "int8 needs calibration data"),
    ],
    ids=["shape", "dtype", "empty", "nan", "no layer", "raises", "function", "no calibration"],
)
def test_bad_input_is_named_from_inside_the_workers(
    name: str, old: str, new: str, error: type[EdgeflowError], message: str, project: Path
) -> None:
    edit(project, name, old, new)
    with pytest.raises(error, match=message):
        edgeflow.build(project, ["arm64-int8"])
    assert not (project / "build" / "arm64-int8").exists()


def test_truncated_parameters(project: Path) -> None:
    edit(project, "edgeflow.toml", 'factory = "model.py:build"', 'program = "export/digits.pdmodel"')
    params = project / "export" / "digits.pdiparams"
    params.write_bytes(params.read_bytes()[:1000])
    with pytest.raises((ModelError, EdgeflowError), match=r"cannot be loaded|died|truncated"):
        edgeflow.build(project, ["arm64"])


def test_unknown_target_and_unwritable_output(project: Path) -> None:
    with pytest.raises(TargetError, match="did you mean 'kirin'"):
        edgeflow.build(project, ["kirim"])
    (project / "blocker").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        edgeflow.build(project, ["arm64"], build_dir=project / "blocker" / "build")


def test_opt_killed_from_outside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real child process that is killed, as the system does when memory runs out."""
    from edgeflow.convert import opt

    plain = subprocess.run

    def killed(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        child.kill()
        return subprocess.CompletedProcess(command, child.wait(), b"")

    monkeypatch.setattr(opt.subprocess, "run", killed)
    with pytest.raises(EdgeflowError, match="SIGKILL, it ran out of memory"):
        edgeflow.build(project, ["arm64"])
    monkeypatch.setattr(opt.subprocess, "run", plain)
    assert edgeflow.build(project, ["arm64"])[0].passed


def test_paddleslim_that_cannot_calibrate(project: Path) -> None:
    edit(project, "data.py", 'return {"image": pictures[:256]}', 'return {"image": pictures[:256] * 0}')
    try:
        built = edgeflow.build(project, ["arm64-int8"])
    except (CompressFailed, EdgeflowError) as err:
        assert err.what
    else:
        assert not built[0].passed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model", "is not the file that manifest.json was written for"),
        ("manifest", "is no manifest"),
        ("format", "format is 99"),
        ("reference", "its hash differs"),
        ("none", "there is no reference.npz beside it"),
    ],
)
def test_verify_of_tampered_builds(change: str, message: str, built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kirin"
    shutil.copytree(built / "build" / "kirin", folder)
    if change == "model":
        shutil.copyfile(built / "build" / "arm64" / "model.nb", folder / "model.nb")
    elif change == "manifest":
        (folder / "manifest.json").write_text("{")
    elif change == "format":
        (folder / "manifest.json").write_text('{"format": 99}')
    elif change == "reference":
        np.savez(folder / "reference.npz", **{"input/image": np.zeros((1, 1, 8, 8), np.float32)})
    else:
        (folder / "manifest.json").unlink()
        (folder / "reference.npz").unlink()
    with pytest.raises(DataError, match=message):
        edgeflow.verify(folder / "model.nb")


def test_verify_without_a_manifest(built: Path, tmp_path: Path) -> None:
    shutil.copyfile(built / "build" / "arm64" / "model.nb", tmp_path / "alone.nb")
    reference = built / "build" / "arm64" / "reference.npz"
    verdict = edgeflow.verify(tmp_path / "alone.nb", reference=reference, metric="top1")
    assert (verdict.verdict, verdict.passed) == ("NOT JUDGED", False), "no limit was given"
    arrays = dict(np.load(reference))
    np.savez(tmp_path / "two.npz", **arrays, **{"output/1": arrays["output/0"]})
    with pytest.raises(DataError, match="1 outputs, the reference 2"):
        edgeflow.verify(tmp_path / "alone.nb", reference=tmp_path / "two.npz")
    np.savez(tmp_path / "names.npz", **{"input/photo": arrays["input/image"], "output/0": arrays["output/0"]})
    with pytest.raises(DataError, match="the reference's photo"):
        edgeflow.verify(tmp_path / "alone.nb", reference=tmp_path / "names.npz")
    np.savez(tmp_path / "nan.npz", **{"input/image": arrays["input/image"], "output/0": arrays["output/0"] * np.nan})
    with pytest.raises(DataError, match="NaN"):
        edgeflow.verify(tmp_path / "alone.nb", reference=tmp_path / "nan.npz")

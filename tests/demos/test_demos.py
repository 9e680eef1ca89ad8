"""The device programs: built for three machines, their unit tests, and what they say about recorded outputs."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.preprocess import Preprocess
from tests.conftest import GOLDEN, ROOT
from tests.demos.builds import COMPILERS, Build, built, cmake, skip_without
from tests.demos.make_vectors import FOLDER, vectors
from tests.demos.recordings import make_case, save_png

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ARCHIVES = {
    "host": "inference_lite_lib.x86.linux.tar.gz",
    "aarch64-linux-gnu": "inference_lite_lib.armlinux.armv8.gcc.with_extra.tar.gz",
    "armhf-linux-gnueabihf": "inference_lite_lib.armlinux.armv7hf.gcc.with_extra.tar.gz",
}
PROGRAMS = ("classify", "classify_text", "detect", "ocr", "dump", "bench")


@pytest.fixture(params=COMPILERS)
def build(request: pytest.FixtureRequest) -> Build:
    return built(request.param)


def golden(name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs of a golden case, and what Paddle Lite's ARM runtime answered."""
    arrays = np.load(GOLDEN / name / "case.npz")
    return (
        [arrays[k] for k in sorted(arrays) if k.startswith("in_")],
        [arrays[k] for k in sorted(arrays) if k.startswith("out_")],
    )


def test_vectors_are_what_the_reference_computes() -> None:
    made = vectors()
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == made, "run python -m tests.demos.make_vectors"


def test_unit_tests(build: Build) -> None:
    done = subprocess.run(
        ["ctest", "--test-dir", str(build.folder), "--output-on-failure", "-j2"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "100% tests passed, 0 tests failed out of 10" in done.stdout


def test_without_the_library_the_archive_is_named(build: Build) -> None:
    assert f"unpack {ARCHIVES[build.preset]}" in " ".join(build.configured.split())
    assert not (build.folder / "bin" / "dump").exists()


@pytest.mark.parametrize("case", ["net_lenet__int8_ptq_hist", "net_ssd__fp16", "zoo_cast__float32_int64"])
def test_check_of_recorded_outputs(build: Build, tmp_path: Path, case: str) -> None:
    inputs, outputs = golden(case)
    contract = make_case(tmp_path, inputs, outputs)
    for program in PROGRAMS:
        done = build.run(f"recorded_{program}", "--check", contract)
        assert (done.returncode, done.stdout) == (0, f"PASS: {len(outputs)} outputs within 0.001\n"), done.stderr
    at = tuple(size - 1 for size in outputs[-1].shape)
    broken = outputs[-1].copy()
    broken[at] += 1
    np.save(tmp_path / "golden" / f"out_{len(outputs) - 1}.npy", broken)
    done = build.run("recorded_dump", "--check", contract)
    assert done.returncode == 3
    assert done.stdout.startswith(f"FAIL: output {len(outputs) - 1} 'out_{len(outputs) - 1}' at {list(at)}: got ")


def test_dump_gives_every_output_back(build: Build, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(5, 3)).astype(np.float32), random.integers(0, 9, (5, 2), dtype=np.int64)]
    outputs = [
        random.normal(size=(5, 4)).astype(np.float32),
        random.integers(-9, 9, (5,), dtype=np.int32),
        inputs[1] > 4,
    ]
    make_case(tmp_path, inputs, outputs)
    for batch, runs in ((0, 1), (1, 5), (2, 3), (5, 1), (8, 1)):
        done = build.run(
            "recorded_dump",
            "--model",
            tmp_path / "model.nb",
            "--in",
            *sorted((tmp_path / "golden").glob("in_*")),
            "--out",
            tmp_path / f"got{batch}",
            "--batch",
            batch,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["runs"] == runs
        assert report["library"] == "recorded"
        assert report["first_ms"] >= 0
        for entry, wanted in zip(report["outputs"], outputs, strict=True):
            got = np.load(tmp_path / f"got{batch}" / entry["file"])
            assert (str(got.dtype), list(got.shape)) == (entry["dtype"], entry["shape"])
            np.testing.assert_array_equal(got, wanted)


def test_bench_reports(build: Build, tmp_path: Path) -> None:
    make_case(tmp_path, [np.ones((1, 3), np.float32)], [np.ones((1, 2), np.float32)])
    done = build.run(
        "recorded_bench",
        "--model",
        tmp_path / "model.nb",
        "--in",
        tmp_path / "golden" / "in_0.npy",
        "--repeats",
        7,
        "--warm-up",
        2,
        "--threads",
        3,
        "--power-mode",
        "high",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) == {
        "load_ms",
        "first_ms",
        "min_ms",
        "p50_ms",
        "p90_ms",
        "mean_ms",
        "times_ms",
        "warm_up",
        "repeats",
        "threads",
        "power_mode",
        "library",
    }
    assert len(report["times_ms"]) == report["repeats"] == 7
    assert (report["warm_up"], report["threads"], report["power_mode"]) == (2, 3, "high")
    times = report["times_ms"]
    wanted = (min(times), *np.quantile(times, [0.5, 0.9]), np.mean(times))
    np.testing.assert_allclose([report[k] for k in ("min_ms", "p50_ms", "p90_ms", "mean_ms")], wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--nope"], 2, "option --nope is unknown"),
        ([], 2, "--in and --out should both be given"),
        (["--in", "nowhere.npy", "--out", "x"], 1, "nowhere.npy: is missing"),
        (
            ["--model", "m.nb", "--in", "in.npy", "--out", "x"],
            1,
            "m.nb: is missing or too short, and should be a .nb file",
        ),
        (["--in", "in.npy", "--out", "x"], 2, "no model is named"),
        (["--check", "in.npy"], 1, "in.npy: is no JSON"),
    ],
)
def test_errors_are_sentences(tmp_path: Path, words: list[str], code: int, text: str) -> None:
    np.save(tmp_path / "in.npy", np.ones(3, np.float32))
    done = built("host").run("recorded_dump", *words, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith("dump: ")
    assert text in done.stderr
    assert done.stdout == ""


IMAGENET = Preprocess(
    resize="short_side",
    size=(20, 20),
    crop=(16, 16),
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


def test_classify_reads_a_picture_as_the_contract_says(build: Build, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    contract = make_case(
        tmp_path,
        [IMAGENET.apply(picture)[None]],
        [np.float32([[0.1, 0.7, 0.05, 0.15]])],
        rules=IMAGENET,
        labels=["cat", "dög", "cow"],
        picture=picture,
    )
    done = build.run("recorded_classify", "--check", contract)
    assert (done.returncode, done.stdout) == (0, "PASS: 1 outputs within 0.001\n"), done.stderr
    # The recorded model knows the reference's bytes alone, so this answer means that both pre-process to the last bit.
    done = build.run(
        "recorded_classify", "--contract", contract, tmp_path / "golden" / "picture.png", "--top", 3, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert [(g["class"], g["label"]) for g in json.loads(done.stdout)] == [(1, "dög"), (3, "3"), (0, "cat")]
    done = build.run("recorded_classify", "--contract", contract, tmp_path / "golden" / "picture.png", "--top", 1)
    assert done.stdout == "  0.7000  dög\n"
    picture[0, 0] ^= 255
    save_png(tmp_path / "golden" / "picture.png", np.ascontiguousarray(picture[::-1]))
    done = build.run("recorded_classify", "--check", contract)
    assert done.returncode == 3
    assert done.stdout.startswith("FAIL: picture at [0, 0, 0, ")


def test_prepare_names_what_other_models_left(build: Build, tmp_path: Path) -> None:
    contract = make_case(tmp_path, [np.ones((1, 4), np.float32)], [np.ones((1, 2), np.float32)])
    (tmp_path / "cache" / "0123").mkdir(parents=True)
    done = build.run("recorded_dump", "--prepare", contract, "--cache-dir", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    own = tmp_path / "cache" / hashlib.sha256((tmp_path / "model.nb").read_bytes()).hexdigest()
    assert first.startswith("prepared: loaded in ") and first.endswith(f"; 0 compiled programs in {own}")
    assert second == f"stale: {tmp_path}/cache/0123 is of another model, and may be removed"
    assert build.run("recorded_dump", "--prepare", contract).returncode == 2


def test_detect_gives_boxes_in_pixels_of_the_picture(tmp_path: Path) -> None:
    rules = Preprocess(resize="letterbox", size=(32, 32), scale=1 / 255, pad_value=114.0)
    picture = np.random.default_rng(2).integers(0, 256, (40, 80, 3), dtype=np.uint8)  # ratio 0.4, eight rows above
    found = np.float32([[1, 0.9, 8, 12, 24, 20], [0, 0.3, 0, 0, 4, 4]])
    contract = make_case(
        tmp_path, [rules.apply(picture)[None]], [found], rules=rules, labels=["cat", "dog"], picture=picture
    )
    words = ("recorded_detect", "--contract", contract, tmp_path / "golden" / "picture.png")
    done = built("host").run(*words, "--json", "--save", tmp_path / "boxes.png")
    assert done.returncode == 0, done.stderr
    [box] = json.loads(done.stdout)
    assert (box["class"], box["label"]) == (1, "dog")
    np.testing.assert_allclose(box["box"], [20, 10, 60, 30], atol=1e-4)
    assert (tmp_path / "boxes.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(built("host").run(*words, "--json", "--threshold", "0.2").stdout)) == 2
    done = built("host").run(*words, "--boxes", "picture")
    assert done.stdout.split() == ["0.9000", "8.0", "0.0", "24.0", "0.0", "dog"]


def test_android_names_the_ndk(tmp_path: Path) -> None:
    skip_without()
    for preset in ("android-arm64", "android-armv7", "android-arm64-debug", "android-armv7-debug"):
        done = cmake("--preset", preset, "-B", str(tmp_path / preset))
        assert done.returncode != 0
        assert "ANDROID_NDK is ''" in done.stderr
        assert "try: export ANDROID_NDK=FOLDER" in done.stderr


def test_a_wrong_folder_is_named(tmp_path: Path) -> None:
    skip_without("g++")
    done = cmake("--preset", "host", "-B", str(tmp_path / "build"), f"-DPADDLE_LITE_DIR={tmp_path}")
    assert done.returncode != 0
    text = " ".join(done.stderr.split())
    assert "cxx/lib/libpaddle_light_api_shared.so is missing" in text
    assert "inference_lite_lib.x86.linux.tar.gz" in text


def test_only_one_file_sees_the_runtime() -> None:
    demos = ROOT / "edgeflow" / "demos"
    users = [path.name for path in demos.iterdir() if "paddle_api.h" in path.read_text()]
    assert users == ["paddle_lite.cpp"]
    assert len((demos / "paddle_lite.cpp").read_text().splitlines()) <= 150, "clang-format gives braces lines"
    assert len((demos / "classify.cpp").read_text().splitlines()) <= 100


def test_inputs_without_a_sample_are_refused(tmp_path: Path) -> None:
    make_case(tmp_path, [np.ones((1, 3), np.float32)], [np.ones((1, 2), np.float32)])
    np.save(tmp_path / "none.npy", np.ones((0, 3), np.float32))
    for batch in ("0", "2"):
        done = built("host").run(
            "recorded_dump",
            "--model",
            tmp_path / "model.nb",
            "--in",
            tmp_path / "none.npy",
            "--out",
            tmp_path,
            "--batch",
            batch,
        )
        assert done.returncode == 1
        assert "should hold" in done.stderr


def test_detect_feeds_what_paddledetection_asks_for(tmp_path: Path) -> None:
    rules = Preprocess(resize="stretch", size=(32, 64), scale=1 / 255)
    picture = np.random.default_rng(4).integers(0, 256, (40, 160, 3), dtype=np.uint8)
    inputs = [np.float32([[32, 64]]), rules.apply(picture)[None], np.float32([[0.8, 0.4]])]
    contract = make_case(
        tmp_path, inputs, [np.float32([[0, 0.9, 0.5, 0.5, 1.25, 1.5]]), np.int32([1])], picture=picture
    )
    table = json.loads(contract.read_text())
    for spec, name in zip(table["inputs"], ("im_shape", "image", "scale_factor"), strict=True):
        spec |= {"name": name, "preprocess": asdict(rules) if name == "image" else None}
    table["golden"] |= {"picture": None, "picture_input": None}
    contract.write_text(json.dumps(table))
    save_png(tmp_path / "picture.png", picture)
    done = built("host").run("recorded_detect", "--contract", contract, tmp_path / "picture.png", "--json")
    assert done.returncode == 0, done.stderr
    # Small numbers, and still pixels: the model was told the scale.
    np.testing.assert_allclose(json.loads(done.stdout)[0]["box"], [0.5, 0.5, 1.25, 1.5])

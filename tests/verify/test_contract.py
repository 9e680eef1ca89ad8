"""A build's contract: what it names is there, comes from the file, and verify notices other inputs and other files."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import edgeflow
from edgeflow.cli.verify import exit_code
from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.targets import load_target, names
from edgeflow.deploy.stage import deploy_to
from edgeflow.emulate import Emulator
from edgeflow.files.png import unpack_png
from edgeflow.project.contract import Contract, InputContract, ModelFile, RuntimeContract, dump_contract, load_contract
from edgeflow.project.template import write_project
from edgeflow.report.junit import junit
from edgeflow.report.record_parts import PreprocessingFinding
from edgeflow.verify.contract import contract_entry
from edgeflow.verify.stage import Against, verify_file
from tests.conftest import HAS_BUILD
from tests.demos.builds import built as device_programs
from tests.projects import edit, hashes

PREPROCESS = """
[inputs.image.preprocess]
resize = "stretch"
size = [32, 32]
scale = 0.00392156862745098
mean = [0.5, 0.4, 0.3]
std = [0.2, 0.25, 0.3]
"""
DATA = """
def pictures(count, seed):
    source = np.random.default_rng(seed)
    return [source.integers(0, 256, (*source.integers(20, 60, 2), 3), dtype=np.uint8) for _ in range(count)]


def calibration():
    return {"image": pictures(16, 1)}


def evaluation():
    return {"image": pictures(24, 2), "label": np.arange(24) % 4}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's network fed with raw pictures, built for arm64-int8 and kirin."""
    if not HAS_BUILD:
        pytest.skip("edgeflow[build] is not installed")
    folder = tmp_path_factory.mktemp("pictures")
    write_project(folder)
    recipe = (folder / "edgeflow.toml").read_text().replace('dtype = "float32"\n', f'dtype = "float32"\n{PREPROCESS}')
    (folder / "edgeflow.toml").write_text(
        recipe.replace("[model]\n", '[model]\ntask = "classify"\nlabels = "names.txt"\n').replace(
            f'"{folder.name}"', '"my model"', 1
        )
    )
    (folder / "names.txt").write_text("a\nb\nc\nd\n")
    (folder / "model.py").write_text((folder / "model.py").read_text().partition("def _pictures")[0] + DATA)
    edgeflow.build(folder, ["arm64-int8", "kirin"])
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy of the finished project to change, its cache included (keys hold the folder, so a build here starts
    anew).
    """
    shutil.copytree(made, tmp_path / "own", ignore=shutil.ignore_patterns(".cache"))
    return tmp_path / "own"


@pytest.mark.build
@pytest.mark.parametrize(("target", "samples"), [("arm64-int8", 4), ("kirin", 1)])
def test_what_a_build_writes(made: Path, target: str, samples: int) -> None:
    folder = made / "build" / target
    contract = load_contract(folder / "contract.json")
    golden = contract.golden
    assert golden is not None
    assert (contract.name, contract.target, contract.task) == ("my-model", target, "classify")
    assert contract.files() == (
        "model.nb",
        "golden/in_0.npy",
        "golden/out_0.npy",
        "golden/picture.png",
        "golden/picture_in.npy",
        "labels.txt",
    )
    assert (folder / "labels.txt").read_bytes() == (made / "names.txt").read_bytes()
    tied = target == "arm64-int8"  # its fc is packed for the batch of its first run
    runtime = load_target(target).runtime
    assert contract.runtime == RuntimeContract(runtime.devices, "", runtime.libraries, predictor_per_batch=tied)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["contract_sha256"] == hashes(folder)["contract.json"]
    assert manifest["inputs"][0]["preprocess"]["mean"] == [0.5, 0.4, 0.3]
    assert manifest["inputs"][0]["golden_sha256"] == hashes(folder)["golden/in_0.npy"]
    x, y = np.load(folder / golden.inputs[0]), np.load(folder / golden.outputs[0])
    assert len(x) == len(y) == samples
    with Emulator(folder / "model.nb", npu=manifest["npu_arithmetic"] or "float32") as emulator:
        np.testing.assert_allclose(emulator.infer({"image": x})[emulator.outputs[0]], y, atol=1e-6)
    np.testing.assert_array_equal(x, np.load(folder / "reference.npz")["input/image"][:samples])
    steps = contract.inputs[0].preprocess
    assert steps is not None
    picture = unpack_png((folder / "golden" / "picture.png").read_bytes(), "picture")
    np.testing.assert_array_equal(steps.apply(picture), np.load(folder / "golden" / "picture_in.npy"))
    assert json.loads((folder / "report.json").read_text())["contract"]["verdict"] == "same"


@pytest.mark.build
def test_a_second_build_changes_nothing_and_keeps_what_others_put_there(made: Path) -> None:
    place = made / "build" / "arm64-int8"
    before = hashes(place)
    stamp = (place / "golden" / "in_0.npy").stat().st_mtime_ns
    assert set(edgeflow.build(made, ["arm64-int8"])[0].kept) == {"ingest", "compress", "convert", "verify"}
    assert (place / "golden" / "in_0.npy").stat().st_mtime_ns == stamp
    (place / "golden" / "mine.txt").write_text("mine")
    (place / "photos" / "empty").mkdir(parents=True)
    (place / "golden" / "out_0.npy").unlink()
    edgeflow.build(made, ["arm64-int8"])
    assert hashes(place) == {**before, "golden/mine.txt": hashlib.sha256(b"mine").hexdigest()}
    assert (place / "photos" / "empty").is_dir()
    (place / "golden" / "mine.txt").unlink()
    shutil.rmtree(place / "photos")


@pytest.mark.build
def test_another_preprocessing_is_another_build(own: Path) -> None:
    before = hashes(own / "build" / "kirin")
    edit(own, "edgeflow.toml", "mean = [0.5, 0.4, 0.3]", "mean = [0.5, 0.4, 0.4]")
    built = edgeflow.build(own, ["kirin"])[0]
    after = hashes(built.folder)
    assert all(
        after[name] != before[name] for name in ("contract.json", "manifest.json", "reference.npz", "golden/in_0.npy")
    )
    assert after["golden/picture.png"] == before["golden/picture.png"]
    edit(own, "edgeflow.toml", "[0.5, 0.4, 0.4]", "[0.5, 0.4, 0.3]")
    edit(own, "model.py", '{"image": pictures(24, 2),', '{"image": np.zeros((24, 3, 32, 32), "float32"),')
    edit(own, "edgeflow.toml", 'labels = "names.txt"\n', "")
    edgeflow.build(own, ["kirin"])
    assert not {"golden/picture.png", "golden/picture_in.npy", "labels.txt"} & set(hashes(built.folder)), (
        "what is no longer named goes"
    )
    assert load_contract(built.folder / "contract.json").golden is not None


def swapped(folder: Path, path: Path) -> Path:
    """The build's own samples, made by somebody who has blue and red in the wrong order; what the model makes of them
    is right.
    """
    arrays = dict(np.load(folder / "reference.npz"))
    mean, std = (np.float32(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)))
    arrays["input/image"] = (((arrays["input/image"] * std + mean)[:, ::-1] - mean) / std).astype(np.float32)
    with Emulator(folder / "model.nb") as emulator:
        arrays["output/0"] = emulator.infer({"image": arrays["input/image"]})[emulator.outputs[0]]
    np.savez(path, **arrays)
    return path


@pytest.mark.build
def test_verify_tells_another_preprocessing_from_another_model(own: Path) -> None:
    folder = own / "build" / "arm64-int8"
    _, report = verify_file(folder / "model.nb")
    assert report.contract == PreprocessingFinding(
        hashes(folder)["contract.json"],
        "same",
        "the golden picture becomes the input that the build recorded; input 'image': they are the golden ones",
    )
    verdict, report = verify_file(folder / "model.nb", Against(swapped(folder, own / "bgr.npz")))
    assert report.contract is not None and report.contract.verdict == "pre-processing differs"
    assert report.contract.why == "input 'image': channels are swapped, BGR for RGB or the other way round"
    # The model is the same, and yet what was verified is not what will run: one verdict, everywhere.
    assert verdict.verdict == report.verdict == "FAIL"
    assert not verdict.passed and exit_code([report], judging=True) == 3
    assert verdict.broken == report.broken == (f"pre-processing differs: {report.contract.why}",)
    assert junit(report).count("<failure") == 2, "the pre-processing, and the verdict"


@pytest.mark.build
def test_foreign_files_beside_the_model(own: Path) -> None:
    folder = own / "build" / "arm64-int8"
    inputs = {"image": np.load(folder / "golden" / "in_0.npy")}
    table = json.loads((folder / "manifest.json").read_text())
    assert contract_entry(folder / "model.nb", inputs, table).verdict == "same"
    assert (
        contract_entry(folder / "model.nb", {"photo": inputs["image"]}, table).why
        == "the reference has no input 'image'"
    )
    text = (folder / "contract.json").read_text()
    old = {key: value for key, value in table.items() if key not in ("contract_sha256", "inputs")}
    assert "names no contract" in (contract_entry(folder / "model.nb", inputs, old).why or "")
    np.save(folder / "golden" / "in_0.npy", inputs["image"] * 2)
    with pytest.raises(
        DataError, match=r"(?s)in_0.npy: is not the file that manifest.json was written for.*try: run edgeflow build"
    ):
        verify_file(folder / "model.nb")
    (folder / "contract.json").write_text(text.replace('"scale": 0.00392156862745098', '"scale": 1.0'))
    with pytest.raises(DataError, match=r"contract.json: is not the file that manifest.json was written for"):
        verify_file(folder / "model.nb")
    # Without a manifest nothing holds the contract to the build: it still says when its own picture does not become
    # its own input.
    (folder / "manifest.json").unlink()
    assert "the golden picture now becomes another input" in (contract_entry(folder / "model.nb", inputs, {}).why or "")
    (folder / "golden" / "picture.png").unlink()
    (folder / "golden" / "picture.png").symlink_to(own / "names.txt")
    with pytest.raises(DataError, match="leads out of"):
        contract_entry(folder / "model.nb", inputs, {})
    (folder / "model.nb").write_bytes(b"x")
    assert contract_entry(folder / "model.nb", inputs, {}).why == "contract.json beside the model is another model's"
    (folder / "contract.json").unlink()
    assert contract_entry(folder / "model.nb", inputs, table) == PreprocessingFinding(
        None, "not checked", "there is no contract.json beside the model"
    )


@pytest.mark.build
def test_labels_are_held_to_the_scores(own: Path) -> None:
    (own / "names.txt").write_text("a\nb\nc\n")
    with pytest.raises(RecipeError, match=r"names.txt: has 3 lines, and should have 4, one for each score"):
        edgeflow.build(own, ["kirin"])
    shutil.rmtree(own / "build")
    for content in (b"", b"\xff\xfe", b"x" * (1 << 21)):
        (own / "names.txt").write_bytes(content)
        with pytest.raises(RecipeError, match=r"names.txt: "):
            edgeflow.build(own, ["kirin"])
    (own / "names.txt").unlink()
    with pytest.raises(RecipeError, match=r"names.txt: cannot be read"):
        edgeflow.build(own, ["kirin"])
    assert not (own / "build").exists(), "refused before any work"


@pytest.mark.build
def test_a_folder_of_pictures(own: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'edgeflow[build]')")
    source = np.random.default_rng(5)
    for k in range(8):
        place = own / "photos" / ("cat", "dog")[k % 2] / f"{k}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(source.integers(0, 256, (30 + k, 40, 3), dtype=np.uint8)).save(place)
    edit(own, "edgeflow.toml", 'evaluation = "model.py:evaluation"', 'evaluation = "photos"')
    built = edgeflow.build(own, ["kirin"])[0]
    assert np.load(built.folder / "reference.npz")["label"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert "ingest" in edgeflow.build(own, ["kirin"])[0].kept
    shutil.copy(own / "photos" / "cat" / "0.png", own / "photos" / "cat" / "9.png")
    again = edgeflow.build(own, ["kirin"])[0]
    assert "ingest" not in again.kept, "a picture was added deep in the folder"
    assert len(np.load(again.folder / "reference.npz")["label"]) == 9


@pytest.mark.build
def test_a_fresh_build_can_be_deployed(built: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "device"
    (runtime / "bin").mkdir(parents=True)
    (runtime / "bin" / "dump").write_text("#!/bin/sh\n")
    (runtime / "runtime.json").write_text(
        json.dumps(
            {
                "format": 1,
                "target": "arm64-int8",
                "preset": "aarch64-linux-gnu",
                "abi": "aarch64-linux",
                "machine": "aarch64",
                "library": None,
                "files": {"bin/dump": hashlib.sha256(b"#!/bin/sh\n").hexdigest()},
            }
        )
    )
    place = tmp_path / "out"
    placed = deploy_to(built / "build" / "arm64-int8", str(place), runtime=runtime)
    assert placed.name == "digits-arm64-int8"
    assert {
        "model.nb",
        "contract.json",
        "manifest.json",
        "golden/in_0.npy",
        "golden/out_0.npy",
        "bin/dump",
        "run.sh",
    } < set(hashes(place))
    assert hashes(place)["golden/in_0.npy"] == hashes(built / "build" / "arm64-int8")["golden/in_0.npy"]
    assert np.load(place / "golden" / "in_0.npy").shape == (4, 1, 8, 8)


@pytest.mark.parametrize("name", names())
def test_every_target_gives_a_contract(name: str) -> None:
    runtime = load_target(name).runtime
    dump_contract(
        Contract(
            "net",
            name,
            None,
            ModelFile("model.nb", "0" * 64),
            (InputContract("x", "float32", (-1, 3)),),
            ("y",),
            runtime=RuntimeContract(runtime.devices, "", runtime.libraries),
        )
    )


@pytest.mark.build
def test_a_device_program_reads_it_and_makes_the_same_input_of_the_picture(made: Path, tmp_path: Path) -> None:
    """The runtime is a stand-in that gives recorded outputs; contract, PNG and pre-processing are the device's own
    code.
    """
    folder = tmp_path / "build"
    shutil.copytree(made / "build" / "arm64-int8", folder)
    shutil.copytree(folder / "golden", folder / "model.nb.recorded")
    program = device_programs("host")
    done = program.run("recorded_classify", "--check", folder / "contract.json")
    assert (done.returncode, done.stdout.split(" within")[0]) == (0, "PASS: 1 outputs"), done.stdout + done.stderr
    np.save(folder / "golden" / "picture_in.npy", np.load(folder / "golden" / "picture_in.npy")[::-1])
    done = program.run("recorded_classify", "--check", folder / "contract.json")
    assert done.returncode == 3
    assert done.stdout.startswith("FAIL: picture at ")

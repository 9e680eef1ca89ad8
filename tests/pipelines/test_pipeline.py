"""A pipeline of two models from its recipe to its verdict, and again from the folder that it left."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeflow.cli.main import edgeflow
from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.targets import load_target
from edgeflow.ingest.given_model import look_at_model
from edgeflow.pipelines.build import opened, plan_parts
from edgeflow.pipelines.bundle import load_bundle
from edgeflow.pipelines.flow import BuiltPipeline
from edgeflow.pipelines.recipe import is_pipeline, load_pipeline
from edgeflow.pipelines.verify import verify_folder
from edgeflow.project.lockfile import read_lock, write_lock
from edgeflow.project.recipe import load_recipe
from edgeflow.report.text_record import load_text_record
from tests.conftest import ROOT
from tests.pipelines.shades import write_shades

pytestmark = pytest.mark.build
GRAPH = ROOT / "tests" / "graph"


def test_every_model_is_built_and_the_text_is_judged(built: list[BuiltPipeline]) -> None:
    arm, kirin = built
    assert [part.file.folder for part in arm.parts] == ["detector", "recogniser"]
    assert [part.file.folder for part in kirin.parts] == [
        "detector",
        "recogniser-64",
        "recogniser-128",
    ]
    for each in built:
        record = each.record
        assert record.passed and record.lost.lines == 0 and record.same_texts == 1.0
        assert record.reference.line_accuracy == record.candidate.line_accuracy > 0.9
        assert record.candidate.labelled_line_accuracy == 1.0 and record.candidate.recall == 1.0
        assert load_text_record(each.folder / "report.json") == record
        assert "<svg" in (each.folder / "report.html").read_text(encoding="utf-8")
    assert arm.record.candidate.hmean == 1.0  # kirin's pages have a border, which is as dark as text
    assert [hop.name for hop in arm.record.waterfall] == ["reference", "detector", "candidate"]
    assert kirin.record.waterfall[0].name == "own sizes"
    assert any("fixed sizes" in note for note in kirin.record.notes)


def test_the_folder_alone_is_enough_to_judge_again(built: list[BuiltPipeline]) -> None:
    record, _ = verify_folder(built[0].folder)
    assert record.candidate == built[0].record.candidate and record.decisions == built[0].record.decisions
    said = json.loads((built[1].folder / "pipeline.json").read_text(encoding="utf-8"))
    assert [model["width"] for model in said["recogniser"]["models"]] == [64, 128]
    assert said["golden"]["pages"][0]["lines"][0]["text"]
    bundle = load_bundle(built[1].folder)
    assert bundle.rules.lines.batch == 1 and bundle.rules.dictionary == ("甲", "乙", "丙")
    done = CliRunner().invoke(edgeflow, ["verify", str(built[0].folder)])
    assert done.exit_code == 0 and done.output.rstrip().endswith("PASS"), done.output


def test_a_build_is_held_to_what_was_accepted(built: list[BuiltPipeline], shades: Path) -> None:
    """The text has an entry, and each file; a build that keeps everything is as it was."""
    done = CliRunner().invoke(edgeflow, ["build", str(shades), "-t", "arm64", "--locked"])
    assert done.exit_code == 1 and "edgeflow.lock: is missing" in done.output
    done = CliRunner().invoke(edgeflow, ["lock", str(shades), "-t", "arm64", "--json"])
    assert done.exit_code == 0, done.output
    lock = shades / "edgeflow.lock"
    known = read_lock(lock)
    assert list(known) == ["arm64", "arm64/boxes", "arm64/detector", "arm64/recogniser"]
    assert known["arm64"].metric == "line_accuracy" and known["arm64"].samples == built[0].record.lines
    done = CliRunner().invoke(edgeflow, ["build", str(shades), "-t", "arm64", "--locked"])
    assert done.exit_code == 0, done.output
    assert "arm64/recogniser: as accepted" in done.output
    write_lock(lock, {**known, "arm64": replace(known["arm64"], metric_drop=-0.5)})
    done = CliRunner().invoke(edgeflow, ["build", str(shades), "-t", "arm64", "--locked"])
    lock.unlink()
    assert done.exit_code == 3 and "arm64: worse: line_accuracy" in done.output, done.output


def test_a_folder_of_models_becomes_a_pipeline(tmp_path: Path) -> None:
    """By the names of the folders, and the dictionary by its length: five classes less the blank."""
    source = GRAPH / "quantised" / "static"
    models = tmp_path / "models"
    for name in ("ch_det_infer", "ch_rec_infer"):
        (models / name).mkdir(parents=True)
        for suffix in (".pdmodel", ".pdiparams"):
            shutil.copy(source.with_suffix(suffix), models / name / f"inference{suffix}")
    given = look_at_model(models / "ch_rec_infer")
    assert given.last_width is not None
    for name, lines in (("keys.txt", given.last_width - 1), ("other.txt", 9)):
        (models / name).write_text("".join(f"{k}\n" for k in range(lines)), encoding="utf-8")
    done = CliRunner().invoke(edgeflow, ["init", "--from", str(models), str(tmp_path / "project")])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "project/edgeflow.toml").read_text(encoding="utf-8")
    assert "[pipeline.detector]" in text and 'labels = "labels.txt" # keys.txt' in text and "space" not in text
    assert (tmp_path / "project/labels.txt").read_bytes() == (models / "keys.txt").read_bytes()
    shutil.copytree(models / "ch_det_infer", models / "en_det_infer")
    done = CliRunner().invoke(edgeflow, ["init", "--from", str(models), str(tmp_path / "another")])
    assert done.exit_code == 1 and "are both a detector" in done.output


def test_a_bundle_holds_all_that_the_device_reads(built: list[BuiltPipeline], tmp_path: Path) -> None:
    done = CliRunner().invoke(edgeflow, ["deploy", str(built[1].folder), "--to", str(tmp_path / "bundle"), "--json"])
    assert done.exit_code == 0, done.output
    bundle = load_bundle(tmp_path / "bundle")
    assert [file.width for file in bundle.files] == [None, 64, 128]
    assert (tmp_path / "bundle" / bundle.golden[0].picture).is_file()
    listed = json.loads((tmp_path / "bundle/bundle.json").read_text(encoding="utf-8"))
    assert listed["name"] == "shades" and "recogniser-64/golden/in_0.npy" in listed["files"]


def test_what_was_changed_since_is_refused(built: list[BuiltPipeline], tmp_path: Path, shades: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(shades, copy)
    folder = copy / "build/arm64"
    (copy / "pages/0.png").write_bytes((copy / "pages/1.png").read_bytes())
    with pytest.raises(DataError, match="not the picture that the pipeline was judged on"):
        verify_folder(folder)
    table = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    table["detector"]["contract"] = "../arm64/detector/contract.json"
    (folder / "pipeline.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(DataError, match="should lie below it"):
        load_bundle(folder)
    shutil.copy(built[0].folder / "pipeline.json", folder)
    (folder / "recogniser/model.nb").write_bytes(b"another")
    with pytest.raises(DataError, match="not the file that its contract was written for"):
        load_bundle(folder)


def test_plan_names_every_file_and_a_dictionary_that_does_not_fit(shades: Path, tmp_path: Path) -> None:
    pipeline, targets, _ = opened(shades, ["kirin"])
    plans = plan_parts(pipeline, targets)
    assert [plan.target for plan in plans] == ["kirin/detector", "kirin/recogniser-64", "kirin/recogniser-128"]
    assert all(plan.buildable for plan in plans)
    other = write_shades(tmp_path / "other", 1)
    (other / "letters.txt").write_text("甲\n乙\n丙\n丁\n", encoding="utf-8")
    arm = [load_target("arm64")]
    (plan,) = [p for p in plan_parts(load_pipeline(other, other / "build"), arm) if "recogniser" in p.target]
    assert not plan.buildable
    assert "has 4 lines, and should have 3" in " ".join(finding.why for finding in plan.findings)


def edited(folder: Path, old: str, new: str) -> Path:
    recipe = folder / "edgeflow.toml"
    text = recipe.read_text(encoding="utf-8")
    assert old in text
    recipe.write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("widths = [64, 128]", "widths = [64, 32]", "should rise"),
        ("page = [96, 224]", "page = [96]", r"should be \[height, width\]"),
        ("width_step = 8", "width_steps = 8", "width_step"),
        ('labels = "letters.txt"', "", "names no dictionary"),
        ('resize = "text_line"', 'resize = "stretch"', "should be by 'text_line'"),
        ('factory = "model.py:detector"', 'factory = "model.py:detector"\ntask = "classify"', "a detector's is"),
        (
            "[pipeline.detector.model]",
            '[pipeline.detector]\nfrom = "nowhere"\n[pipeline.detector.model]',
            "beside from",
        ),
        ("unclip_ratio = 0.2", "unclip_ratio = 40", "unclip_ratio"),
    ],
)
def test_what_a_pipeline_cannot_say(tmp_path: Path, old: str, new: str, said: str) -> None:
    folder = edited(write_shades(tmp_path / "p", 1), old, new)
    with pytest.raises(RecipeError, match=said):
        load_pipeline(folder, folder / "build")


def test_sizes_that_a_target_wants_fixed_have_to_be_said(tmp_path: Path) -> None:
    folder = edited(write_shades(tmp_path / "p", 1), "page = [96, 224]\n", "")
    with pytest.raises(RecipeError, match="kirin takes inputs of one size alone"):
        load_pipeline(folder, folder / "build").files(load_target("kirin"))


def test_a_part_may_be_a_recipe_of_its_own(shades: Path, tmp_path: Path) -> None:
    folder = write_shades(tmp_path / "p", 1)
    text = (folder / "edgeflow.toml").read_text(encoding="utf-8")
    begin, end = text.index("[pipeline.recogniser.model]"), len(text)
    own = text[begin:end].replace("pipeline.recogniser.", "")
    (folder / "reads").mkdir()
    for name in ("model.py", "letters.txt"):
        shutil.copy(folder / name, folder / "reads")
    (folder / "reads/edgeflow.toml").write_text(f'[data]\nevaluation = "synthetic:2"\n{own}', encoding="utf-8")
    (folder / "edgeflow.toml").write_text(
        text[:begin] + '[pipeline.recogniser]\nfrom = "reads"\n[pipeline.recogniser.compress]\nalgo = "KL"\n',
        encoding="utf-8",
    )
    found = load_pipeline(folder, folder / "build").parts["recogniser"]
    assert found.folder == folder.resolve() / "reads" and found.compress.algo == "KL"
    assert Path(found.data.evaluation) == folder.resolve() / "pages.txt"


def test_commands_for_one_model_say_what_a_pipeline_is(shades: Path) -> None:
    assert is_pipeline(shades) and not is_pipeline(shades / "pages")
    with pytest.raises(RecipeError, match="is a pipeline of several models"):
        load_recipe(shades)
    done = CliRunner().invoke(edgeflow, ["build", str(shades), "--target", "arm64", "--skip-bad"])
    assert done.exit_code == 2 and "--skip-bad is for one model" in done.output

"""What a recipe may say, and how it is told that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.core.errors import RecipeError, StorageError
from edgeflow.core.targets import load_target
from edgeflow.project.recipe import load_recipe, read_labels
from edgeflow.project.template import write_project

GOOD = """
[model]
factory = "model.py:build"
[inputs.x]
shape = [-1, 3, 8, 8]
[data]
evaluation = "x.npz"
"""


def test_the_template_is_a_recipe(tmp_path: Path) -> None:
    write_project(tmp_path / "new")
    recipe = load_recipe(tmp_path / "new")
    assert recipe.name == "new"  # the folder's
    with pytest.raises(StorageError, match="not overwritten"):
        write_project(tmp_path / "new")


def test_overrides_by_target(tmp_path: Path) -> None:
    (tmp_path / "edgeflow.toml").write_text(
        GOOD
        + """
[compress]
algo = "KL"
bias_correction = true
[drift]
cosine_min = 0.5
[targets.arm64-int8.compress]
algo = "mse"
[targets.arm64-int8.drift]
cosine_min = 0.25
[targets.arm64.compress]
weight_only = "int8"
"""
    )
    recipe = load_recipe(tmp_path)
    special, plain = load_target("arm64-int8"), load_target("armv7-int8")
    assert recipe.compress_settings(special).algo == "mse"
    assert recipe.compress_settings(special).bias_correction
    assert recipe.compress_settings(plain).algo == "KL"
    assert recipe.verify_settings(special).limits.cosine_min == 0.25
    assert recipe.verify_settings(plain).limits.cosine_min == 0.5
    assert recipe.verify_settings(plain).limits.sqnr_db_min == plain.drift.sqnr_db_min
    rounded = recipe.verify_settings(load_target("arm64")).limits
    assert (rounded.cosine_min, rounded.sqnr_db_min) == (0.5, 25.0), "weights of 8 bits: between float and int8"


@pytest.mark.parametrize(
    ("lines", "spelled"),
    [
        ('name = "cer"\nblank = "last"\ntime = "first"', "cer:blank=last:time=first"),
        ('name = "wer:95"\nblank = 0', "wer:95:blank=0"),
        ('name = "dice"\nignore = [0, 7]\nwithout = [1]\nthreshold = 0.25', "dice:ignore=0,7:without=1:threshold=0.25"),
        ('name = "entity_f1"\ntags = ["O", "B-PER", "I-PER"]', "entity_f1:tags=O,B-PER,I-PER"),
        ('name = "pck:0.5"\nby = "8-9"', "pck:0.5:by=8-9"),
        ('name = "f1"\nof = 0', "f1:of=0"),
        ('name = "map:voc07"', "map:voc07"),
    ],
)
def test_options_of_a_metric(lines: str, spelled: str, tmp_path: Path) -> None:
    (tmp_path / "edgeflow.toml").write_text(f"{GOOD}[metric]\n{lines}\n")
    assert load_recipe(tmp_path).verify_settings(load_target("arm64")).metric == spelled


@pytest.mark.parametrize(
    ("metric", "blank", "spelled"),
    [("", -1, "cer:blank=last"), ("", 3, "cer:blank=3"), ("blank = 'last'", 0, "cer:blank=last"), ("", 0, "cer")],
)
def test_metric_and_output_have_one_blank(metric: str, blank: int, spelled: str, tmp_path: Path) -> None:
    labelled = GOOD.replace("x.npz", "lines.txt").replace("[inputs.x]", 'labels = "dict.txt"\n[inputs.x]')
    text = f'{labelled}[metric]\nname = "cer"\n{metric}\n[outputs.0]\nkind = "ctc"\nblank = {blank}\n'
    (tmp_path / "dict.txt").write_text("a\nb\n")
    (tmp_path / "edgeflow.toml").write_text(text)
    recipe = load_recipe(tmp_path)
    settings = recipe.verify_settings(load_target("arm64"))
    assert settings.metric == spelled and settings.outputs[0].blank == (-1 if "last" in spelled else blank)
    given = recipe.ingest_settings()
    assert given.dictionary == ("a", "b") and given.blank_last == ("last" in spelled)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "[metric]\nname = 'cer'\nblank = 0\n[outputs.0]\nkind = 'ctc'\nblank = -1", "the blank is 0, and"),
        (GOOD + "[drift]\nmap_iou_min = 93", "a number from 0 to 1"),
        (GOOD + "[metric]\nname = 'cer'\nblank = 'first'", "blank=last or :blank=ID"),
        (GOOD + "[metric]\nname = 'top1'\nexpected = 0.9\nexpected_min = 0.9", "stand without expected"),
        (GOOD.replace("[data]", "dtype = 'float'\n[data]"), "did you mean 'float32'"),
        (GOOD + "[metric]\nname = 'top1'\nexpected_min = nan", "should be a number"),
        (GOOD + "[metric]\nname = 'cer'\nblank = true", "blank=last or :blank=ID"),
        (GOOD + "[metric]\nname = 'map'\nblank = 0", "takes no blank"),
        (GOOD + "[metric]\nname = 'm.py:f'\nignore = [1]", "a function of your own takes no ignore"),
        (GOOD + "[metric]\nname = 'entity_f1'", "the tag of each class in order"),
        (GOOD + "[metric]\nname = 'dice'\nignore = [-3]", "dice, with :ignore="),
        (None, "there is no recipe here"),
        ("[model", "is no TOML"),
        (GOOD.replace("factory", "factroy"), "unknown key 'factroy'; did you mean 'factory'"),
        (GOOD + "[compres]\nalgo = 'hist'", "unknown key 'compres'; did you mean 'compress'"),
        (GOOD + "[compress]\nalgo = 'hits'", "did you mean 'hist'"),
        (GOOD + "[metric]\nname = 'top2'", "did you mean 'top"),
        (GOOD + "[targets.kirin.compress]\nprecison = 'int8'", "did you mean 'precision'"),
        (GOOD.replace('factory = "model.py:build"', ""), "either 'factory' or 'program'"),
        (GOOD.replace("[-1, 3, 8, 8]", "[0, 3]"), "should be above 0, or -1"),
        (GOOD.replace("[-1, 3, 8, 8]", "'x'"), "should be a list"),
        (GOOD.replace("shape = [-1, 3, 8, 8]", "shape = [1]\ndtype = 'float23'"), "did you mean 'float32'"),
        (GOOD.replace("[inputs.x]\nshape = [-1, 3, 8, 8]", ""), "declares no inputs"),
        (GOOD.replace("evaluation", "evaluate"), "did you mean 'evaluation'"),
        ("folder = 'x'\n" + GOOD, "unknown key 'folder'"),
    ],
    ids=range(25),
)
def test_bad_recipes(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "edgeflow.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path)


PICTURES = GOOD.replace(
    "[data]",
    """[inputs.x.preprocess]
resize = "stretch"
size = [8, 8]
[data]""",
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            GOOD.replace("factory", "factroy") + "evalation = 1\n[drift]\ncosine_min = 'x'\n",
            ["factroy", "evalation", "cosine_min"],
        ),
        (
            GOOD.replace("[-1, 3", "[-1, 0") + "[drift]\ncosine_min = 2\n[metric]\nname = 'topp'\n",
            ["cosine_min", "shape", "topp"],
        ),
    ],
)
def test_all_that_is_wrong_is_said_at_once(text: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "edgeflow.toml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path)
    said = [caught.value, *(other for err in (caught.value, *caught.value.also) for other in err.also)]
    assert all(any(word in err.what for err in said) for word in found), [err.what for err in said]


def test_preprocessing_of_an_input(tmp_path: Path) -> None:
    (tmp_path / "edgeflow.toml").write_text(
        PICTURES.replace("[model]", '[model]\ntask = "classify"\nlabels = "names.txt"')
    )
    recipe = load_recipe(tmp_path)
    settings = recipe.ingest_settings()
    assert settings.preprocess["x"].size == (8, 8)
    assert recipe.model.task == "classify"
    (tmp_path / "names.txt").write_bytes(b"a\n")
    assert read_labels(recipe) == b"a\n"
    (tmp_path / "edgeflow.toml").write_text(GOOD)
    assert load_recipe(tmp_path).ingest_settings().preprocess == {}
    assert read_labels(load_recipe(tmp_path)) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("resize", "resise", "unknown key 'resise'; did you mean 'resize'"),
        ('"stretch"', '"strech"', "did you mean 'stretch'"),
        ("size = [8, 8]", "", "size is missing"),
        ("size = [8, 8]", "size = [8, 9]", r"shape is \[-1, 3, 8, 8\], and its pre-processing makes \[any, 3, 8, 9\]"),
        ("size = [8, 8]", 'size = [8, 8]\nlayout = "NHWC"', r"makes \[any, 8, 8, 3\]"),
        ("size = [8, 8]", 'size = [8, 8]\ncolour = "GRAY"', "mean has 3 values"),
        ("size = [8, 8]", "size = [9, 9]\ncrop = [8, 7]", r"makes \[any, 3, 8, 7\]"),
        ("[-1, 3, 8, 8]", "[-1, 192]", r"shape is \[-1, 192\]"),
        ("shape = ", 'dtype = "uint8"\nshape = ', "dtype is 'uint8', and should be 'float32'"),
        ("[inputs.x.preprocess]", "[inputs.x.preproces]", "did you mean 'preprocess'"),
    ],
    ids=range(10),
)
def test_bad_preprocessing(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in PICTURES
    (tmp_path / "edgeflow.toml").write_text(PICTURES.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path)


def test_a_task_takes_pictures(tmp_path: Path) -> None:
    (tmp_path / "edgeflow.toml").write_text(GOOD.replace("[model]", '[model]\ntask = "detect"'))
    with pytest.raises(RecipeError, match="whose program takes a picture, and no input is made of one"):
        load_recipe(tmp_path)

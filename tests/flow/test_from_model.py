"""Models without a recipe: what is made for them, from what lies beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.core.errors import EdgeflowError, ModelError, RecipeError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.tensors import TensorSpec
from edgeflow.flow.from_model import files_for, needs_recipe, recipe_or_model, write_project_from
from edgeflow.ingest.deploy_yaml import read_deploy_yaml
from edgeflow.ingest.given_model import GivenModel, look_at_model
from edgeflow.ingest.synthetic import synthetic
from edgeflow.project.recipe import load_recipe, read_labels
from tests.ingest.pir.exports import exports

RECOGNISER = """\
Global: {model_name: my_rec}
PreProcess:
  transform_ops:
  - DecodeImage: {channel_first: false, img_mode: BGR}
  - MultiLabelEncode: {gtc_encode: NRTRLabelEncode}
  - RecResizeImg: {image_shape: [3, 48, 320]}
  - KeepKeys: {keep_keys: [image]}
PostProcess:
  name: CTCLabelDecode
  character_dict: [　, no, "1", '"', \\, ~, é]
"""
CLASSIFIER = """\
Global: {model_name: my_cls}
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 256, interpolation: bicubic}
  - CropImage: {size: 224}
  - NormalizeImage: {scale: 1./255., mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], order: ''}
  - ToCHWImage: null
PostProcess:
  Topk: {topk: 5, label_list: [cat, dog]}
"""
DETECTOR = """\
mode: paddle
arch: YOLO
Preprocess:
- {interp: 2, keep_ratio: false, target_size: [320, 416], type: Resize}
- {is_scale: true, mean: [0.0, 0.0, 0.0], norm_type: none, std: [1.0, 1.0, 1.0], type: NormalizeImage}
- {type: Permute}
- {type: Mixup}
label_list: [person, car]
"""
TRACKER = """\
arch: JDE
Preprocess:
- {interp: 4, keep_ratio: true, target_size: [64, 64], type: Resize}
- {target_size: [608, 1088], type: LetterBoxResize}
"""
SEGMENTER = """\
Deploy:
  model: model.pdmodel
  transforms:
  - {type: Resize, target_size: [512, 256]}
  - {type: Normalize}
"""


def _given(folder: Path, name: str, text: str) -> dict[str, str]:
    """The recipe for a program of one open picture beside such a description."""
    (folder / name).write_text(text, encoding="utf-8")
    described = read_deploy_yaml(folder)
    size = (described.steps.get("crop") or described.steps["size"]).value
    given = GivenModel(folder / "m.pdmodel", None, (TensorSpec("x", (1, 3, *size)),), {"x": "it"}, described)  # type: ignore[arg-type]
    return {key: content.decode() for key, content in files_for(given, folder / "p", None, "m").items()}


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        (
            "inference.yml",
            RECOGNISER,
            [
                'task = "ocr_recognise" # inference.yml PostProcess.name',
                'colour = "BGR" # inference.yml PreProcess.DecodeImage.img_mode',
                "size = [48, 320] # inference.yml PreProcess.RecResizeImg.image_shape",
                "mean = [0.5, 0.5, 0.5]",
                'resize = "text_line" # inference.yml PreProcess.RecResizeImg',
                'pad_in = "input"',
            ],
        ),
        (
            "inference_cls.yaml",
            CLASSIFIER,
            [
                'task = "classify"',
                'resize = "short_side"',
                "size = [256, 256]",
                "crop = [224, 224]",
                "scale = 0.00392156862745098 # inference_cls.yaml PreProcess.NormalizeImage.scale",
                "std = [0.229, 0.224, 0.225]",
                'interpolation = "cubic" # inference_cls.yaml PreProcess.ResizeImage.interpolation',
            ],
        ),
        (
            "infer_cfg.yml",
            DETECTOR,
            [
                'resize = "stretch"',
                "size = [320, 416] # infer_cfg.yml Preprocess.Resize.target_size",
                "mean = [0.0, 0.0, 0.0]",
                "std = [1.0, 1.0, 1.0]",
                'interpolation = "cubic" # infer_cfg.yml Preprocess.Resize.interp',
                "# not taken over: infer_cfg.yml Preprocess.Mixup: a step that the contract cannot say",
            ],
        ),
        (
            "infer_cfg.yml",
            TRACKER,
            [
                'resize = "letterbox"',
                "size = [608, 1088]",
                'interpolation = "area"',
                "pad_value = 127.5",
                "# not taken over: infer_cfg.yml Preprocess.Resize.interp 4: the contract has linear, cubic and area",
            ],
        ),
        ("deploy.yaml", SEGMENTER, ["size = [256, 512]", "mean = [0.5, 0.5, 0.5]", "scale = 0.00392156862745098"]),
    ],
    ids=["PaddleX", "PaddleClas", "PaddleDetection", "tracker", "PaddleSeg"],
)
def test_descriptions_become_recipes(name: str, text: str, lines: list[str], tmp_path: Path) -> None:
    recipe = _given(tmp_path, name, text)["edgeflow.toml"]
    for line in lines:
        assert any(own.startswith(line) for own in recipe.splitlines()), (line, recipe)


@pytest.mark.parametrize(
    ("step", "size", "open_size"),
    [
        ("{resize_long: 960}", "[960, 960]", '"limit_long", size = [960, 4000]'),
        ("{limit_side_len: 736, limit_type: min}", "[736, 736]", '"limit_short", size = [736, 4000]'),
        ("{limit_side_len: 750, max_side_limit: 2000}", "[736, 736]", '"limit_short", size = [750, 2000]'),
        ("null", "[960, 960]", '"limit_long", size = [960, 4000]'),
    ],
)
def test_a_text_detector_leaves_nothing_out(step: str, size: str, open_size: str, tmp_path: Path) -> None:
    text = f"PreProcess: {{transform_ops: [{{DetResizeForTest: {step}}}]}}\nPostProcess: {{name: DBPostProcess}}\n"
    recipe = _given(tmp_path, "inference.yml", text)["edgeflow.toml"]
    assert "not taken over" not in recipe and open_size in recipe
    assert 'resize = "letterbox_left" #' in recipe and f"size = {size} #" in recipe


def test_a_recogniser_leaves_nothing_out(tmp_path: Path) -> None:
    recipe = _given(tmp_path, "inference.yml", RECOGNISER)["edgeflow.toml"]
    assert "not taken over" not in recipe
    found = read_deploy_yaml(tmp_path).steps
    steps: dict[str, Any] = {k: tuple(v.value) if isinstance(v.value, list) else v.value for k, v in found.items()}
    made = Preprocess(**steps)
    line = made.apply(np.full((24, 80, 3), 255, np.uint8))
    assert line.shape == (3, 48, 320) and (line[:, :, :160] == 1).all() and not line[:, :, 160:].any()


@pytest.mark.parametrize(("classes", "space"), [(None, True), (9, True), (8, False)])
def test_the_space_that_ctc_decoders_add_is_a_class(classes: int | None, space: bool, tmp_path: Path) -> None:
    """Seven characters, the blank, and the space where the program has a class for it or does not say."""
    (tmp_path / "inference.yml").write_text(RECOGNISER, encoding="utf-8")
    described, image = read_deploy_yaml(tmp_path), TensorSpec("x", (1, 3, 48, 320))
    files: Any = None
    given = GivenModel(tmp_path / "m.pdmodel", files, (image,), {"x": "it"}, described, (), classes)
    assert ("\nspace = true" in files_for(given, tmp_path / "p", None, "m")["edgeflow.toml"].decode()) == space


@pytest.mark.parametrize(("shape", "fits"), [((1, 3, 48, 640), True), ((1, 3, 32, 320), False)])
def test_a_program_of_one_width_reads_lines_of_that_width(shape: tuple[int, ...], fits: bool, tmp_path: Path) -> None:
    (tmp_path / "inference.yml").write_text(RECOGNISER, encoding="utf-8")
    files: Any = None
    given = GivenModel(tmp_path / "m", files, (TensorSpec("x", shape),), {"x": "it"}, read_deploy_yaml(tmp_path))
    recipe = files_for(given, tmp_path / "p", None, "m")["edgeflow.toml"].decode()
    assert ("size = [48, 640] # the program" in recipe) == fits == ("not taken over" not in recipe)


def test_a_dictionary_keeps_every_character(tmp_path: Path) -> None:
    assert _given(tmp_path, "inference.yml", RECOGNISER)["labels.txt"].split("\n") == [
        "　",
        "no",
        "1",
        '"',
        "\\",
        "~",
        "é",
        "",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "a: &a [x]\nb: *c",
        "Deploy: 3",
        "PreProcess: {transform_ops: [{ResizeImage: {size: -4}}]}",
        "PreProcess: {transform_ops: [{NormalizeImage: {scale: 1/0, mean: [1], std: [1]}}]}",
        "PreProcess: {transform_ops: {a: b}}",
        "- 1",
        "\x00",
        'PostProcess: {Topk: {label_list: ["a\\nb"]}}',
        "!!python/object/apply:os.system ['false']",
    ],
    ids=range(10),
)
def test_bad_descriptions_end_in_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "inference.yml").write_text(text)
    with pytest.raises(ModelError, match=r"inference\.yml"):
        read_deploy_yaml(tmp_path)


def test_synthetic_inputs_are_the_same_at_every_run() -> None:
    specs = [TensorSpec("image", (1, 3, 32, 32)), TensorSpec("im_shape", (1, 2)), TensorSpec("ids", (1, 9), "int64")]
    made = synthetic("synthetic:3", specs)
    assert {name: array.shape for name, array in made.items()} == {
        "image": (3, 3, 32, 32), "im_shape": (3, 2), "ids": (3, 9)
    }  # fmt: skip
    assert made["im_shape"].tolist() == [[32, 32]] * 3 and set(np.unique(made["ids"])) == {0, 1}
    assert np.array_equal(made["image"], synthetic("synthetic:3", specs)["image"])
    with pytest.raises(EdgeflowError, match="open dimensions"):
        synthetic("synthetic:3", [TensorSpec("x", (1, -1))])


@pytest.mark.build
def test_a_program_of_paddle_3_needs_no_recipe(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    source = next(export for export in exports("zoo_3.3.1.jsonl.xz") if export.name == "nn.Conv2D").write(model)
    assert needs_recipe(source) and needs_recipe(model) and not needs_recipe(tmp_path)
    recipe, build = recipe_or_model(model, ["arm64"], None, None)
    assert build == model / "build"
    found = load_recipe(recipe)
    assert found.data.evaluation == "synthetic:4" and found.specs[0].shape == (2, 4, 8, 8)
    with pytest.raises(RecipeError, match="int8") as caught:
        recipe_or_model(model, ["arm64-int8"], None, None)
    assert "--data" in caught.value.try_
    (model / "inference.yml").write_text(CLASSIFIER)
    write_project_from(source, tmp_path / "own")
    assert read_labels(load_recipe(tmp_path / "own")) is None  # four channels are no picture's
    source.write_text(json.dumps({"base_code": {"magic": "pir", "version": 9}, "program": {}}))
    with pytest.raises(ModelError, match="version 9"):
        look_at_model(model)


@pytest.mark.parametrize("name", ["a.nb", "a.pdparams", "a.npz", "a.json"])
def test_other_files_where_a_recipe_belongs(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02")
    with pytest.raises(RecipeError, match=r"a recipe, edgeflow\.toml, should stand here") as caught:
        load_recipe(tmp_path / name)
    assert caught.value.try_


def test_boxes_stay_boxes_on_made_up_inputs(tmp_path: Path) -> None:
    """Their number differs from run to run: as plain tensors nothing could be compared."""
    pytest.importorskip("paddle", reason="PaddlePaddle is not installed")
    from tests.graph.detectors import distributions
    from tests.graph.programs import export

    export(distributions("vector"), (1, 3, 32, 32), tmp_path / "m")
    given = look_at_model(tmp_path / "m.pdmodel")
    assert given.float_outputs == ()
    assert b"[outputs." not in files_for(given, tmp_path / "p", None, "m")["edgeflow.toml"]

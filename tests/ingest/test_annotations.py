"""Annotations as COCO, VOC, YOLO, PNG masks and PaddleOCR keep them: where they lie in the input, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.placement import placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.tensors import TensorSpec
from edgeflow.files.png import pack_png
from edgeflow.ingest.data import Samples, load_samples
from edgeflow.ingest.pictures import Way

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'edgeflow[build]')")
SIDES = (40, 80)
"""Of every picture; a letterbox of 64 x 64 makes it 32 x 64 at 16 from the top: x * 0.8, y * 0.8 + 16."""

STEPS = Preprocess(resize="letterbox", size=(64, 64))
SPECS = (TensorSpec("image", (-1, 3, 64, 64)),)
NAMES = ("cat", "dog")
WANTED = [[[1, 8, 16 + 4, 32, 16 + 20, 0], [0, 0, 16, 64, 48, 1]], [[-1, 0, 0, 0, 0, 0]] * 2]
"""Of two pictures: a dog, a cat that is set aside, and nothing."""


def pictures(folder: Path, *names: str, sides: tuple[int, int] = SIDES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        (folder / name).write_bytes(pack_png(np.full((*sides, 3), 40 * k, np.uint8)))


def coco(folder: Path) -> dict:
    pictures(folder / "images", "a.png", "b.png")
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 40, "width": 80},
            {"id": 5, "file_name": "b.png", "height": 40, "width": 80},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": [
            {"image_id": 7, "category_id": 18, "bbox": [10, 5, 30, 20], "iscrowd": 0},
            {"image_id": 7, "category_id": 17, "bbox": [0, 0, 80, 40.0], "iscrowd": 1},
        ],
    }


VOC = """<annotation><size><width>80</width><height>40</height><depth>3</depth></size>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>10</xmin><ymin>5</ymin><xmax>40</xmax><ymax>25</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>
<object><name>cat</name><difficult>1</difficult><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>80</xmax><ymax>40</ymax></bndbox>
</object></annotation>"""
NOTHING = "<annotation><size><width>80</width><height>40</height></size></annotation>"


def voc(folder: Path, first: str = VOC) -> None:
    pictures(folder / "images", "a.png", "b.png")
    (folder / "marks").mkdir()
    (folder / "marks/a.xml").write_text(first)
    (folder / "marks/b.xml").write_text(NOTHING)


def yolo(folder: Path, first: str = "1 0.3125 0.375 0.375 0.5\n") -> None:
    pictures(folder / "images", "a.png", "b.png")
    (folder / "marks").mkdir()
    (folder / "marks/a.txt").write_text(first)


def load(folder: Path, source: str = "images", annotations: str | None = "marks", **way: object) -> Samples:
    chosen = Way(annotations=annotations, **{"names": NAMES, **way})
    return load_samples(source, folder, SPECS, "evaluation", {"image": STEPS}, chosen)


def test_coco(tmp_path: Path) -> None:
    (tmp_path / "val.json").write_text(json.dumps(coco(tmp_path)))
    found = load(tmp_path, annotations="val.json")
    np.testing.assert_allclose(found.arrays["label"], WANTED)
    assert found.names == ("a.png", "b.png")
    unnamed = load(tmp_path, annotations="val.json", names=()).arrays["label"]
    assert unnamed[0, :, 0].tolist() == [0, 1], "the places in the file, as PaddleDetection counts"
    shares = load(tmp_path, annotations="val.json", shares=True).arrays["label"]
    np.testing.assert_allclose(shares[0, 0, 1:5] * 64, WANTED[0][0][1:5])


def test_voc_in_a_folder_and_in_a_list(tmp_path: Path) -> None:
    voc(tmp_path)
    np.testing.assert_allclose(load(tmp_path).arrays["label"], WANTED)
    (tmp_path / "list.txt").write_text("images/a.png marks/a.xml\nimages/b.png marks/b.xml\n")
    np.testing.assert_allclose(load(tmp_path, "list.txt", None).arrays["label"], WANTED)


def test_yolo(tmp_path: Path) -> None:
    yolo(tmp_path, "1 0.3125 0.375 0.375 0.5\n0 0 0 1 0 1 1\n")
    (tmp_path / "marks/classes.txt").write_text("cat\ndog\n")
    wanted = np.array(WANTED)
    wanted[..., 5] = 0  # a polygon is the box around it
    np.testing.assert_allclose(load(tmp_path).arrays["label"], wanted, atol=1e-5)


def test_a_model_that_is_told_the_scale_counts_in_the_pictures_pixels(tmp_path: Path) -> None:
    yolo(tmp_path)
    specs = (*SPECS, TensorSpec("scale_factor", (-1, 2)), TensorSpec("im_shape", (-1, 2)))
    found = load_samples("images", tmp_path, specs, "evaluation", {"image": STEPS}, Way(annotations="marks")).arrays
    np.testing.assert_allclose(found["label"][0, 0], [1, 10, 5, 40, 25, 0], atol=1e-4)
    np.testing.assert_allclose(found["scale_factor"], [[0.8, 0.8]] * 2)
    np.testing.assert_allclose(found["im_shape"], [[64, 64]] * 2)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_masks(mode: str, tmp_path: Path) -> None:
    pictures(tmp_path / "images", "a.png", "b.png")
    (tmp_path / "marks").mkdir()
    mask = np.zeros(SIDES, np.uint8)
    mask[:20, 40:], mask[30:] = 2, 255
    for name in ("a.png", "b.png"):
        image = Image.fromarray(mask.astype(np.uint16) if mode == "I;16" else mask)
        if mode == "P":
            image = image.convert("P")
            image.putdata(mask.ravel().tolist())
            image.putpalette([k for k in range(256) for _ in range(3)])
        image.save(tmp_path / "marks" / name)
    found = load(tmp_path).arrays["label"]
    assert found.shape == (2, 64, 64) and found.dtype == (np.int32 if mode == "I;16" else np.uint8)
    assert (found[0, :16] == 255).all() and (found[0, 48:] == 255).all(), "the border is void"
    assert (found[0, 16:32, 32:] == 2).all() and (found[0, 16:32, :32] == 0).all() and (found[0, 40:48] == 255).all()
    (tmp_path / "val.txt").write_text("images/a.png marks/a.png\nimages/b.png marks/b.png\n")  # as PaddleSeg lists them
    np.testing.assert_array_equal(load(tmp_path, "val.txt", None).arrays["label"], found)


def test_text_boxes_of_paddleocr(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    quad = [[10, 5], [40, 5], [40, 25], [10, 25]]
    lines = [json.dumps([{"transcription": text, "points": quad} for text in texts]) for texts in (["é", "###"], [])]
    (tmp_path / "label.txt").write_text(f"a.png\t{lines[0]}\nb.png\t{lines[1]}\n")
    found = load(tmp_path, "label.txt", None).arrays["label"]
    assert found.shape == (2, 2, 9) and found[0, :, 0].tolist() == [0, 1] and (found[1, :, 0] == -1).all()
    np.testing.assert_allclose(found[0, 0, 1:], [8, 20, 32, 20, 32, 36, 8, 36])


def test_a_bad_picture_takes_its_annotation_along(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "images/a.png").write_bytes(b"no picture")
    found = load(tmp_path, skip_bad=True)
    assert found.names == ("b.png",) and found.arrays["label"].shape == (1, 1, 6) and len(found.bad) == 1


def test_placement_agrees_with_the_picture_itself() -> None:
    """A white square is drawn, pre-processed, and found again where its corners are said to lie."""
    for steps in (
        STEPS,
        Preprocess(resize="stretch", size=(48, 56)),
        Preprocess(resize="short_side", size=(50, 50), crop=(44, 44)),
        Preprocess(resize="letterbox_left", size=(64, 96)),
    ):
        picture = np.zeros((*SIDES, 3), np.uint8)
        picture[8:28, 30:50] = 255
        at = placed(steps, *SIDES)
        made = steps.apply(picture)[0]
        inside = np.argwhere(made > 127)
        (left, top), (right, bottom) = at.points(np.array([[30.0, 8.0], [50.0, 28.0]]))
        assert made.shape == at.size
        np.testing.assert_allclose([*inside.min(0), *(inside.max(0) + 1)], [top, left, bottom, right], atol=0.51)
        assert (at.class_map((picture[..., 0] > 0).astype(np.uint8), 0) == (made > 127)).mean() > 0.97


def changed(**keys: object) -> Callable[[Path], None]:
    """A COCO file with a key of its first annotation, or `file_name`, or a whole part, replaced."""

    def write(folder: Path) -> None:
        found = coco(folder)
        for key, value in keys.items():
            if key in found:
                found[key] = value
            else:
                found["images" if key in ("file_name", "height") else "annotations"][0][key] = value
        (folder / "marks.json").write_text(json.dumps(found))

    return write


def coco_text(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        coco(folder)
        (folder / "marks.json").write_text(text)

    return write


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha">]><annotation><object><name>&b;</name></object></annotation>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>'


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (coco_text("{"), "cannot be read as JSON"),
        (coco_text("[" * 100_000), "cannot be read as JSON"),
        (coco_text("[]"), "list of objects named 'images'"),
        (coco_text('{"images": [NaN]}'), "NaN is no JSON number"),
        (changed(images=[3]), "list of objects"),
        (changed(file_name="../../a.png"), "leads out of"),
        (changed(file_name="/etc/passwd"), "leads out of"),
        (changed(file_name="c.png"), "1 of 2 pictures are not in"),
        (changed(file_name="a\n.png"), "path of a picture"),
        (changed(height=41), "annotation is of one of 41 x 80"),
        (changed(bbox=[1, 2, 3]), "x, y, width, height"),
        (changed(bbox=[1, 2, -3, 4]), "should not be below 0"),
        (changed(bbox=[1, 2, 1e400, 4]), "Infinity is no JSON number"),
        (changed(bbox="x" * 9), "x, y, width, height"),
        (changed(image_id=99), "image_id is 99"),
        (changed(image_id=[1]), "should be a number"),
        (changed(category_id=3), "category_id is 3"),
        (changed(categories=[{"id": 18, "name": "wolf"}, {"id": 17, "name": "cat"}]), "wolf"),
        (changed(categories=[{"id": 1}, {"id": 1}]), "two categories have one id"),
        (lambda folder: voc(folder, BOMB), "document type"),
        (lambda folder: voc(folder, OUTSIDE), "document type"),
        (lambda folder: voc(folder, "<a>" * 40), "elements in elements"),
        (lambda folder: voc(folder, "<annotation>"), "cannot be read as XML"),
        (lambda folder: voc(folder, VOC.replace("dog", "wolf")), "'wolf' is no line"),
        (lambda folder: voc(folder, VOC.replace("<xmin>10<", "<xmin>ten<")), "xmin is 'ten'"),
        (lambda folder: voc(folder, VOC.replace("<xmin>10<", "<xmin>nan<")), "xmin is 'nan'"),
        (lambda folder: voc(folder, VOC.replace("<xmax>40<", "<xmax>4<")), "xmin <= xmax"),
        (lambda folder: voc(folder, VOC.replace("<width>80<", "<width>90<")), "annotation is of one of 40 x 90"),
        (lambda folder: yolo(folder, "1 10 20 30 40\n"), "shares of the picture"),
        (lambda folder: yolo(folder, "1.5 0 0 0 0\n"), "whole number"),
        (lambda folder: yolo(folder, "nan 0 0 0 0\n"), "whole number"),
        (lambda folder: yolo(folder, "1 0 0 0 0 0.9\n"), "6 columns"),
        (lambda folder: yolo(folder, "dog 0 0 0 0\n"), "should be class, x, y"),
    ],
)
def test_bad_annotations_are_named(write: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    write(tmp_path)
    json_file = (tmp_path / "marks.json").exists()
    with pytest.raises(DataError) as caught:
        load(tmp_path, annotations="marks.json" if json_file else "marks")
    assert message in str(caught.value)


def test_folders_that_do_not_fit(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "marks/b.xml").write_text(NOTHING)
    with pytest.raises(DataError, match=r"holds .txt and .xml"):
        load(tmp_path)
    (tmp_path / "marks/a.txt").unlink()
    (tmp_path / "marks/b.xml").rename(tmp_path / "marks/a.xml")
    with pytest.raises(DataError, match="1 of 2 pictures have no annotation"):
        load(tmp_path)
    (tmp_path / "marks/b.xml").write_text(NOTHING)
    with pytest.raises(DataError, match="no labels to number them"):
        load(tmp_path, names=())
    (tmp_path / "marks/a.xml").unlink()
    (tmp_path / "marks/a.xml").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match="leads out of"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"COCO .json or a folder"):
        load(tmp_path, annotations="images/a.png")


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    pictures(tmp_path / "images", "a.png")
    (tmp_path / "marks").mkdir()
    for image, message in (
        (Image.new("RGB", (80, 40)), "not their colours"),
        (Image.new("L", (40, 80)), "annotation is of one of 80 x 40"),
    ):
        image.save(tmp_path / "marks/a.png")
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert message in str(caught.value)

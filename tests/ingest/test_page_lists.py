"""Label files of pages: what they may hold, what is refused and how it is named, what each model takes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.core.errors import DataError
from edgeflow.core.preprocess import Preprocess
from edgeflow.ingest.page_lists import is_page_list, read_pages
from edgeflow.ingest.page_samples import Most, of_pages
from edgeflow.ingest.pictures import Way

SQUARE = [[10, 10], [50, 10], [50, 30], [10, 30]]
TALL = Most(8, 8, one_size=True)


def labelled(folder: Path, boxes: object, name: str = "p.png", encoding: str = "utf-8") -> Path:
    Image.fromarray(np.full((64, 96, 3), 200, np.uint8)).save(folder / "p.png")
    text = boxes if isinstance(boxes, str) else json.dumps(boxes, ensure_ascii=False)
    (folder / "labels.txt").write_bytes(f"{name}\t{text}\n".encode(encoding))
    return folder / "labels.txt"


def box(text: object = "文字", points: object = SQUARE, **more: object) -> dict[str, object]:
    return {"transcription": text, "points": points, **more}


def test_a_page_with_its_lines(tmp_path: Path) -> None:
    curved = [[0, 0], [20, 4], [40, 0], [40, 12], [20, 16], [0, 12]]
    path = labelled(tmp_path, [box(), box("###"), box("*"), box("曲", curved), box("暗", illegibility=True)])
    assert is_page_list(path)
    (page,) = read_pages(path, "evaluation data")
    assert [line.text for line in page.counted] == ["文字", "曲"]
    assert page.counted[0].box.tolist() == SQUARE
    assert page.counted[1].box.tolist() == [[0, 0], [40, 0], [40, 16], [0, 16]]
    (empty,) = read_pages(labelled(tmp_path, []), "evaluation data")
    assert empty.lines == ()


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([box(points=[[0, 0], [9, 0], [9, 9]])], "four or more pairs"),
        ([box(points=[[0, 0], [9, 9], [9, 0], [0, 9]])], "edges cross"),
        ([box(points=[[5, 5]] * 4)], "less than a pixel"),
        ([box(points=[[0, 0], [1e400, 0], [9, 9], [0, 9]])], "four or more pairs"),
        ([box(points=[[0, 0], ["x", 0], [9, 9], [0, 9]])], "four or more pairs"),
        ([box(text=7)], "no transcription"),
        ([{"points": SQUARE}], "no transcription"),
        ("[{", "no JSON"),
        ("[{}" + "[" * 100_000, "no JSON"),
    ],
)
def test_broken_boxes_are_named_with_their_line(tmp_path: Path, boxes: object, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_pages(labelled(tmp_path, boxes), "evaluation data")
    assert said in " ".join(caught.value.lines) and "line 1 (p.png)" in caught.value.lines[0]


def test_pictures_that_are_not_there_and_other_encodings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 1 pages") as caught:
        read_pages(labelled(tmp_path, [box()], name="missing.png"), "evaluation data")
    assert "does not exist" in caught.value.lines[0]
    for encoding, name in (("gb18030", "GB18030"), ("utf-16", "UTF-16")):
        path = labelled(tmp_path, [box()], encoding=encoding)
        assert is_page_list(path)
        with pytest.raises(DataError, match=f"no UTF-8.*reads as {name}") as caught:
            read_pages(path, "evaluation data")
        assert f"iconv -f {name} -t UTF-8" in caught.value.try_
    assert read_pages(labelled(tmp_path, [box()], encoding="utf-8-sig"), "evaluation data")[0].name == "p.png"


def test_each_model_takes_what_it_needs(tmp_path: Path) -> None:
    steps = Preprocess(resize="limit_long", size=(32, 4000))
    pages = read_pages(labelled(tmp_path, [box("一二"), box("###")]), "data")
    whole = of_pages(pages, steps, Way(pages_for="ocr_detect"), TALL, "data")
    assert whole.labels.shape == (1, 2, 9) and whole.labels[0, :, 0].tolist() == [0, 1]
    assert whole.labels[0, 0, 1:3].tolist() == pytest.approx([10 / 3, 5])  # 64 x 96 becomes 32 x 32
    lines = of_pages(pages, steps, Way(pages_for="ocr_recognise", dictionary=("一", "二")), TALL, "data")
    assert lines.labels.tolist() == [[1, 2]] and lines.pictures[0].shape == (20, 40, 3)
    both = of_pages(pages, steps, Way(pages_for="classify"), TALL, "data")
    assert both.labels.tolist() == [0, 1]
    assert np.array_equal(both.pictures[1], both.pictures[0][::-1, ::-1])


def test_pages_of_several_sizes_calibrate_together(tmp_path: Path) -> None:
    for name, size in (("a", (64, 96)), ("b", (64, 96)), ("c", (96, 64))):
        Image.fromarray(np.full((*size, 3), 100, np.uint8)).save(tmp_path / f"{name}.png")
    labels = "".join(f"{name}.png\t{json.dumps([box()])}\n" for name in "abc")
    (tmp_path / "labels.txt").write_text(labels, encoding="utf-8")
    pages, steps = read_pages(tmp_path / "labels.txt", "data"), Preprocess(resize="limit_long", size=(96, 4000))
    judged = of_pages(pages, steps, Way(pages_for="ocr_detect"), TALL, "data")
    assert [file.name for file in judged.pictures] == ["a.png", "b.png"]
    learnt = of_pages(pages, steps, Way(pages_for="ocr_detect"), Most(8, 8, one_size=False), "data").pictures
    assert isinstance(learnt, np.ndarray) and learnt.shape == (3, 3, 96, 96)
    assert learnt[2, 0].tolist() == [[100.0] * 64 + [0.0] * 32] * 96


def test_another_dictionary_and_boxes_outside_are_refused(tmp_path: Path) -> None:
    pages = read_pages(labelled(tmp_path, [box("一二"), box("甲")]), "data")
    steps = Preprocess()
    with pytest.raises(DataError, match="2 of 2 lines hold letters that the dictionary of 1 lines lacks"):
        of_pages(pages, steps, Way(pages_for="ocr_recognise", dictionary=("乙",)), TALL, "data")
    one = of_pages(pages, steps, Way(pages_for="ocr_recognise", dictionary=("一", "二")), TALL, "data")
    assert len(one.pictures) == 1  # a letter that it lacks in one line is the pipeline's to count
    far = read_pages(labelled(tmp_path, [box(points=[[200, 10], [250, 10], [250, 30], [200, 30]])]), "data")
    with pytest.raises(DataError, match="outside the picture, 96 x 64"):
        of_pages(far, steps, Way(pages_for="classify"), TALL, "data")

"""The program ocr on recorded models: it reads what Python reads with the same models, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from edgeflow.core.preprocess import Preprocess
from edgeflow.core.text_lines import LineRules
from edgeflow.core.text_map import BoxRules
from edgeflow.core.text_page import Line, PageModels, PageRules, TurnRules, read_page
from tests.demos.builds import built
from tests.demos.recordings import make_case, save_png

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DETECTOR = Preprocess(resize="limit_long", size=(96, 960), scale=1 / 255)
LINE = Preprocess(resize="text_line", size=(16, 48), scale=1 / 255, pad_in="input")
DICTIONARY = ("a", "b", "é")


class Recorder:
    """A model by a rule, and all that it was asked."""

    def __init__(self, rule: Callable[[np.ndarray], np.ndarray]) -> None:
        self.rule = rule
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.asked.append((x, self.rule(x)))
        return self.asked[-1][1]

    def write(self, folder: Path, width: int | None, rules: Preprocess, **rest: Any) -> None:
        asked = [pair for pair in self.asked if width is None or pair[0].shape[3] == width]
        inputs, outputs = (np.concatenate(side) for side in zip(*asked, strict=True))
        shape = [-1, 3, 16, width or -1] if rules.resize == "text_line" else [-1, 3, -1, -1]
        make_case(folder, [inputs], [outputs], rules=rules, shape=shape, **rest)


def detect(x: np.ndarray) -> np.ndarray:
    return np.asarray(x[:, 1:2] > 0.2, np.float32)


def classify(x: np.ndarray) -> np.ndarray:
    over = np.asarray(x[:, 0, 8, 10] > 0.8, np.float32)
    return np.stack([1 - over, over], 1)


def recognise(x: np.ndarray) -> np.ndarray:
    scores = np.zeros((len(x), 4, 4), np.float32)
    scores[:, 1, 1], scores[:, 2, 2], scores[:, 3, 3] = (x[:, 0, 8, k] + 0.01 for k in (2, 12, 22))
    return scores


def page(seed: int) -> np.ndarray:
    """Three lines of noise, one of them aslant and one bright at its left end, as one on its head."""
    random = np.random.default_rng(seed)
    picture = np.zeros((96, 128, 3), np.uint8)
    noise = random.integers(80, 180, picture.shape, dtype=np.uint8)
    y, x = np.mgrid[:96, :128]
    for there in ((y > 8) & (y < 22) & (x > 10) & (x < 40), (abs(y - 40 - x // 8) < 8) & (x > 20) & (x < 110)):
        picture[there] = noise[there]
    picture[70:88, 10:100], picture[70:88, 10:60] = 100, 255
    return picture


RULES = PageRules(
    BoxRules(box_thresh=0.5, unclip_ratio=0.5),
    LineRules(16, 48, batch=2, buckets=(48, 80)),
    DICTIONARY,
    turn=TurnRules(batch=2),
    detector=DETECTOR,
    classifier=LINE,
    recogniser=LINE,
)


def bundle(folder: Path) -> tuple[Path, list[list[Line]]]:
    """A pipeline of recordings with two golden pages, and what Python reads on them."""
    models = [Recorder(rule) for rule in (detect, classify, recognise)]
    pages = [read_page(page(seed), RULES, PageModels(*models)) for seed in (1, 2)]
    read_page(np.zeros((96, 128, 3), np.uint8), RULES, PageModels(*models))  # a page without text
    models[0].write(folder / "detector", None, DETECTOR)
    models[1].write(folder / "classifier", 48, LINE)
    for width in RULES.lines.buckets:
        models[2].write(folder / f"recogniser_{width}", width, LINE)
    (folder / "pages").mkdir()
    golden = []
    for seed, lines in zip((1, 2), pages, strict=True):
        save_png(folder / "pages" / f"page_{seed}.png", page(seed))
        rows = [{"text": line.text, "score": line.score, "box": line.quad.tolist()} for line in lines]
        golden.append({"picture": f"pages/page_{seed}.png", "lines": rows})
    (folder / "dictionary.txt").write_text("\n".join(DICTIONARY) + "\n")
    table = {
        "format": 1,
        "name": "cards",
        "target": "arm64",
        "detector": {"contract": "detector/contract.json", **asdict(RULES.boxes)},
        "classifier": {"contract": "classifier/contract.json", "thresh": 0.9, "turned": 1, "batch": 2},
        "recogniser": {
            "models": [{"contract": f"recogniser_{w}/contract.json", "width": w} for w in RULES.lines.buckets],
            **{key: value for key, value in asdict(RULES.lines).items() if key != "buckets"},
        },
        "dictionary": "dictionary.txt",
        "blank": 0,
        "rotate_exif": False,
        "golden": {"pages": golden, "different_max": 0.0},
    }
    (folder / "pipeline.json").write_text(json.dumps(table))
    return folder / "pipeline.json", pages


def test_a_pipeline_reads_a_folder_as_python_does(tmp_path: Path) -> None:
    """The recorded models know Python's own inputs alone, so an answer means the same bytes all the way."""
    pipeline, pages = bundle(tmp_path)
    save_png(tmp_path / "pages" / "page_3.png", np.zeros((96, 128, 3), np.uint8))
    (tmp_path / "pages" / "page_4.png").write_bytes(b"no picture")
    host = built("host")
    words = ("recorded_ocr", "--pipeline", pipeline, tmp_path / "pages")
    done = host.run(*words, "--json", "--draw", tmp_path / "drawn")
    assert done.returncode == 1 and "page_4.png: is no picture" in done.stderr
    report = json.loads(done.stdout)
    assert [entry["picture"] for entry in report["pictures"]] == [f"page_{k}.png" for k in (1, 2, 3, 4)]
    for entry, lines in zip(report["pictures"], [*pages, []], strict=False):
        assert [
            (line["text"], line["turned"], line["box"], line["score"], line["box_score"]) for line in entry["lines"]
        ] == [(line.text, line.turned, line.quad.tolist(), line.score, line.box_score) for line in lines]
        assert set(entry["times_ms"]) == {"detect", "boxes", "crop", "classify", "recognise", "total"}
    assert [line["turned"] for line in report["pictures"][0]["lines"]] == [False, False, True]
    assert len({line["text"] for entry in report["pictures"][:3] for line in entry["lines"]} - {""}) >= 1
    assert "error" in report["pictures"][3]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [f"page_{k}.png" for k in (1, 2, 3)]
    (tmp_path / "pages" / "page_4.png").unlink()
    done = host.run(*words, "--times")
    wanted = [
        row
        for k, lines in enumerate([*pages, []], 1)
        for row in (f"page_{k}.png", *(f"{line.score:8.4f}  {line.text}" for line in lines))
    ]
    assert done.stdout.splitlines() == wanted and done.stderr.count(" ms\n") == 3


def test_golden_pages_are_replayed(tmp_path: Path) -> None:
    pipeline, pages = bundle(tmp_path)
    host, many = built("host"), sum(map(len, pages))
    done = host.run("recorded_ocr", "--check", pipeline)
    assert (done.returncode, done.stdout) == (
        0,
        f"PASS: {many} of {many} lines on 2 pages are read as they should be\n",
    )
    table = json.loads(pipeline.read_text())
    table["golden"]["pages"][1]["lines"][0]["text"] += "x"
    pipeline.write_text(json.dumps(table))
    done = host.run("recorded_ocr", "--check", pipeline)
    assert done.returncode == 3 and done.stdout.startswith(f"FAIL: {many - 1} of {many} lines on 2 pages")
    assert f"should read '{pages[1][0].text}x'" in done.stdout
    table["golden"]["different_max"] = 1 / many
    pipeline.write_text(json.dumps(table))
    assert host.run("recorded_ocr", "--check", pipeline).returncode == 0
    del table["golden"]["pages"][1]["lines"][1]
    pipeline.write_text(json.dumps(table))
    assert "should read nothing there" not in host.run("recorded_ocr", "--check", pipeline).stdout.split(";")[0]
    assert host.run("recorded_ocr", "--check", pipeline).returncode == 3, "a line too many is a difference too"
    (tmp_path / "dictionary.txt").write_text("a\n")
    done = host.run("recorded_ocr", "--check", pipeline)
    assert done.returncode == 1 and "has 1 lines, and should have 3" in done.stderr
    assert host.run("recorded_ocr", "--check", tmp_path / "detector" / "contract.json").stdout.startswith("PASS: 1 out")


def test_classify_pads_a_line_at_the_right(tmp_path: Path) -> None:
    """As a classifier of directions was trained; the recorded model knows no other input."""
    line = np.random.default_rng(6).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    x = LINE.apply(line)[None]
    assert not x[..., 24:].any() and x[..., :24].any(), "24 wide at 16 high, then the border"
    contract = make_case(tmp_path, [x], [np.float32([[0.05, 0.95]])], rules=LINE, labels=["0", "180"])
    save_png(tmp_path / "line.png", line)
    done = built("host").run("recorded_classify", "--contract", contract, tmp_path / "line.png", "--top", 1)
    assert (done.returncode, done.stdout) == (0, "  0.9500  180\n"), done.stderr


@pytest.mark.parametrize(("width", "resize"), [(-1, "stretch"), (24, "stretch"), (-1, "text_line")])
def test_models_that_no_pipeline_connects(tmp_path: Path, width: int, resize: Literal["stretch", "text_line"]) -> None:
    picture = np.zeros((40, 64, 3), np.uint8)
    picture[4:13, 10:43] = np.random.default_rng(3).integers(80, 256, (9, 33, 3))
    recorded = Recorder(recognise)
    steps = Preprocess(resize=resize, size=(16, width if width > 0 else 80), pad_in="input" if width < 0 else "pixels")
    if resize == "stretch":
        steps = Preprocess(resize="stretch", size=(16, max(width, 1)))
    free = LineRules(16, 80 if resize == "text_line" else 1, 1024, batch=1)
    rules = PageRules(
        BoxRules(unclip_ratio=0.0),
        LineRules(16, 24, buckets=(24,)) if width > 0 else free,
        DICTIONARY,
        detector=DETECTOR,
        recogniser=steps,
        blank=-1 if width > 0 else 0,  # as the contract says, and else the first class
    )
    finds = Recorder(detect)
    [wanted] = read_page(picture, rules, PageModels(finds, recognise=recorded))
    finds.write(tmp_path / "detector", None, DETECTOR)
    make_case(
        tmp_path / "recogniser",
        [recorded.asked[0][0]],
        [recorded.asked[0][1]],
        rules=steps,
        labels=list(DICTIONARY),
        shape=[-1, 3, 16, width],
    )
    if width > 0:
        contract = tmp_path / "recogniser" / "contract.json"
        said = [{"kind": "ctc", "why": "[metric] blank", "blank": -1}]
        contract.write_text(json.dumps({**json.loads(contract.read_text()), "kinds": said}))
    save_png(tmp_path / "picture.png", picture)
    words = [f"--{part}={tmp_path / part / 'contract.json'}" for part in ("detector", "recogniser")]
    done = built("host").run("recorded_ocr", *words, "--unclip=0", "--json", tmp_path / "picture.png")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    assert (found["text"], found["score"]) == (wanted.text, wanted.score)
    assert found["box"] == [[10, 4], [42, 4], [42, 12], [10, 12]]
    for words, text in (
        (["--detector=x"], "--pipeline, or --detector and --recogniser should be given"),
        (["--model=x.nb"], "--model names one model"),
        (["--pipeline=x", "--detector=y"], "the pipeline names it already"),
    ):
        done = built("host").run("recorded_ocr", *words, tmp_path / "picture.png")
        assert done.returncode == 2 and text in done.stderr

"""A pipeline's recipe for a folder of text models that came without one: `edgeflow init --from`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.core.errors import EdgeflowError, ModelError
from edgeflow.files.atomic import write_new
from edgeflow.flow.from_model import LABELS, toml_text
from edgeflow.graph import program as programs
from edgeflow.ingest.given_model import GivenModel, is_model, look_at_model
from edgeflow.pipelines.recipe import PARTS, TASKS, Part
from edgeflow.project.label_file import lines_of
from edgeflow.project.places import RECIPE
from edgeflow.project.recipe import LABELS_MAX_BYTES

FOLDERS_MAX = 64
"""Folders looked at: more lie in no collection of models that make one answer."""

WORDS = {
    "detector": re.compile(r"(?<![a-z])det(?![a-z])"),
    "classifier": re.compile(r"(?<![a-z])(cls|textline_ori)(?![a-z])"),
    "recogniser": re.compile(r"(?<![a-z])rec(?![a-z])"),
}
"""Names that PaddleOCR's exports have: ch_PP-OCRv4_det_infer, ch_ppocr_mobile_v2_cls_infer, en_PP-OCRv3_rec."""

SIZES = {"classifier": (48, 192), "recogniser": (48, 320)}
"""Height and width of a line. Source: PaddleOCR 2.7's cls_image_shape and rec_image_shape for PP-OCRv4."""

IMAGE_NET = (("mean", [0.485, 0.456, 0.406]), ("std", [0.229, 0.224, 0.225]))
HALVES = (("mean", [0.5, 0.5, 0.5]), ("std", [0.5, 0.5, 0.5]))
"""Source: PaddleOCR 2.7, NormalizeImage of its detectors, and resize_norm_img of its recognisers and classifiers."""


@dataclass(frozen=True, slots=True)
class _Dictionary:
    path: Path
    space: bool


def parts_in(folder: Path) -> dict[Part, Path]:
    """The text models in the folders of a folder; none where it is a model itself, or they make no pipeline.

    Raises:
        ModelError: two folders hold a model for the same part.
    """
    if not folder.is_dir() or is_model(folder):
        return {}
    found: dict[Part, Path] = {}
    for place in sorted(child for child in folder.iterdir() if child.is_dir())[:FOLDERS_MAX]:
        part = _part_of(place) if is_model(place) else None
        if part is None:
            continue
        if part in found:
            raise ModelError(
                f"{folder}: {found[part].name} and {place.name} are both a {part}, and one of them should be",
                try_="a folder with one model of each part, or edgeflow init --from one of the models",
            )
        found[part] = place
    return found if len(found) > 1 and ("detector" in found or "recogniser" in found) else {}


def write_pipeline_from(folder: Path, parts: Mapping[Part, Path], out: Path) -> list[Path]:
    """Write the edgeflow.toml of a pipeline of these models, and the dictionary where it lies beside them.

    Raises:
        ModelError: a model cannot be read.
        StorageError: a file exists already, or the folder is not writable.
    """
    dictionary: dict[str, bytes] = {}
    lines = [
        f"# {RECIPE} of a pipeline, made from the models in {folder.name}: pages in, text out",
        f"name = {toml_text(out.resolve().name)}",
        "",
        "[project]",
        'targets = ["arm64"]',
        "",
        '[data] # PaddleOCR\'s label files: path<TAB>[{"transcription": "text", "points": [[x, y], ...]}]',
        'evaluation = "pages/test.txt"',
        '# calibration = "pages/calibration.txt" # for int8: other pages than those that judge',
        "",
        "[pipeline]",
        "page = [640, 640] # for NPUs, which take one size: pages are made to fit",
        "widths = [160, 320, 480, 640] # for the same: a recogniser for each of these widths of a line",
    ]
    for part in PARTS:
        if part in parts:
            lines += _table(part, parts[part], folder, out, dictionary)
    files = {**dictionary, RECIPE: ("\n".join(lines) + "\n").encode()}
    return write_new(out, dict(sorted(files.items())), "edgeflow init --from MODELS ANOTHER_FOLDER")


def _part_of(place: Path) -> Part | None:
    """By what the file beside the model says, else by the folder's name."""
    try:
        task = look_at_model(place).described.task
    except EdgeflowError:
        task = None
    said: list[Part] = [part for part in PARTS if task is not None and TASKS[part] == task.value]
    named: list[Part] = [part for part in PARTS if WORDS[part].search(place.name.lower())]
    if said and (said[0] != "classifier" or named == ["classifier"]):
        return said[0]
    return named[0] if task is None and len(named) == 1 else None


def _table(part: Part, place: Path, folder: Path, out: Path, dictionary: dict[str, bytes]) -> list[str]:
    """The tables of one model; a dictionary that belongs to it is added to `dictionary`."""
    given = look_at_model(place)
    if len(given.inputs) != 1:
        raise ModelError(f"{place}: has {len(given.inputs)} inputs, and a {part} should have one, which is a picture")
    name = toml_text(given.inputs[0].name)
    lines = ["", f"[pipeline.{part}]", f"from = {toml_text(os.path.relpath(place.resolve(), out.resolve()))}"]
    described = bool(given.described.steps)
    if part == "recogniser" and not given.described.labels:
        lines += ["", f"[pipeline.{part}.model]", *_labels(given, folder, dictionary)]
    dims = next(iter(programs.feeds(given.files.program)))[1]
    lines += ["", f"[pipeline.{part}.inputs.{name}]", f"shape = {_shape(part, dims)} # -1: any size, on ARM"]
    if part == "detector":
        lines += [
            "",
            f"[pipeline.{part}.inputs.{name}.preprocess]",
            'resize = "limit_long" # a page in its own size, sides to a multiple of 32, at most 960 pixels long',
            "size = [960, 4000]",
        ]
    elif not described:
        lines += ["", f"[pipeline.{part}.inputs.{name}.preprocess]", 'resize = "text_line"']
        lines += [f"size = {list(SIZES[part])}", 'pad_in = "input"']
    if not described:
        lines += ['colour = "BGR" # this and what follows: as PaddleOCR 2.7 has it, nothing beside the model says it']
        lines += [f"scale = {1 / 255}"]
        lines += [f"{key} = {value}" for key, value in (IMAGE_NET if part == "detector" else HALVES)]
    return lines


def _shape(part: Part, dims: tuple[int, ...]) -> list[int]:
    """The program's own sizes; open ones stay open, but what pre-processing fixes."""
    height, width = SIZES.get(part, (-1, -1))
    fixed = (-1, 3, height, width if part == "classifier" else -1)
    return [own if own > 0 else usual for own, usual in zip(dims, fixed, strict=True)]


def _labels(given: GivenModel, folder: Path, dictionary: dict[str, bytes]) -> list[str]:
    """The only dictionary in there that fits the recogniser's classes."""
    found = [
        _Dictionary(path, lines + 2 == given.last_width)
        for path in sorted((*folder.glob("*.txt"), *folder.glob("*/*.txt")))[:FOLDERS_MAX]
        if path.stat().st_size <= LABELS_MAX_BYTES
        and (lines := len(lines_of(path.read_bytes()))) + 1 <= (given.last_width or 0) <= lines + 2
    ]
    if len(found) != 1:
        classes = given.last_width or "its"
        return [f'labels = "dictionary.txt" # {len(found)} files here fit {classes} classes; give the one that does']
    dictionary[LABELS] = found[0].path.read_bytes()
    said = f"labels = {toml_text(LABELS)} # {found[0].path.name}, which fits {given.last_width} classes, the blank one"
    return [said, *(["space = true # and the space another"] if found[0].space else [])]

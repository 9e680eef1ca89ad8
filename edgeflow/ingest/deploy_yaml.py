"""What the YAML beside an exported model says of it: how a picture becomes its input, its task and its labels.

Read: `inference.yml` of PaddleX and PaddleOCR 3, `inference_cls.yaml` of PaddleClas, `infer_cfg.yml` of PaddleDetection
and `deploy.yaml` of PaddleSeg. Their steps have the same meaning under several names; a step that the contract cannot
say is named, never guessed. Source: files that these exporters wrote, and their deploy/python/preprocess.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeflow.core.errors import BackendMissing, ModelError
from edgeflow.core.preprocess import SIDE_MAX

FILES = ("inference.yml", "inference_cls.yaml", "infer_cfg.yml", "deploy.yaml", "inference.yaml")
YAML_MAX_BYTES = 1 << 21
"""PP-OCRv5's with its dictionary of 18,383 characters takes 0.15 MB."""

DETECT_LONGEST = 4000
"""Pixels of the longer side of a picture that text is looked for in. Source: PaddleX 3.0, DetResizeForTest."""

STEPS_MAX, LABELS_MAX = 64, 200_000
AGAIN = "download or export the model again, or write the recipe by hand: edgeflow init"

Args = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """One value taken from a file, and where it stands there."""

    value: Any
    source: str


@dataclass(slots=True)
class Described:
    """What a file said. `steps` are fields of [inputs.NAME.preprocess]; `left_out` says what was not taken over, a
    sentence each.
    """

    file: str = ""
    name: str | None = None
    task: Fact | None = None
    labels: tuple[str, ...] = ()
    labels_source: str = ""
    steps: dict[str, Fact] = field(default_factory=dict)
    sizes: dict[str, Fact] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_deploy_yaml(folder: Path) -> Described:
    """What lies in a model's folder; of nothing, nothing is said.

    Raises:
        ModelError: a file is too large, no YAML, or a value is none that the exporter writes.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        return Described()
    found = Described(file=path.name)
    try:
        document = _load(path)
        _read(document, found)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as err:
        raise ModelError(
            f"{path}: does not say what its exporter says ({type(err).__name__}: {str(err)[:120]})", try_=AGAIN
        ) from err
    return found


def _load(path: Path) -> Any:
    """The document with all its values as text, so that no character of a dictionary becomes a number."""
    try:
        import yaml
    except ImportError as err:
        raise BackendMissing(f"{path}: reading it needs PyYAML", try_="pip install 'edgeflow[build]'") from err
    loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        if path.stat().st_size > YAML_MAX_BYTES:
            raise ModelError(f"{path}: is larger than {YAML_MAX_BYTES} bytes, which no description of a model is")
        return yaml.load(path.read_bytes(), Loader=loader)  # a base loader makes text, lists and mappings alone
    except OSError as err:
        raise ModelError(f"{path}: cannot be read ({err.strerror})") from err
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise ModelError(f"{path}: is no YAML ({str(err).splitlines()[0][:120]})", try_=AGAIN) from err


def _read(document: Any, found: Described) -> None:
    where = found.file
    if "Deploy" in document:
        deploy = document["Deploy"]
        found.task = None
        found.notes.append(f"{where}: PaddleSeg; classes of a map")
        _steps(
            [(step["type"], step) for step in _list(deploy.get("transforms", []))], f"{where} Deploy.transforms", found
        )
        return
    if "arch" in document or "label_list" in document:
        found.name = str(document.get("arch", "")) or None
        _steps([(step["type"], step) for step in _list(document.get("Preprocess", []))], f"{where} Preprocess", found)
        _labels(document.get("label_list", []), f"{where} label_list", found)
        found.left_out.append(f"{where}: boxes are decoded by the model; the program on the device gives .npy files")
        return
    world = document.get("Global")
    found.name = str(world["model_name"]) if isinstance(world, dict) and "model_name" in world else None
    steps = [next(iter(step.items())) for step in _list((document.get("PreProcess") or {}).get("transform_ops", []))]
    _steps([(name, args if isinstance(args, dict) else {}) for name, args in steps], f"{where} PreProcess", found)
    _post(document.get("PostProcess") or {}, f"{where} PostProcess", found)


def _post(post: Args, where: str, found: Described) -> None:
    name = str(post.get("name", "")) or next(iter(post), "")
    own = post.get(name)
    args: Args = own if isinstance(own, dict) else post
    if name == "CTCLabelDecode":
        found.task = Fact("ocr_recognise", f"{where}.name")
        _labels(args.get("character_dict", []), f"{where}.character_dict", found)
    elif name == "DBPostProcess":
        found.task = Fact("ocr_detect", f"{where}.name")
        values = {key: _number(args[key]) for key in ("thresh", "box_thresh", "unclip_ratio") if key in args}
        found.notes.append(
            f"{where}: {', '.join(f'{key} {value:g}' for key, value in values.items())}; options of edgeflow-ocr"
        )
    elif name in ("Topk", "ThreshOutput", "MultiLabelThreshOutput"):
        if name == "Topk":
            found.task = Fact("classify", f"{where}.{name}")
        _labels(args.get("label_list", []), f"{where}.{name}.label_list", found)
        if args.get("class_id_map_file") not in (None, "null", ""):
            found.left_out.append(f"{where}.{name}.class_id_map_file: labels lie in a file of its own; name a copy")
    elif name and name != "null":
        found.left_out.append(f"{where}.{name}: post-processing that the device programs do not have")


def _labels(given: Any, where: str, found: Described) -> None:
    labels = tuple(str(label) for label in _list(given, LABELS_MAX))
    if any("\n" in label or "\r" in label for label in labels):
        raise ValueError("a label holds a line break")
    if labels:
        found.labels, found.labels_source = labels, where


def _steps(steps: list[tuple[Any, Any]], where: str, found: Described) -> None:
    for name, args in steps[:STEPS_MAX]:
        name = str(name)
        if name in STEPS:
            STEPS[name](args, f"{where}.{name}", found)
        elif not name.endswith(("LabelEncode", "KeepKeys", "ToCHWImage", "Permute")):
            found.left_out.append(f"{where}.{name}: a step that the contract cannot say")


def _decode(args: Args, where: str, found: Described) -> None:
    if str(args.get("img_mode", "")) in ("RGB", "BGR", "GRAY"):
        found.steps["colour"] = Fact(str(args["img_mode"]), f"{where}.img_mode")


def _normalise(args: Args, where: str, found: Described) -> None:
    scale = _number(args["scale"]) if "scale" in args and args["scale"] not in ("None", "null") else 1 / 255
    scaled = str(args.get("is_scale", "true")).lower() != "false"
    plain = str(args.get("norm_type", "mean_std")) == "none"
    for name, default in (("mean", 0.5), ("std", 0.5)):
        values = [_number(value) for value in _list(args[name])] if name in args else [default] * 3
        found.steps[name] = Fact([0.0 if name == "mean" else 1.0] * len(values) if plain else values, f"{where}.{name}")
    found.steps["scale"] = Fact(scale if scaled else 1.0, f"{where}.{'scale' if 'scale' in args else 'is_scale'}")


def _resize_image(args: Args, where: str, found: Described) -> None:
    """PaddleClas: `size` is width and height, or both; `resize_short` the shorter side."""
    if "resize_short" in args:
        side = _side(args["resize_short"])
        found.steps["resize"] = Fact("short_side", f"{where}.resize_short")
        found.steps["size"] = Fact([side, side], f"{where}.resize_short")
    else:
        pair = args["size"]
        width, height = (_side(v) for v in pair) if isinstance(pair, list) else (_side(pair), _side(pair))
        found.steps["resize"] = Fact("stretch", f"{where}.size")
        found.steps["size"] = Fact([height, width], f"{where}.size")
    _filter(args, where, found)


def _crop(args: Args, where: str, found: Described) -> None:
    size = args["size"]
    width, height = (_side(v) for v in size) if isinstance(size, list) else (_side(size), _side(size))
    found.steps["crop"] = Fact([height, width], f"{where}.size")


def _resize(args: Args, where: str, found: Described) -> None:
    """PaddleDetection gives height and width, PaddleSeg (deploy.yaml) width and height."""
    size = args["target_size"]
    pair = [_side(v) for v in size] if isinstance(size, list) else [_side(size)] * 2
    if found.file == "deploy.yaml":
        pair.reverse()
    keep = str(args.get("keep_ratio", "false")).lower() == "true"
    found.steps["resize"] = Fact("letterbox_left" if keep else "stretch", f"{where}.keep_ratio")
    found.steps["size"] = Fact(pair, f"{where}.target_size")
    if keep:
        found.steps["pad_in"] = Fact("input", f"{where}.keep_ratio: inputs are filled with 0 after all other steps")
    _filter(args, where, found)


def _recognise(args: Args, where: str, found: Described) -> None:
    """PaddleOCR, lines and their direction: the height given, the ratio kept, 0 at the right; (pixel / 255 - 0.5) / 0.5
    comes with it.
    """
    _, height, width = (_side(v) for v in _list(args["image_shape"]))
    found.steps["resize"] = Fact("text_line", where)
    found.steps["size"] = Fact([height, width], f"{where}.image_shape")
    for name, value in (("scale", 1 / 255), ("mean", [0.5] * 3), ("std", [0.5] * 3), ("pad_in", "input")):
        found.steps[name] = Fact(value, f"{where}, which implies it")


def _detect(args: Args, where: str, found: Described) -> None:
    """PaddleOCR: a side's limit, then multiples of 32. A file of one size takes the picture at its top left corner.

    PaddleX reads `resize_long` as a limit of the longer side (3.0, text_detection/predictor.py), PaddleOCR takes the
    limit of the shorter one where no type is said.
    """
    key = next((k for k in ("resize_long", "limit_side_len") if k in args), None)
    if key is None and "image_shape" in args:
        found.steps["size"] = Fact([_side(v) for v in _list(args["image_shape"])[-2:]], f"{where}.image_shape")
        if str(args.get("keep_ratio", "false")).lower() == "true":
            found.left_out.append(f"{where}.keep_ratio: the width follows the picture, and is that of image_shape here")
    else:
        side = max(32, _side(args[key]) // 32 * 32) if key else 960
        found.steps["size"] = Fact([side, side], f"{where}.{key}" if key else f"{where}, whose default it is")
        kind = str(args.get("limit_type", "min" if key == "limit_side_len" else "max"))
        if kind not in ("max", "min"):
            found.left_out.append(f"{where}.limit_type {kind[:20]}: max and min are known")
        limit = _side(args[key]) if key else 960
        longest = max(limit, _side(args.get("max_side_limit", DETECT_LONGEST)))
        found.notes.append(
            f'{where}: where the file takes any size, it is resize = "limit_{"short" if kind == "min" else "long"}", '
            f"size = [{limit}, {longest}] and shape = [-1, 3, -1, -1]"
        )
    found.steps["resize"] = Fact("letterbox_left" if key or "image_shape" not in args else "stretch", where)


def _filter(args: Args, where: str, found: Described) -> None:
    """Names and OpenCV's numbers; what stands nowhere is linear."""
    key = "interp" if "interp" in args else "interpolation"
    given = str(args.get(key, "1"))
    kind = FILTERS.get(given.upper())
    if kind is None:
        found.left_out.append(f"{where}.{key} {given[:20]}: the contract has linear, cubic and area")
    elif kind != "linear":
        found.steps["interpolation"] = Fact(kind, f"{where}.{key}")
    if str(args.get("backend", "cv2")) != "cv2":
        found.left_out.append(f"{where}.backend {str(args['backend'])[:20]}: pictures are resized as OpenCV does it")


def _around(args: Args, where: str, found: Described) -> None:
    """PaddleDetection's trackers: in the middle of a border of 127.5, interpolated as INTER_AREA; size as Resize."""
    _resize({"target_size": args["target_size"]}, where, found)
    for name, value in (("resize", "letterbox"), ("interpolation", "area"), ("pad_value", 127.5)):
        found.steps[name] = Fact(value, f"{where}, which implies it")


def _left_out(args: Args, where: str, found: Described) -> None:
    found.left_out.append(f"{where}: a border up to a multiple, which an input of one size does not need")


FILTERS = {
    **dict.fromkeys(("1", "LINEAR", "BILINEAR", "NONE", "NULL"), "linear"),
    **dict.fromkeys(("2", "CUBIC", "BICUBIC"), "cubic"),
    **dict.fromkeys(("3", "AREA"), "area"),
}
"""Source: OpenCV 4.8, cv::InterpolationFlags; PaddleClas 2.5 and PaddleSeg 2.8, `interpolation` and `interp`."""

STEPS: dict[str, Callable[[Args, str, Described], None]] = {
    "DecodeImage": _decode,
    "NormalizeImage": _normalise,
    "Normalize": _normalise,
    "ResizeImage": _resize_image,
    "CropImage": _crop,
    "Resize": _resize,
    "LetterBoxResize": _around,
    "RecResizeImg": _recognise,
    "ClsResizeImg": _recognise,
    "DetResizeForTest": _detect,
    "PadStride": _left_out,
}


def _list(given: Any, most: int = 4096) -> list[Any]:
    if given in (None, "", "null"):
        return []
    if not isinstance(given, list) or len(given) > most:
        raise ValueError("a list was expected, of no more than is usual")
    return given


def _number(text: Any) -> float:
    """A number, or a quotient such as 1./255."""
    above, _, below = str(text).partition("/")
    value = float(above) / (float(below) if below else 1.0)
    if not math.isfinite(value):
        raise ValueError(f"{str(text)[:40]!r} is no finite number")
    return value


def _side(text: Any) -> int:
    side = int(str(text))
    if not 0 < side <= SIDE_MAX:
        raise ValueError(f"a side has {side} pixels")
    return side

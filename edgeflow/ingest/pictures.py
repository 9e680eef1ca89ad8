"""Raw pictures as data: arrays, files or a folder of files, made into inputs by the recipe's pre-processing.

A picture file gives the pixels that it stores. EXIF rotation (unless a recipe says otherwise), colour profiles and
transparency are left out, as the device programs leave them out (edgeflow/demos/picture.cpp).
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import BackendMissing, DataError, EdgeflowError
from edgeflow.core.preprocess import PIXELS_MAX, SIDE_MAX, Preprocess
from edgeflow.core.ragged import stacked
from edgeflow.core.samples import Array
from edgeflow.core.settings import IngestSettings
from edgeflow.ingest.texts import Texts

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
"""What the device programs read."""
FILE_MAX_BYTES = 1 << 26
ORIENTATION, UPRIGHT = 274, 1
"""EXIF's tag, and the value of a picture that lies as it is stored. Source: Exif 2.32."""
JPEG_END, JPEG_TAIL_BYTES = b"\xff\xd9", 4096
"""The marker EOI, and where it is looked for."""
CLASSES_MAX = 1 << 16
"""More than these are no classes but dates or numbers of files."""
BAD_SHOWN = 10
SMALLEST_OF = 4
"""Of so many first samples the smallest picture travels with the model."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A raw picture, uint8[H, W, 3] RGB, and the number of the sample that was made of it."""

    sample: int
    pixels: Array


@dataclass(frozen=True, slots=True)
class Way:
    """What is done about pictures that lie (`upright` turns them as EXIF says), and about those that cannot be read.

    `dictionary`: the letters of a text recogniser, for lists whose labels are texts; `blank_last`: of its classes.
    `annotations`: where those of the pictures lie, relative to the recipe's folder; `names`: of their classes;
    `shares`: the model's boxes count in shares of its input.
    `pages_for`: the task of the model, where label files of pages feed it (ingest/page_samples.py).
    `texts`: what makes inputs of texts instead.
    """

    upright: bool = False
    skip_bad: bool = False
    dictionary: tuple[str, ...] = ()
    blank_last: bool = False
    annotations: str | None = None
    names: tuple[str, ...] = ()
    shares: bool = False
    pages_for: str | None = None
    texts: Texts | None = None


AS_STORED = Way()


def way_of(settings: IngestSettings) -> Way:
    """What a recipe says of its pictures."""
    return Way(
        settings.exif == "apply",
        settings.skip_bad,
        settings.dictionary,
        settings.blank_last,
        settings.annotations,
        settings.names,
        settings.shares,
        settings.pages_for,
    )


@dataclass(frozen=True, slots=True)
class Made:
    """Inputs made of pictures, float32[samples, ...], and the smallest of the first few pictures.
    Of several sizes: core/ragged.py.

    `kept`: numbers of the pictures that could be read, `sides` height and width of each; `bad` says of the others why
    not; `rotated` counts those that EXIF says to turn.
    """

    inputs: Array
    picture: Picture | None
    kept: tuple[int, ...]
    bad: tuple[str, ...] = ()
    rotated: int = 0
    sides: tuple[tuple[int, int], ...] = ()


def load_picture(path: Path, *, upright: bool = False) -> Array:
    """Read a PNG, JPEG or BMP as uint8[H, W, 3], RGB; see read_picture.

    Args:
        upright: turn it as its EXIF orientation says, as cv2.imread does.
    """
    pixels, orientation = read_picture(path)
    return turned(pixels, orientation) if upright else pixels


def read_picture(path: Path) -> tuple[Array, int]:
    """Read a PNG, JPEG or BMP as it is stored, uint8[H, W, 3], RGB, and its EXIF orientation, 1 to 8.

    Raises:
        DataError: missing, damaged, or larger than the device programs take.
        BackendMissing: Pillow is not installed.
    """
    Image = _pillow(path)  # noqa: N806  (as Pillow calls it)
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise DataError(f"{path}: is larger than {FILE_MAX_BYTES} bytes, which the device programs do not read")
        with warnings.catch_warnings(), path.open("rb") as stream:
            warnings.simplefilter("ignore")  # the bounds that count are the device's, below
            with Image.open(stream, formats=["BMP", "JPEG", "PNG"]) as image:
                width, height = image.size
                if max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
                    raise DataError(
                        f"{path}: is {height} x {width}, and should have sides of at most {SIDE_MAX} and "
                        f"{PIXELS_MAX} pixels"
                    )
                if image.mode.startswith("I"):  # 16 bits: the upper 8 count, as on the device; Pillow would clip
                    gray = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
                    pixels = np.repeat(gray[:, :, None], 3, axis=2)
                else:
                    pixels = np.array(image.convert("RGB"))
                return pixels, _orientation(image)
    except EdgeflowError:
        raise
    except OSError as err:  # Pillow's own errors are children of it
        raise DataError(
            f"{path}: cannot be read as a picture ({err.strerror or err}), and should be PNG, JPEG or BMP"
        ) from err
    except (ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as err:
        raise DataError(f"{path}: is no readable picture ({err}), and should be PNG, JPEG or BMP") from err


def turned(pixels: Array, orientation: int) -> Array:
    """A picture upright, by EXIF's orientation. Source: Exif 2.32, 4.6.4 A, tag 274; cv2.imread does the same."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a picture file shows before its pixels are decoded: what is wrong with it, and its EXIF orientation."""

    problem: str = ""
    orientation: int = UPRIGHT


def glance(path: Path) -> Glance:
    """Look at a picture file: its head, its checksums or its end. Not whether every pixel can be decoded.

    Raises:
        BackendMissing: Pillow is not installed.
    """
    image_module = _pillow(path)
    try:
        with warnings.catch_warnings(), path.open("rb") as stream:
            warnings.simplefilter("ignore")
            with image_module.open(stream, formats=["BMP", "JPEG", "PNG"]) as image:
                turned = _orientation(image)
                kind = image.format
                if kind == "PNG":
                    image.verify()  # checksums of all its chunks
            if kind == "JPEG":
                stream.seek(max(0, path.stat().st_size - JPEG_TAIL_BYTES))
                if JPEG_END not in stream.read():
                    load_picture(path)  # raises where it is cut off, and not where somebody wrote behind its end
    except EdgeflowError as err:
        return Glance(err.what.removeprefix(f"{path}: "))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, image_module.DecompressionBombError) as err:
        said = "it does not begin as one" if str(err).startswith("cannot identify") else str(err)
        return Glance(f"is no readable picture ({said})")
    return Glance("", turned)


def _orientation(image: Any) -> int:
    """EXIF's orientation, 1 to 8, as the file's head has it; 1 where it says nothing."""
    raw = image.info.get("exif")
    if not raw:
        return UPRIGHT
    try:
        exif = type(image.getexif())()
        exif.load(raw)
        found = exif.get(ORIENTATION, UPRIGHT)
    except Exception:  # whatever a damaged tag does to Pillow's parser: it turns no picture
        return UPRIGHT
    return found if found in range(1, 9) else UPRIGHT


def _pillow(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError as err:
        raise BackendMissing(
            f"{path}: reading pictures needs Pillow, which is not installed", try_="pip install 'edgeflow[build]'"
        ) from err
    return Image


def are_pictures(value: Any) -> bool:
    """Raw pictures, whatever their size: bytes, arrays of bytes, or names of files. Not whether they are good ones."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return bool(value.dtype == np.uint8 or value.dtype.kind == "U")
    if not isinstance(value, (list, tuple, np.ndarray)) or not len(value):
        return False
    first = value[0]
    return isinstance(first, (str, os.PathLike)) or (isinstance(first, np.ndarray) and first.dtype == np.uint8)


def make_inputs(
    pictures: Sequence[Any] | Array,
    steps: Preprocess,
    folder: Path,
    where: str,
    way: Way = AS_STORED,
    *,
    sizes: bool = False,
) -> Made:
    """Pre-process pictures one by one: uint8[N, H, W, 3], or a list of uint8[H, W, 3] and of paths that start at
    `folder`.

    Args:
        sizes: the input takes several (core/ragged.py).

    Raises:
        DataError: pictures cannot be read (all of them are named) or do not suit, or inputs of several sizes come out.
    """
    if not len(pictures):
        raise DataError(f"{where}: holds no picture")
    inputs: Array | None = None
    several: list[Array] = []
    smallest: Picture | None = None
    kept: list[int] = []
    sides: list[tuple[int, int]] = []
    bad: list[DataError] = []
    rotated = 0
    for k, item in enumerate(pictures):
        at = f"{where}: picture {k}" + (f" ({os.fspath(item)!r})" if isinstance(item, (str, os.PathLike)) else "")
        try:
            pixels, lies = _pixels(item, folder, way)
        except DataError as err:
            bad.append(err)
            continue
        rotated += lies
        try:
            made = steps.apply(pixels)
        except DataError as err:
            raise DataError(f"{at}: {err.what.removeprefix('picture: ')}", try_=err.try_) from err
        if inputs is None:
            inputs = np.empty((len(pictures), *made.shape), made.dtype)
        if several or (sizes and made.shape != inputs.shape[1:]):
            several = several or [np.ascontiguousarray(inputs[k : k + 1]) for k in range(len(kept))]
            several.append(made[None])
        elif made.shape != inputs.shape[1:]:
            raise DataError(
                f"{at}: becomes {list(made.shape)}, and should become {list(inputs.shape[1:])}, as the first did",
                try_="a resize and crop that give one size, such as resize = 'stretch'; or -1 for those sizes in the "
                "input's shape, where the model takes any",
            )
        else:
            inputs[len(kept)] = made
        if len(kept) < SMALLEST_OF and (smallest is None or pixels.size < smallest.pixels.size):
            smallest = Picture(len(kept), pixels)
        kept.append(k)
        sides.append((pixels.shape[0], pixels.shape[1]))
    if bad and not (way.skip_bad and kept):
        raise unreadable(where, [err.what for err in bad], len(pictures))
    assert inputs is not None
    whole = stacked(several, where) if several else inputs[: len(kept)]
    return Made(whole, smallest, tuple(kept), tuple(err.what for err in bad), rotated, tuple(sides))


def _pixels(item: Any, folder: Path, way: Way) -> tuple[Array, bool]:
    """uint8[H, W, 3], and whether EXIF says that a file's picture lies otherwise than it is stored."""
    if not isinstance(item, (str, os.PathLike)):
        return np.asarray(item), False
    pixels, orientation = read_picture(folder / item)
    return (turned(pixels, orientation) if way.upright else pixels), orientation != UPRIGHT


def unreadable(where: str, problems: Sequence[str], count: int) -> DataError:
    """Pictures that cannot be read, as one error that names them."""
    if len(problems) == 1 and count == 1:
        return DataError(f"{where}: {problems[0]}")
    rest = len(problems) - BAD_SHOWN
    return DataError(
        f"{where}: {len(problems)} of {count} pictures cannot be read",
        try_="mend them or take them away; --skip-bad, or skip_bad = true under [data], leaves them out",
        lines=[*problems[:BAD_SHOWN], *([f"… and {rest} more"] if rest > 0 else [])],
    )


def class_folders(folders: Sequence[Path], where: str) -> list[tuple[int, Path]]:
    """Sub-folders with their classes: whole numbers are the classes that they say; other names count from 0, sorted.

    Names that end in numbers, such as class2 and class10, sort by the number.

    Raises:
        DataError: two folders are the same number (1 and 01), or numbers stand beside names, so that no order is sure.
    """
    numbers = {path: int(path.name) for path in folders if path.name.isdecimal()}
    if numbers and len(numbers) < len(folders):
        odd = next(path.name for path in folders if path not in numbers)
        number = next(iter(numbers)).name
        raise DataError(
            f"{where}: class folders are numbers such as {number!r} and names such as {odd!r}, in no sure order",
            try_="either numbers, which are the classes, or names",
        )
    if len(set(numbers.values())) < len(numbers):
        raise DataError(
            f"{where}: two class folders are one number, such as 1 and 01", try_="one folder a class, numbered from 0"
        )
    if any(number >= CLASSES_MAX for number in numbers.values()):
        raise DataError(f"{where}: a class folder is called {max(numbers.values())}, which no model has classes for")
    if numbers:
        return sorted((number, path) for path, number in numbers.items())
    return list(enumerate(sorted(folders, key=lambda path: natural(path.name))))


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts the numbers in names as numbers: class2 before class10."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", name) if part
    ] + [(2, 0, name)]


def folder_of_pictures(folder: Path, where: str) -> tuple[list[Path], Array | None]:
    """Picture files of a folder by name, or those of its sub-folders, which are the classes.

    Returns:
        The files, and int64 classes where there are sub-folders.

    Raises:
        DataError: no picture, files of another kind, or pictures both beside and in sub-folders.
    """
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    classes = class_folders([path for path in entries if path.is_dir()], where)
    loose = [path for path in entries if not path.is_dir()]
    if classes and loose:
        raise DataError(
            f"{where}: holds both sub-folders and files such as {loose[0].name!r}, and should hold either",
            try_="one sub-folder a class, and nothing else",
        )
    found = [(path, k) for k, sub in classes for path in sorted(sub.iterdir()) if not path.name.startswith(".")]
    files = [path for path, _ in found] or loose
    for path in files:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise DataError(
                f"{where}: {path.relative_to(folder)} is no picture; what devices read ends in {', '.join(SUFFIXES)}",
                try_="take it out of the folder, or save it as PNG",
            )
    if not files:
        raise DataError(f"{where}: holds neither .npy files nor pictures ({', '.join(SUFFIXES)})")
    return files, np.array([k for _, k in found], np.int64) if classes else None

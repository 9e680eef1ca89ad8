"""Raw pictures as data: what is read, what is made of them, and what is refused with its place."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.core.errors import DataError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.tensors import TensorSpec
from edgeflow.files.png import HEADER, SIGNATURE, _chunk, pack_png, unpack_png
from edgeflow.ingest import pictures
from edgeflow.ingest.data import load_samples
from edgeflow.ingest.pictures import Way, class_folders, glance, load_picture

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install 'edgeflow[build]')")
RANDOM = np.random.default_rng(3)
STEPS = Preprocess(
    resize="stretch", size=(6, 5), colour="BGR", scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3)
)
SPECS = (TensorSpec("image", (-1, 3, 6, 5)),)


def picture(height: int = 9, width: int = 7) -> np.ndarray:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def load(folder: Path, body: str, steps: Preprocess | None = STEPS) -> np.ndarray:
    (folder / "data.py").write_text(f"import numpy as np\nfrom pathlib import Path\ndef samples():\n    {body}\n")
    return load_samples("data.py:samples", folder, SPECS, "evaluation", {"image": steps} if steps else {}).arrays[
        "image"
    ]


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_png_round_trip(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = pack_png(pixels)
    assert data == pack_png(np.asfortranarray(pixels))
    np.testing.assert_array_equal(unpack_png(data, "p"), pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)


def _promise(width: int, height: int, raw: bytes) -> bytes:
    return (
        SIGNATURE
        + _chunk(b"IHDR", HEADER.pack(width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(raw))
        + _chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 100,
        SIGNATURE,
        pack_png(picture())[:-5],
        pack_png(picture()) + b"x",
        _promise(60000, 60000, b""),
        _promise(0, 4, b""),
        _promise(2, 2, bytes(13)),
        _promise(2, 2, bytes(15)),
        _promise(2, 2, bytes(1 << 22)),
        _promise(2, 2, bytes(14)),
        SIGNATURE + struct.pack(">I", 1 << 31) + b"IHDR",
        pack_png(picture()).replace(b"IDAT", b"IDAX"),
    ],
    ids=range(13),
)
def test_damaged_golden_pictures(data: bytes) -> None:
    with pytest.raises(DataError, match="p: "):
        unpack_png(data, "p")


def _saved(mode: str, **options: object) -> Callable[[Path], np.ndarray]:
    def save(path: Path) -> np.ndarray:
        pixels = picture()
        image = Image.fromarray(pixels).convert(mode)
        image.save(path, **options)
        return np.asarray(image.convert("RGB"))

    return save


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.png", _saved("RGB")),
        ("a.BMP", _saved("RGB")),
        ("a.png", _saved("L")),
        ("a.png", _saved("P")),
        ("a.png", _saved("RGBA")),
    ],
    ids=["png", "bmp", "grey", "palette", "alpha"],
)
def test_files_give_their_stored_pixels(name: str, save: Callable[[Path], np.ndarray], tmp_path: Path) -> None:
    wanted = save(tmp_path / name)
    got = pictures.load_picture(tmp_path / name)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, wanted)


def test_alpha_and_sixteen_bits_as_on_the_device(tmp_path: Path) -> None:
    pixels = np.dstack([picture(), np.zeros((9, 7), np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    np.testing.assert_array_equal(pictures.load_picture(tmp_path / "clear.png"), pixels[:, :, :3])
    deep = RANDOM.integers(0, 65536, (4, 5), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(
        pictures.load_picture(tmp_path / "deep.png"), np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, 2)
    )


def test_exif_rotation_is_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(picture(8, 16)).save(tmp_path / "turned.jpg", exif=exif)
    assert pictures.load_picture(tmp_path / "turned.jpg").shape == (8, 16, 3)


def test_files_that_are_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.png").write_text("hello")
    Image.fromarray(picture()).save(tmp_path / "half.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "half.jpg").read_bytes()[:200])
    Image.fromarray(picture()).save(tmp_path / "other.png", format="GIF")
    (tmp_path / "huge.png").write_bytes(_promise(60000, 60000, b""))
    for name in ("text.png", "half.jpg", "other.png", "huge.png", "missing.png"):
        with pytest.raises(DataError, match=f"{name}: "):
            pictures.load_picture(tmp_path / name)
    monkeypatch.setattr(pictures, "FILE_MAX_BYTES", 10)
    with pytest.raises(DataError, match="larger than 10 bytes"):
        pictures.load_picture(tmp_path / "half.jpg")


def test_every_way_to_give_pictures_makes_the_same_inputs(tmp_path: Path) -> None:
    raw = np.stack([picture() for _ in range(3)])
    for k, pixels in enumerate(raw):
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    np.save(tmp_path / "raw.npy", raw)
    np.savez(tmp_path / "raw.npz", image=raw)
    wanted = np.stack([STEPS.apply(pixels) for pixels in raw])
    for body in (
        "return {'image': np.load(Path(__file__).with_name('raw.npy'))}",
        "return np.load(Path(__file__).with_name('raw.npy'))",
        "return list(np.load(Path(__file__).with_name('raw.npy')))",
        "return {'image': ['0.png', '1.png', '2.png']}",
        "return {'image': np.array(['0.png', '1.png', '2.png'])}",
        "return [Path(__file__).with_name(f'{k}.png') for k in range(3)]",
        "return iter([{'image': ['0.png', '1.png']}, {'image': np.load(Path(__file__).with_name('raw.npy'))[2:]}])",
        "a = np.empty(3, object); a[:] = list(np.load(Path(__file__).with_name('raw.npy'))); return a",
    ):
        np.testing.assert_array_equal(load(tmp_path, body), wanted)
    np.testing.assert_array_equal(
        load_samples("raw.npz", tmp_path, SPECS, "evaluation", {"image": STEPS}).arrays["image"], wanted
    )


def test_float_arrays_are_made_already(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        load(tmp_path, "return np.full((2, 3, 6, 5), 0.5, 'float32')"), np.full((2, 3, 6, 5), 0.5, np.float32)
    )


def test_the_smallest_of_the_first_pictures_is_kept(tmp_path: Path) -> None:
    body = "return {'image': [np.full((s, 5, 3), s, 'uint8') for s in (9, 3, 7, 8, 2)], 'label': np.arange(5)}"
    (tmp_path / "data.py").write_text(f"import numpy as np\ndef samples():\n    {body}\n")
    found = load_samples("data.py:samples", tmp_path, SPECS, "evaluation", {"image": STEPS})
    assert found.pictures["image"].sample == 1
    np.testing.assert_array_equal(STEPS.apply(found.pictures["image"].pixels), found.arrays["image"][1])


@pytest.mark.parametrize(
    ("body", "steps", "message"),
    [
        (
            "return [np.zeros((4, 4, 3), 'uint8'), np.zeros((4, 4), 'uint8')]",
            STEPS,
            r"'image': picture 1: is uint8\[4, 4\], and should be uint8\[H, W, 3\]",
        ),
        ("return np.zeros((4, 4, 4), 'uint8')", STEPS, r"picture 0: is uint8\[4, 4\]"),
        ("return {'image': ['no.png']}", STEPS, r"no.png: cannot be read as a picture \(No such file"),
        ("return np.zeros((0, 4, 4, 3), 'uint8')", STEPS, "holds no picture"),
        (
            "return [np.zeros((4, 4, 3), 'uint8'), np.zeros((5, 4, 3), 'uint8')]",
            Preprocess(),
            r"picture 1: becomes \[3, 5, 4\], and should become \[3, 4, 4\]",
        ),
        (
            "return [np.zeros((4, 4, 3), 'float32'), np.zeros((5, 4, 3), 'float32')]",
            STEPS,
            r"arrays of several sizes, up to \[5, 4, 3\], and one size is wanted",
        ),
        ("return np.zeros((2, 4, 4, 3), 'uint8')", None, "is uint8, and should be float32"),
        (
            "return [np.zeros((4, 4, 3), 'uint8')]",
            Preprocess(),
            r"has shape \[1, 3, 4, 4\], and should have \[any, 3, 6, 5\]",
        ),
    ],
    ids=range(8),
)
def test_pictures_that_do_not_suit_are_named(body: str, steps: Preprocess | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, body, steps)


def test_folders(tmp_path: Path) -> None:
    place = tmp_path / "set"
    for name in ("dog", "cat", "empty"):
        (place / name).mkdir(parents=True)
    wanted = []
    for name, file in (("cat", "b.png"), ("cat", "a.jpg"), ("dog", "x.bmp")):
        Image.fromarray(picture()).save(place / name / file)
    (place / ".DS_Store").touch()
    found = load_samples("set", tmp_path, SPECS, "evaluation", {"image": STEPS}).arrays
    wanted = [STEPS.apply(pictures.load_picture(place / name)) for name in ("cat/a.jpg", "cat/b.png", "dog/x.bmp")]
    np.testing.assert_array_equal(found["image"], np.stack(wanted))
    assert found["label"].tolist() == [0, 0, 1]
    flat = load_samples("set/cat", tmp_path, SPECS, "calibration", {"image": STEPS}).arrays
    assert set(flat) == {"image"}
    with pytest.raises(DataError, match=r"(?s)one input with pre-processing.*inputs.image.preprocess"):
        load_samples("set", tmp_path, SPECS, "evaluation")
    with pytest.raises(DataError, match=r"holds neither .npy files nor pictures"):
        load_samples("set/empty", tmp_path, SPECS, "evaluation", {"image": STEPS})
    (place / "cat" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"cat/notes.txt is no picture"):
        load_samples("set", tmp_path, SPECS, "evaluation", {"image": STEPS})
    (place / "loose.png").touch()
    with pytest.raises(DataError, match=r"both sub-folders and files such as 'loose.png'"):
        load_samples("set", tmp_path, SPECS, "evaluation", {"image": STEPS})


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("0", "1", "10", "11", "2"), [0, 1, 2, 10, 11]),
        (("00", "01", "10", "100"), [0, 1, 10, 100]),
        (("０", "１", "１０", "２"), [0, 1, 2, 10]),
        (("class10", "class2", "class1"), [0, 1, 2]),
        (("dog", "cat"), [0, 1]),
        (("1", "01"), "one number"),
        (("1", "cat"), "in no sure order"),
        (("20240101", "20240102"), "no model has classes for"),
    ],
)
def test_class_folders_sort_as_numbers(names: tuple[str, ...], classes: list[int] | str) -> None:
    folders = [Path(name) for name in names]
    if isinstance(classes, str):
        with pytest.raises(DataError, match=classes):
            class_folders(folders, "data")
        return
    found = class_folders(folders, "data")
    assert [number for number, _ in found] == classes
    assert [path.name for _, path in found] == sorted(
        names, key=lambda n: (int("".join(filter(str.isdigit, n)) or 0), n)
    )


def test_orientations_are_those_of_pillow(tmp_path: Path) -> None:
    from PIL.ImageOps import exif_transpose

    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    for kind in range(1, 9):
        exif = Image.Exif()
        exif[274] = kind
        Image.fromarray(pixels).save(tmp_path / "p.png", exif=exif)
        assert glance(tmp_path / "p.png").orientation == kind
        upright = np.asarray(exif_transpose(Image.open(tmp_path / "p.png")))
        assert np.array_equal(load_picture(tmp_path / "p.png", upright=True), upright)
        assert np.array_equal(load_picture(tmp_path / "p.png"), pixels)


def test_bad_pictures_are_named_or_left_out_with_their_labels(tmp_path: Path) -> None:
    for k in range(6):
        (tmp_path / "d" / str(k // 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), k, np.uint8)).save(tmp_path / "d" / str(k // 2) / f"{k}.png")
    for bad in ("0/1.png", "2/4.png"):
        (tmp_path / "d" / bad).write_bytes(b"\x89PNG\r\n")
    rules = {"x": Preprocess(resize="stretch", size=(8, 8))}
    spec = [TensorSpec("x", (-1, 3, 8, 8))]
    with pytest.raises(DataError, match="2 of 6 pictures") as caught:
        load_samples("d", tmp_path, spec, "evaluation", rules)
    assert [line.split("/d/")[1].partition(":")[0] for line in caught.value.lines] == ["0/1.png", "2/4.png"]
    found = load_samples("d", tmp_path, spec, "evaluation", rules, Way(skip_bad=True))
    assert found.arrays["x"][:, 0, 0, 0].tolist() == [0, 2, 3, 5]
    assert found.arrays["label"].tolist() == [0, 1, 1, 2]
    assert len(found.bad) == 2


@pytest.mark.parametrize(("factor", "message"), [(255.0, "raw pixels, it seems"), (1.0, "without mean and std")])
def test_raw_floats_are_told_from_prepared_ones(tmp_path: Path, factor: float, message: str) -> None:
    rules = {"x": Preprocess(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))}
    spec = [TensorSpec("x", (-1, 3, 8, 8))]
    pictures = np.random.default_rng(0).random((8, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=pictures * factor)
    with pytest.raises(DataError, match=message):
        load_samples("x.npz", tmp_path, spec, "calibration", rules)
    np.savez(tmp_path / "x.npz", x=(pictures - 0.45) / 0.225)
    load_samples("x.npz", tmp_path, spec, "calibration", rules)


def test_lists_of_pictures_as_paddle_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "d" / "sub dir").mkdir(parents=True)
    for k in range(3):
        Image.fromarray(np.full((8, 8, 3), k, np.uint8)).save(tmp_path / "d" / "sub dir" / f"{k}.png")
    rules, spec = {"x": Preprocess(resize="stretch", size=(8, 8))}, [TensorSpec("x", (-1, 3, 8, 8))]

    def load(text: str, *dictionary: str, blank_last: bool = False) -> list[object]:
        (tmp_path / "d" / "list.txt").write_text(text, encoding="utf-8")
        way = Way(dictionary=dictionary, blank_last=blank_last)
        found = load_samples("d/list.txt", tmp_path, spec, "evaluation", rules, way)
        assert found.arrays["x"][:, 0, 0, 0].tolist() == [2, 0]
        return found.arrays["label"].tolist()  # type: ignore[no-any-return]

    assert load("sub dir/2.png 7\n\nsub dir/0.png 1\n") == [7, 1]
    assert load("sub dir/2.png\tba\r\nsub dir/0.png\tb c\n", "a", "b", " ", "c") == [[2, 1, -1], [2, 3, 4]]
    assert load("sub dir/2.png\tba\nsub dir/0.png\tb", "a", "b", blank_last=True) == [[1, 0], [1, -1]]
    with pytest.raises(DataError, match="1 letters are not in the dictionary, such as 'ä'"):
        load("sub dir/2.png\tä\n", "a")
    with pytest.raises(DataError, match="the recipe has no dictionary"):
        load("sub dir/2.png\tab\n")
    with pytest.raises(DataError, match="2 of 3 lines") as caught:
        load("sub dir/9.png 1\nnothing\nsub dir/0.png 0\n")
    assert "line 1" in caught.value.lines[0] and "line 2: 'nothing'" in caught.value.lines[1]

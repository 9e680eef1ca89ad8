"""Calibration and evaluation data: from a Python callable, an .npz, a folder of .npy or of pictures, held to the
input specs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError, EdgeflowError, last_line
from edgeflow.core.placement import placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.ragged import cut, is_ragged, stacked
from edgeflow.core.samples import LABEL, Array
from edgeflow.core.settings import is_synthetic
from edgeflow.core.tensors import TensorSpec, validate_array, validate_names
from edgeflow.core.tokenizer import Text
from edgeflow.files.arrays import load_npy, load_npz
from edgeflow.ingest.lists import is_list
from edgeflow.ingest.marks import Units, labels_of
from edgeflow.ingest.page_lists import is_page_list, read_pages
from edgeflow.ingest.page_samples import JUDGED, LEARNT, of_pages
from edgeflow.ingest.picture_files import PictureFiles, file_names, picture_files, picture_input
from edgeflow.ingest.pictures import AS_STORED, Made, Picture, Way, are_pictures, make_inputs
from edgeflow.ingest.synthetic import synthetic
from edgeflow.ingest.texts import are_texts, as_texts, is_texts, made_inputs, read_texts
from edgeflow.project.functions import load_function
from edgeflow.project.user_errors import user_lines


@dataclass(frozen=True, slots=True)
class Samples:
    """Arrays by input name, [samples, ...], and `label` where there is one; of each input made of pictures, a raw
    one.

    `bad` says which pictures were left out and why, `rotated` counts those that EXIF says to turn. `names`: the file of
    each sample, where samples are picture files. `texts`: the first few, where inputs were made of texts.
    """

    arrays: Mapping[str, Array]
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    bad: tuple[str, ...] = ()
    rotated: int = 0
    names: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()


def load_samples(
    source: str,
    folder: Path,
    inputs: Sequence[TensorSpec],
    what: str,
    preprocess: Mapping[str, Preprocess] | None = None,
    way: Way = AS_STORED,
) -> Samples:
    """Load samples, and make inputs of those that are raw pictures.

    Args:
        source: `file.py:function`, an .npz, a folder of .npy or of pictures, relative to `folder`; or `synthetic:4`.
        what: `calibration`, `evaluation` or `training`, for messages.
        preprocess: by input name; what is uint8, or names picture files, is pre-processed, and what is float is done
            already.

    Raises:
        DataError: names, shapes, dtypes or counts do not fit, a value is NaN, a picture is unreadable, or there is no
            sample.
    """
    where = f"{what} data ({source})"
    part = _Part(folder, tuple(inputs), preprocess or {}, where, way, what == "evaluation")
    samples = part.samples(_load(source, part))
    if way.texts is not None:
        arrays, first = made_inputs(samples.arrays, way.texts, part.inputs, where)
        samples = replace(samples, arrays=arrays, texts=first)
    validate_names([name for name in samples.arrays if name != LABEL], [spec.name for spec in inputs], where, [LABEL])
    counts = {name: (len(array) if array.ndim else 0) for name, array in samples.arrays.items()}
    if not all(counts.values()):
        raise DataError(f"{where}: holds no sample", try_=f"give at least one sample as {what} data")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise DataError(f"{where}: arrays should have one length: {listed}")
    for spec in inputs:
        array = samples.arrays[spec.name]
        for part_of in cut({spec.name: array}, len(array)) if is_ragged(array) else [{spec.name: array}]:
            validate_array(part_of[spec.name], spec, where, batch=True)
        steps = part.preprocess.get(spec.name)
        if steps is not None and spec.name not in samples.pictures:
            validate_prepared(samples.arrays[spec.name], steps, f"{where}: {spec.name!r}")
    return samples


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part of the data is held to, the whole of it being one part; `judged`: it is evaluation data."""

    folder: Path
    inputs: tuple[TensorSpec, ...]
    preprocess: Mapping[str, Preprocess]
    where: str
    way: Way = AS_STORED
    judged: bool = False

    def samples(self, given: Any) -> Samples:
        """What a function or a file gave: all at once, or in batches or single samples, from whatever gives them."""
        if isinstance(given, PictureFiles):
            return self._of_files(given)
        given = to_numpy(given)
        if self.way.texts is not None and are_texts(given):
            given = {self.way.texts.name: given}
        parts = _parts(given, self._is_batch)
        return self.named(given) if parts is None else self.gathered(parts)

    def named(self, part: Any, *, or_single: bool = False) -> Samples:
        """Arrays by name, pictures made into inputs; `or_single`: one sample stands for a batch of one."""
        by_name = part if isinstance(part, Mapping) else self._by_place(part, or_single)
        arrays: dict[str, Array] = {}
        done: dict[str, Made] = {}
        files: list[str] = []
        for name, value in self._batched(by_name, or_single).items():
            steps = self.preprocess.get(str(name))
            if self.way.texts is not None and name == self.way.texts.name and are_texts(value):
                arrays[str(name)] = as_texts(value)
            elif steps is not None and are_pictures(value):
                done[str(name)] = self._made(str(name), value, steps)
                files = files or file_names(value)
            else:
                arrays[str(name)] = self._array(name, value)
        return _with_pictures(arrays, done, files)

    def _made(self, name: str, pictures: Any, steps: Preprocess) -> Made:
        where = f"{self.where}: {name!r}"
        return make_inputs(pictures, steps, self.folder, where, self.way, sizes=self._takes_sizes(name))

    def _of_files(self, given: PictureFiles) -> Samples:
        """Inputs made of picture files, labels of what lies in them, and the scale for models that are told it."""
        name = picture_input(self.inputs, self.preprocess, self.where)
        steps = self.preprocess[name]
        made = self._made(name, given.files, steps)
        arrays = {name: made.inputs, **_told(self.inputs, steps, made)}
        if given.annotated is not None:
            told = any(spec.name == "scale_factor" for spec in self.inputs)
            units: Units = "picture" if told else "shares" if self.way.shares else "input"
            seen = tuple(zip(made.kept, made.sides, strict=True))
            arrays[LABEL] = labels_of(given.annotated, seen, steps, units, self.where)
        elif given.classes is not None:
            arrays[LABEL] = given.classes[list(made.kept)]
        shown = {} if made.picture is None else {name: made.picture}
        names = file_names(given.files)
        return Samples(arrays, shown, made.bad, made.rotated, tuple(names[k] for k in made.kept))

    def _is_batch(self, value: Any) -> bool:
        """An array with as many dimensions as the only input has."""
        return len(self.inputs) == 1 and isinstance(value, np.ndarray) and value.ndim == len(self.inputs[0].shape)

    def _by_place(self, part: Any, or_single: bool) -> dict[str, Any]:
        """A list or tuple as a DataLoader gives it: the inputs in the recipe's order, and the label after them."""
        names = [spec.name for spec in self.inputs]
        if self.way.texts is not None and isinstance(part, (list, tuple)) and 1 <= len(part) <= 2:
            first = [part[0]] if isinstance(part[0], (str, bytes)) else part[0]
            if are_texts(first):
                rest = [np.atleast_1d(to_numpy(item)) for item in part[1:]]
                return {self.way.texts.name: first, **dict(zip((LABEL,), rest, strict=False))}
        plain = [to_numpy(item) for item in part] if isinstance(part, (list, tuple)) else []
        if len(names) <= len(plain) <= len(names) + 1 and all(isinstance(item, np.ndarray) for item in plain):
            missing = {len(spec.shape) - item.ndim for spec, item in zip(self.inputs, plain, strict=False)}
            alike = len(names) == 1 and len({item.shape for item in plain}) == 1  # several samples of one input
            if missing == {0} or (or_single and missing == {1} and not alike):
                return dict(zip((*names, LABEL), plain, strict=False))
        if len(names) != 1:
            raise DataError(
                f"{self.where}: is {type(part).__name__}, and should be a dict of arrays by input name",
                try_=f"give {{{', '.join(f'{name!r}: array' for name in names)}}}, or a list in this order",
            )
        return {names[0]: part}

    def _batched(self, part: Mapping[Any, Any], or_single: bool) -> dict[Any, Any]:
        """Tensors as arrays; of a single sample a batch of one."""
        plain = {name: to_numpy(value) for name, value in part.items()}
        if self.way.texts is not None and isinstance(plain.get(self.way.texts.name), (str, bytes)):  # a single sample
            alone = [plain.pop(self.way.texts.name)]
            return {self.way.texts.name: alone, **{name: np.asarray(value)[None] for name, value in plain.items()}}
        dims = {spec.name: len(spec.shape) for spec in self.inputs}
        found = [plain[name] for name in dims if name in plain]
        single = (
            or_single
            and len(found) == len(dims)
            and all(
                isinstance(value, np.ndarray) and value.dtype.kind != "U" and value.ndim == dims[name] - 1
                for name, value in plain.items()
                if name in dims
            )
        )
        return {name: np.asarray(value)[None] for name, value in plain.items()} if single else plain

    def _array(self, name: Any, value: Any) -> Array:
        """One array; a list of samples in several sizes as core/ragged.py has them."""
        try:
            array = np.asarray(value)
        except ValueError:
            rank = next((len(spec.shape) for spec in self.inputs if spec.name == name), 0)
            parts = [np.asarray(item) for item in value]
            return self._stacked(str(name), [part if part.ndim == rank else part[None] for part in parts])
        if is_ragged(array):
            bad = int(np.count_nonzero(~np.isfinite(array)))
            raise DataError(
                f"{self.where}: {name!r} holds {bad} values that are NaN or infinite",
                try_="look at the pre-processing that made these inputs",
            )
        if array.dtype == object and array.size and hasattr(item := array.reshape(-1)[0], "__iter__"):
            raise DataError(
                f"{self.where}: {name!r} holds a {type(item).__name__}, and should be an array",
                try_="return a loader by itself: its batches hold an array for each input",
            )
        return array

    def _stacked(self, name: str, parts: Sequence[Array]) -> Array:
        return stacked(parts, f"{self.where}: {name!r}", sizes=self._takes_sizes(name))

    def _takes_sizes(self, name: str) -> bool:
        return any(-1 in spec.shape[1:] for spec in self.inputs if spec.name == name)

    def gathered(self, parts: Iterator[Any]) -> Samples:
        """One array a name out of batches; what ends early is an error, not a smaller set."""
        found: list[Samples] = []
        try:
            for part in parts:
                found.append(self.named(part, or_single=True))  # at once, so that raw pictures need not be kept
        except EdgeflowError:
            raise
        except Exception as err:
            raise DataError(
                f"{self.where}: ended early, after {len(found)} batches ({type(err).__name__}: {last_line(err)})",
                try_="iterate over it by hand to see the whole traceback",
                lines=user_lines(err, self.folder),
            ) from err
        if not found:
            raise DataError(
                f"{self.where}: gave no batch at all", try_="return an iterator that was not used up before"
            )
        names = [set(part.arrays) for part in found]
        if any(name != names[0] for name in names):
            raise DataError(f"{self.where}: batches should all hold {', '.join(sorted(names[0]))}")
        joined = {name: self._stacked(name, [part.arrays[name] for part in found]) for name in found[0].arrays}
        bad = tuple(text for part in found for text in part.bad)
        files = tuple(name for part in found for name in part.names)
        files = files if all(part.names for part in found) else ()
        return Samples(joined, found[0].pictures, bad, sum(part.rotated for part in found), files)


def _with_pictures(arrays: Mapping[str, Array], done: Mapping[str, Made], files: Sequence[str]) -> Samples:
    """Samples of which every picture could be read: labels and other inputs of the others go with them."""
    if not done:
        return Samples(arrays)
    count = max(made.kept[-1] + 1 for made in done.values())
    count = max([count, *(len(array) for array in arrays.values() if array.ndim)])
    kept = set(range(count))
    for made in done.values():
        kept &= set(made.kept) if made.bad else kept
    chosen: dict[str, Array] = {}
    for name, array in arrays.items():
        whole = len(kept) == count or not array.ndim
        chosen[name] = array if whole else array[[k for k in range(len(array)) if k in kept]]
    for name, made in done.items():
        whole = all(k in kept for k in made.kept)
        chosen[name] = made.inputs if whole else made.inputs[[n for n, k in enumerate(made.kept) if k in kept]]
    shown = {name: made.picture for name, made in done.items() if made.picture is not None}
    bad = tuple(dict.fromkeys(text for made in done.values() for text in made.bad))
    names = tuple(name for k, name in enumerate(files) if k in kept)
    return Samples(chosen, shown, bad, sum(made.rotated for made in done.values()), names)


def _told(inputs: Sequence[TensorSpec], steps: Preprocess, made: Made) -> dict[str, Array]:
    """What PaddleDetection's models take beside the picture: the size of the input and the scale it came by.

    Source: PaddleDetection 2.7, deploy/python/preprocess.py, Resize: both have rows first.
    """
    found: dict[str, Array] = {}
    places = [placed(steps, *sides) for sides in made.sides]
    for spec in inputs:
        if spec.name == "scale_factor":
            found[spec.name] = np.array([place.ratio for place in places], np.float32)
        elif spec.name == "im_shape":
            found[spec.name] = np.array([place.size for place in places], np.float32)
    return found


RAW_ROOM = 0.25
"""Of the range of prepared values: what resizing with overshoot (bicubic, Lanczos) adds at an edge is less."""


SHARES = (0.25, 0.6)
"""Pixels over 255 are all from 0 to 1, some darker than a quarter and some brighter than these: dim pictures too.
Prepared ones that lie so would be of a narrow band of greys."""


def validate_prepared(array: Array, steps: Preprocess, where: str) -> None:
    """Hold floats to the values that the declared pre-processing can give: raw pixels are told by theirs.

    Raises:
        DataError: they are beyond that range, or fill 0..1 where it is another one.
    """
    low, high = steps.bounds()
    least, most = float(np.nanmin(array)), float(np.nanmax(array))  # NaN where samples are of several sizes
    room = RAW_ROOM * (high - low)
    declared = f"the declared pre-processing makes {low:.4g} .. {high:.4g}"
    if least < low - room or most > high + room:
        raise DataError(
            f"{where}: holds values {least:.4g} .. {most:.4g}, and {declared}: "
            + ("raw pixels, it seems" if least >= 0 and 1 < most <= 255 else "prepared otherwise, it seems"),
            try_="give pixels as uint8[N, H, W, 3], which are prepared as declared; or leave the preprocess table out",
        )
    if 0 <= least < SHARES[0] and SHARES[1] < most <= 1 and (low < -0.2 or high > 1.2 or high < 0.8):
        raise DataError(
            f"{where}: its values fill 0 .. 1, and {declared}: pixels over 255 without mean and std, it seems",
            try_="give pixels as uint8[N, H, W, 3], which are prepared as declared; or mean and std as they were used",
        )


def to_numpy(value: Any) -> Any:
    """A tensor of Paddle, or of another library, as an array; numbers and lists of tensors too; else as it is."""
    if isinstance(value, (np.ndarray, str, bytes)):
        return value
    if isinstance(value, (list, tuple)) and value and all(callable(getattr(item, "numpy", None)) for item in value):
        return [np.asarray(item.numpy()) for item in value]
    if callable(getattr(value, "numpy", None)):
        return np.asarray(value.numpy())
    return np.asarray(value) if isinstance(value, (bool, int, float, np.generic)) else value


def _parts(given: Any, is_batch: Callable[[Any], bool]) -> Iterator[Any] | None:
    """Batches or samples of something that gives them one by one; None of what is all there at once."""
    if isinstance(given, (Mapping, str, bytes)) or hasattr(given, "__array__"):
        return None
    if isinstance(given, (list, tuple)):
        whole = (Mapping, list, tuple)
        several = [to_numpy(item) for item in given]
        # Two that differ in more than their length are an input and its label.
        if given and all(map(is_batch, several)) and len({(item.shape[1:], item.dtype) for item in several}) == 1:
            return iter(several)
        nested = all(isinstance(item, whole) and _holds_arrays(item) for item in given)
        return iter(given) if given and nested else None
    if hasattr(given, "__iter__"):
        return _each(given)
    if hasattr(given, "__getitem__") and hasattr(given, "__len__"):  # such as paddle.io.Dataset
        return _each(given[k] for k in range(len(given)))
    return None


def _each(given: Any) -> Iterator[Any]:
    """Begins when the first is asked for: a loader that cannot begin fails where others end early."""
    yield from given


def _holds_arrays(part: Any) -> bool:
    items = part.values() if isinstance(part, Mapping) else part
    if isinstance(part, Mapping) and any(isinstance(item, (str, bytes)) for item in items):
        return True  # a text and its class
    return any(isinstance(to_numpy(item), np.ndarray) and np.ndim(to_numpy(item)) > 0 for item in items)


def _load(source: str, part: _Part) -> Any:
    path, where = part.folder / source, part.where
    if is_synthetic(source):
        return synthetic(source, part.inputs, tuple(part.preprocess))
    if ".py:" in source:
        return _called(source, part)
    if path.is_dir():
        arrays = {file.stem: load_npy(file, str(file)) for file in sorted(path.glob("*.npy"))}
        if not arrays or part.way.annotations is not None:
            return picture_files(path, part.way, part.folder, where)
        return arrays
    if part.way.pages_for is not None and is_page_list(path):
        return _of_pages(path, part)
    if part.way.texts is not None and is_texts(path):
        lines = read_texts(path, part.way.texts.classes, where)
        return {part.way.texts.name if name == "text" else name: array for name, array in lines.items()}
    if is_list(path):
        return picture_files(path, part.way, part.folder, where)
    if path.suffix == ".npz":
        return load_npz(path)
    if path.suffix == ".npy":
        return load_npy(path, str(path))
    raise DataError(
        f"{where}: {path} does not exist or is no .npz, .npy, list or folder of .npy or pictures",
        try_="name a callable as file.py:function, an .npz, a .txt that lists pictures, or a folder of .npy files or "
        "pictures",
    )


def _called(source: str, part: _Part) -> Any:
    function = load_function(source, part.folder)
    try:
        return function()
    except (Exception, SystemExit) as err:
        raise DataError(
            f"{part.where}: the function failed ({type(err).__name__}: {last_line(err)})",
            try_="call it by hand to see the whole traceback",
            lines=user_lines(err, part.folder),
        ) from err


def _of_pages(path: Path, part: _Part) -> dict[str, Any]:
    pages = read_pages(path, part.where)
    name = picture_input(part.inputs, part.preprocess, part.where)
    most = JUDGED if part.judged else LEARNT
    taken = of_pages(pages, part.preprocess[name], part.way, most, part.where)
    return {name: taken.pictures, LABEL: taken.labels}

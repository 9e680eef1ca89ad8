"""A source of data, looked at without loading it: what is missing, cannot be read or does not fit is found at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from edgeflow.core.errors import DataError, EdgeflowError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.samples import LABEL
from edgeflow.core.settings import is_synthetic
from edgeflow.core.tensors import TensorSpec, validate_names
from edgeflow.files.arrays import npy_head, npz_heads
from edgeflow.ingest.lists import is_list
from edgeflow.ingest.page_lists import is_page_list, read_pages
from edgeflow.ingest.picture_files import picture_files, picture_input
from edgeflow.ingest.pictures import UPRIGHT, Glance, Way, glance, unreadable
from edgeflow.ingest.texts import is_texts, read_texts
from edgeflow.project.functions import validate_function

Heads = Mapping[str, tuple[tuple[int, ...], str]]
AS_PICTURES = "uint8"
"""The dtype of arrays that are raw pictures."""
AT_ONCE = 64
"""Pictures that are looked at between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is wrong with a source, how many pictures it has, how many of them were looked at, and how many lie."""

    errors: tuple[EdgeflowError, ...] = ()
    pictures: int = 0
    seen: int = 0
    rotated: int = 0
    bad: int = 0
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source is held to. `until`: when to stop looking at pictures, by time.monotonic."""

    folder: Path
    inputs: tuple[TensorSpec, ...]
    preprocess: Mapping[str, Preprocess]
    way: Way
    until: float
    texts: tuple[str, ...] | None = None


def look(source: str, wanted: Wanted, kind: str) -> Looked:
    """Look at one source of a recipe.

    Args:
        kind: `evaluation`, `calibration` or `training`.
    """
    where, path = f"{kind} data ({source})", wanted.folder / source
    try:
        if is_synthetic(source):
            if kind != "evaluation":
                raise DataError(f"{where}: made-up inputs set no ranges and train nothing", try_="real data")
            return Looked()
        if ".py:" in source:
            validate_function(source, wanted.folder)
            return Looked()
        if wanted.way.pages_for is not None and is_page_list(path):
            return _pictures([page.file for page in read_pages(path, where)], (), wanted, where)
        if wanted.texts is not None and is_texts(path):
            read_texts(path, wanted.texts, where)
            return Looked()
        way = replace(wanted.way, annotations=wanted.way.annotations if kind == "evaluation" else None)
        if is_list(path) or (path.is_dir() and (way.annotations is not None or not any(path.glob("*.npy")))):
            found = picture_files(path, way, wanted.folder, where)
            return _pictures(found.files, found.folders, wanted, where)
        heads = _heads(path, wanted, where)
        validate_names([name for name in heads if name != LABEL], [s.name for s in wanted.inputs], where, [LABEL])
        return Looked(tuple(_misfits(heads, wanted, where)))
    except EdgeflowError as err:
        return Looked((err,))


def _heads(path: Path, wanted: Wanted, where: str) -> Heads:
    if path.is_dir():
        return {file.stem: npy_head(file) for file in sorted(path.glob("*.npy"))}
    if path.suffix == ".npz" and path.is_file():
        return npz_heads(path)
    if path.suffix == ".npy" and path.is_file():
        return {wanted.inputs[0].name: npy_head(path)} if len(wanted.inputs) == 1 else {}
    kinds = ".npz, .npy, file of texts" if wanted.texts is not None else ".npz, .npy"
    raise DataError(
        f"{where}: {path} does not exist or is no {kinds} or folder of .npy or pictures",
        try_="name a callable as file.py:function, an .npz, or a folder of .npy files or pictures",
    )


def _misfits(heads: Heads, wanted: Wanted, where: str) -> Iterator[DataError]:
    """Arrays that do not fit the inputs, by their heads."""
    for spec in wanted.inputs:
        shape, dtype = heads[spec.name]
        if spec.name in wanted.preprocess and dtype == AS_PICTURES:
            continue
        fits = len(shape) == len(spec.shape) and all(
            want in (-1, have) for want, have in zip(spec.shape[1:], shape[1:], strict=True)
        )
        if dtype != spec.dtype or not fits:
            dims = ", ".join("any" if d < 0 else str(d) for d in (-1, *spec.shape[1:]))
            yield DataError(
                f"{where}: {spec.name!r} is {dtype}{list(shape)}, and should be {spec.dtype}[{dims}]",
                try_=f"[inputs.{spec.name}] as the arrays are, or arrays as it says",
            )
    counts = {name: shape[0] if shape else 0 for name, (shape, _) in heads.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        yield DataError(f"{where}: arrays should have one length: {listed}")


def _pictures(files: Sequence[Path], names: tuple[str, ...], wanted: Wanted, where: str) -> Looked:
    picture_input(wanted.inputs, wanted.preprocess, where)
    found = list(_glances(files, wanted.until))
    bad = [f"{file}: {item.problem}" for file, item in zip(files, found, strict=False) if item.problem]
    errors = () if not bad or wanted.way.skip_bad else (unreadable(where, bad, len(files)),)
    rotated = sum(item.orientation != UPRIGHT for item in found)
    return Looked(errors, len(files), len(found), rotated, len(bad), names)


def _glances(files: Sequence[Path], until: float, each: Callable[[Path], Glance] = glance) -> Iterator[Glance]:
    """Of as many files as there is time for, at least a few."""
    with ThreadPoolExecutor(4) as pool:
        for at in range(0, len(files), AT_ONCE):
            yield from pool.map(each, files[at : at + AT_ONCE])
            if time.monotonic() > until:
                return

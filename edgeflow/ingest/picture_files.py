"""Picture files as a source of data: which they are, and of each its class, its text, or what lies in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.samples import Array
from edgeflow.core.tensors import TensorSpec
from edgeflow.ingest.annotations import annotated, annotated_list
from edgeflow.ingest.given_model import SIDE_INPUTS
from edgeflow.ingest.lists import classes_or_texts, is_list, read_list
from edgeflow.ingest.marks import Annotated
from edgeflow.ingest.pictures import Way, folder_of_pictures


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Picture files with a class, or a text as classes, of each; or with annotations. `folders`: names of classes."""

    files: tuple[Path, ...]
    classes: Array | None = None
    annotated: Annotated | None = None
    folders: tuple[str, ...] = ()


def picture_files(path: Path, way: Way, recipe: Path, where: str) -> PictureFiles:
    """The pictures of a folder or a list.

    Args:
        recipe: the recipe's folder, where the path of the annotations starts.

    Raises:
        DataError: no picture, or labels or annotations that cannot be used.
    """
    if way.annotations is not None:
        found = annotated(path, recipe / way.annotations, lambda: _alone(path, where), way.names, where)
        return PictureFiles(tuple(file.resolve() for file in found.files), annotated=found)
    if not is_list(path):
        files, classes = folder_of_pictures(path, where)
        names = () if classes is None else tuple(dict.fromkeys(file.parent.name for file in files))
        return PictureFiles(tuple(file.resolve() for file in files), classes, folders=names)
    files, labels = read_list(path, where)
    resolved = tuple(file.resolve() for file in files)
    marks = annotated_list(path, files, labels, way.names, where)
    if marks is not None:
        return PictureFiles(resolved, annotated=marks)
    return PictureFiles(resolved, classes_or_texts(labels, way.dictionary, where, blank_last=way.blank_last))


def _alone(path: Path, where: str) -> Sequence[Path]:
    """Pictures without classes: annotations say what lies in them."""
    if is_list(path):
        return read_list(path, where, alone=True)[0]
    files, classes = folder_of_pictures(path, where)
    if classes is not None:
        raise DataError(
            f"{where}: {path} has sub-folders, as classes have, and [data] annotations say what lies in pictures",
            try_="the folder in which the pictures themselves lie, or no annotations",
        )
    return files


def picture_input(inputs: Sequence[TensorSpec], preprocess: Mapping[str, Preprocess], where: str) -> str:
    """The input that pictures feed.

    Raises:
        DataError: none is made of pictures, or another one does not follow from them.
    """
    names = [spec.name for spec in inputs if spec.name in preprocess]
    others = [spec.name for spec in inputs if spec.name not in preprocess and spec.name not in SIDE_INPUTS]
    if len(names) != 1 or others:
        raise DataError(
            f"{where}: is pictures, and should feed one input with pre-processing in the recipe",
            try_=f"[inputs.{(others or [inputs[0].name])[0]}.preprocess] with resize, size, scale, mean and std",
        )
    return names[0]


def file_names(value: Any) -> list[str]:
    """Names of picture files without the folders that all of them share; none of what is no list of files."""
    if not all(isinstance(item, (str, os.PathLike)) for item in value):
        return []
    paths = [Path(item) for item in value]
    shared = Path(os.path.commonpath([path.parent for path in paths])) if _alike(paths) else Path()
    return [(path.relative_to(shared) if path.is_relative_to(shared) else Path(path.name)).as_posix() for path in paths]


def _alike(paths: Sequence[Path]) -> bool:
    """Whether a common folder can be asked for."""
    return len({path.is_absolute() for path in paths}) == 1

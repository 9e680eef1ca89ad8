"""Archives of arrays (.npz): written the same way every time, read without trusting them."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.samples import Array
from edgeflow.files.atomic import write_atomic
from edgeflow.files.inside import open_regular

EPOCH = (1980, 1, 1, 0, 0, 0)
UNPACKED_MAX_BYTES = 1 << 33
"""8 GiB: more evaluation data than a model for an edge device is judged by; a zip bomb promises more."""


def pack_npz(arrays: Mapping[str, Array]) -> bytes:
    """Bytes of an .npz that depend on nothing but names and content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, pack_npy(arrays[name]), compresslevel=1)
    return buffer.getvalue()


def pack_npy(array: Array) -> bytes:
    """Bytes of a .npy."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def save_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an .npz atomically; see pack_npz.

    Raises:
        StorageError: disk full or folder not writable.
    """
    write_atomic(path, pack_npz(arrays))


def load_npz(path: Path) -> dict[str, Array]:
    """Read every array of an .npz; nothing is unpickled.

    Raises:
        DataError: missing, truncated, no archive, holds objects, or would unpack to more than 8 GiB.
    """
    try:
        with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > UNPACKED_MAX_BYTES:
                raise DataError(f"{path}: would unpack to {total} bytes, the limit is {UNPACKED_MAX_BYTES}")
            arrays = {}
            for info in archive.infolist():
                with archive.open(info) as member:
                    arrays[info.filename.removesuffix(".npy")] = load_npy(member, f"{path}: {info.filename}")
            return arrays
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else err
        raise DataError(
            f"{path}: is no readable .npz archive ({reason})",
            try_="write it again with numpy.savez, or run edgeflow build",
        ) from err


def npy_head(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of a .npy, without its values.

    Raises:
        DataError: as load_npy.
    """
    try:
        with open_regular(path) as stream:
            return _head(stream, str(path))
    except OSError as err:
        raise DataError(f"{path}: is no readable .npy array ({err})") from err


def npz_heads(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of every array in an .npz, without their values.

    Raises:
        DataError: as load_npz.
    """
    try:
        with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
            heads = {}
            for info in archive.infolist():
                with archive.open(info) as member:
                    heads[info.filename.removesuffix(".npy")] = _head(member, f"{path}: {info.filename}")
            return heads
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as err:
        raise DataError(
            f"{path}: is no readable .npz archive ({err})",
            try_="write it again with numpy.savez, or run edgeflow build",
        ) from err


def _head(stream: Any, where: str) -> tuple[tuple[int, ...], str]:
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)  # type: ignore[no-untyped-call]
    except (zipfile.BadZipFile, zlib.error):
        raise
    except (OSError, ValueError, TypeError, EOFError, OverflowError, SyntaxError, tokenize.TokenError) as err:
        raise DataError(f"{where}: is no readable .npy array ({err})") from err
    return tuple(shape), str(dtype)


def load_npy(source: Any, where: str) -> Array:
    """Read one .npy from a path or an open file; nothing is unpickled.

    Raises:
        DataError: missing, truncated, not a .npy, or it holds objects.
    """
    try:
        if isinstance(source, (str, Path)):
            with open_regular(source) as stream, np.errstate(all="ignore"):
                return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))  # type: ignore[no-untyped-call]
        with np.errstate(all="ignore"):  # of a shape that no array has, which is an error of its own
            return np.asarray(np.lib.format.read_array(source, allow_pickle=False))  # type: ignore[no-untyped-call]
    except (zipfile.BadZipFile, zlib.error):
        raise
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        MemoryError,
        OverflowError,
        SyntaxError,
        tokenize.TokenError,
    ) as err:
        raise DataError(f"{where}: is no readable .npy array ({err})") from err

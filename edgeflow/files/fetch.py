"""Fetching files from elsewhere: resumed after a cut, several at once, bounded in size."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgeflow.core.errors import DataError, StorageError
from edgeflow.files.atomic import sha256, storage, write_atomic
from edgeflow.files.far import Far, FarFile, Gone, NoRanges

AT_ONCE = 8
TRIES = 5
"""In a row that bring nothing; a connection that brings something may break as often as it likes."""

WAIT_S = 0.5
FILES_MAX = 200_000
PART = ".part"
LISTING = ".listing.json"

Tell = Callable[[int, int], None]
"""Told how many bytes are here of how many; 0 where nobody knows."""


def fetch(far: Far, files: Sequence[FarFile], folder: Path, bounds: tuple[str, int], tell: Tell) -> None:
    """Bring files into a folder, each whole under its name. What an earlier call brought there is taken where the
    file is still the same, also the half of one.

    Args:
        bounds: names the data in messages; the most bytes that it may have.

    Raises:
        DataError: too many or too large, not there, refused, or the connection broke too often; what came is kept.
        StorageError: the disk is full.
    """
    where, most = bounds
    if len(files) > FILES_MAX:
        raise DataError(f"{where}: is {len(files)} files, and {FILES_MAX} at most are fetched")
    total = sum(file.bytes or 0 for file in files)
    _validate_bytes(where, total, most)
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _forget_others(folder, files)
        if total - sum(_here(folder, file) for file in files) > shutil.disk_usage(folder).free:
            raise StorageError(f"{folder}: {where} has {total} bytes, and the disk has no room for them")
        come = _Count(where, most, total, tell)
        come.add(sum(_here(folder, file) for file in files))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(_fetch_one, far, file, folder, come) for file in files]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                come.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def folder_hash(folder: Path, names: Sequence[str]) -> str:
    """The hash of one file, or of the lines that sha256sum prints for several, in the order of their names."""
    if len(names) == 1:
        return sha256(folder / names[0])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        hashes = list(pool.map(lambda name: sha256(folder / name), sorted(names)))
    lines = "".join(f"{digest}  {name}\n" for digest, name in zip(hashes, sorted(names), strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


class _Count:
    """Bytes that came, by several threads."""

    def __init__(self, where: str, most: int, total: int, tell: Tell) -> None:
        self.where, self._most, self._total, self._tell = where, most, total, tell
        self._guard, self._bytes, self._told, self.stopped = threading.Lock(), 0, 0.0, False

    def add(self, count: int) -> None:
        with self._guard:
            self._bytes += count
            _validate_bytes(self.where, self._bytes, self._most)
            if time.monotonic() - self._told > 0.2:
                self._told = time.monotonic()
                self._tell(self._bytes, self._total)

    def stop(self) -> None:
        self.stopped = True


def _validate_bytes(where: str, count: int, most: int) -> None:
    if count > most:
        raise DataError(
            f"{where}: has more than {most} bytes, which is the most that is fetched",
            try_=f"remote_bytes_max = {max(2 * most, count)} under [data] where that is meant",
        )


def _fetch_one(far: Far, file: FarFile, folder: Path, come: _Count) -> None:
    done = folder / file.name
    if done.is_file():
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    part, failed = done.with_name(done.name + PART), 0
    while True:
        at = part.stat().st_size if part.is_file() else 0
        before = at
        try:
            with part.open("ab") as out:
                for block in far.read(file, at):
                    out.write(block)
                    at += len(block)
                    come.add(len(block))
                    if come.stopped:
                        return
            if file.bytes is not None and at < file.bytes:
                raise Gone(f"it ended after {at} of {file.bytes} bytes")
            break
        except NoRanges:
            come.add(-at)
            part.unlink()
        except Gone as err:
            failed = 0 if at > before else failed + 1
            if failed >= TRIES:
                raise DataError(
                    f"{come.where}: {file.name} broke off after {at} bytes, {TRIES} times in a row ({err})",
                    try_="run it again: what came is kept, and it goes on from there",
                ) from err
            time.sleep(WAIT_S * 2 ** max(failed - 1, 0))
    if file.bytes is not None and at != file.bytes:
        part.unlink()
        raise DataError(f"{come.where}: {file.name} gave {at} bytes, and should have {file.bytes}; it changed")
    part.rename(done)


def _here(folder: Path, file: FarFile) -> int:
    done = folder / file.name
    part = done.with_name(done.name + PART)
    return next((path.stat().st_size for path in (done, part) if path.is_file()), 0)


def _forget_others(folder: Path, files: Sequence[FarFile]) -> None:
    """Remove what is of another state of the files than they have now, or of one that nobody can tell."""
    listing = folder.with_name(folder.name + LISTING)
    try:
        before = json.loads(listing.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    for file in files:
        if file.mark is None or not isinstance(before, dict) or before.get(file.name) != file.mark:
            done = folder / file.name
            for path in (done, done.with_name(done.name + PART)):
                path.unlink(missing_ok=True)
    write_atomic(listing, json.dumps({file.name: file.mark for file in files}).encode())

"""Results by content: the same inputs, settings and tools give the same folder, found again instead of made again.

A result of user code is found by what the code depended on: see flow.seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import StorageError
from edgeflow.files.atomic import folder_half_made, lock, publish, storage, write_atomic
from edgeflow.files.sealed import FACTS, held_facts, seal_folder, sealed, unsealed

SEEN = "seen"
SEEN_MAX = 16
"""Records of one recipe's user code that are kept: one for each state of it that somebody goes back to."""


@dataclass(frozen=True, slots=True)
class Known:
    """A result of user code that was made before, and what the code depended on."""

    artifact: Artifact
    seen: Mapping[str, Any]
    record: Path


class Cache:
    """Folders of results under `root`, one a key, each held to the hashes that it was stored with."""

    def __init__(self, root: Path, *, fresh: bool = False, warn: Callable[[str], None] | None = None) -> None:
        """`fresh` finds only what this run made itself; `warn` is told of damage."""
        self.root, self.fresh, self._warn = root, fresh, warn or (lambda _: None)
        self._guard = threading.Lock()
        self._whole: dict[Path, Artifact] = {}
        """Results that were held to their hashes in this run, or made in it: once is enough."""

    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished result of a key, or None."""
        return self._read(self.root / stage / key)

    def make(
        self, stage: str, key: str, work: Callable[[Path], Artifact], *, unless: Artifact | None = None
    ) -> Artifact:
        """Find a key's result, or make it; other processes that want it too wait for it.

        Args:
            unless: a result that will not do.
        """
        place = self.root / stage / key
        with lock(self.root / stage / f".{key}.lock"):
            found = self.find(stage, key)
            if found is not None and found is not unless:
                return found
            with folder_half_made(place) as half:
                return self._store(half, place, work(half).facts)

    def known(self, stage: str, key: str) -> list[Known]:
        """Results that user code of this key gave before, the latest first."""
        found = []
        for record in sorted(self._records(stage, key), key=_age):
            try:
                table = unsealed(record)
                artifact = self._read(self.root / stage / str(table["result"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if artifact is not None:
                found.append(Known(artifact, table[SEEN], record))
        return found

    @contextlib.contextmanager
    def alone(self, stage: str, key: str) -> Any:
        """Hold others off who want to make the same; they wait."""
        with lock(self.root / stage / f".{key}.lock"):
            yield

    def add(self, stage: str, half: Path, name: str, facts: Mapping[str, Any]) -> Artifact:
        """Publish a result whose name is known only now that it is made."""
        return self._store(half, self.root / stage / name, facts)

    def remember(self, stage: str, key: str, artifact: Artifact, seen: Mapping[str, Any]) -> None:
        """Write down what user code depended on when it gave this result; not where nothing can be written."""
        table = {"result": artifact.folder.name, SEEN: seen}
        place = self.root / stage / SEEN / key / f"{artifact.folder.name}.json"
        with contextlib.suppress(StorageError):
            write_atomic(place, json.dumps(sealed(table), sort_keys=True).encode())
            for old in sorted(self._records(stage, key), key=_age)[SEEN_MAX:]:
                old.unlink(missing_ok=True)

    def _records(self, stage: str, key: str) -> list[Path]:
        return list((self.root / stage / SEEN / key).glob("*.json"))

    def _store(self, half: Path, place: Path, facts: Mapping[str, Any]) -> Artifact:
        with storage(half):
            table = seal_folder(half, facts)
            publish(half, place)
        made = Artifact(place, table)
        with self._guard:
            self._whole[place] = made
        return made

    def _read(self, folder: Path) -> Artifact | None:
        with self._guard:
            if folder in self._whole:
                return self._whole[folder]
        if self.fresh or not (folder / FACTS).exists():
            return None
        try:
            facts = held_facts(folder)
        except (OSError, ValueError) as err:
            self._warn(f"{folder}: {err}; it is made again")
            return None
        with contextlib.suppress(OSError):
            os.utime(folder / FACTS)  # when it was last of use: see `edgeflow cache prune`
        found = Artifact(folder, facts)
        with self._guard:
            return self._whole.setdefault(folder, found)


def _age(path: Path) -> float:
    """Sorts what was used last first."""
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0

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
from edgeflow.core.versions import key_of
from edgeflow.files.atomic import folder_half_made, lock, publish, sha256, storage, write_atomic

FACTS = "facts.json"
FILES = "files_sha256"
OWN = "facts_sha256"
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
                table = _checked(json.loads(record.read_text(encoding="utf-8")))
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
            write_atomic(place, json.dumps(_sealed(table), sort_keys=True).encode())
            for old in sorted(self._records(stage, key), key=_age)[SEEN_MAX:]:
                old.unlink(missing_ok=True)

    def _records(self, stage: str, key: str) -> list[Path]:
        return list((self.root / stage / SEEN / key).glob("*.json"))

    def _store(self, half: Path, place: Path, facts: Mapping[str, Any]) -> Artifact:
        files = sorted(path for path in half.rglob("*") if path.is_file())
        table = _sealed({**facts, FILES: {path.relative_to(half).as_posix(): sha256(path) for path in files}})
        with storage(half):
            (half / FACTS).write_text(json.dumps(table, indent=1, sort_keys=True), encoding="utf-8")
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


def held_facts(folder: Path) -> Mapping[str, Any]:
    """Facts of a cached result, after every file of it was held to its hash.

    Raises:
        ValueError, OSError: something is damaged or missing.
    """
    try:
        facts: Mapping[str, Any] = _checked(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        files = {str(name): str(known) for name, known in facts[FILES].items()}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as err:
        raise ValueError(f"{FACTS} is damaged") from err
    for name, known in files.items():
        if sha256(folder / name) != known:
            raise ValueError(f"{name} is damaged: it is not what was stored")
    return facts


def _sealed(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with its own hash in it."""
    plain: dict[str, Any] = json.loads(json.dumps(table))
    return {**plain, OWN: key_of(plain)}


def _checked(table: Any) -> dict[str, Any]:
    rest = {key: value for key, value in table.items() if key != OWN}
    if table[OWN] != key_of(rest):
        raise ValueError("is damaged")
    return rest | {OWN: table[OWN]}


def _age(path: Path) -> float:
    """Sorts what was used last first."""
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0

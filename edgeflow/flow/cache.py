"""Results by content: the same inputs, settings and tools give the same folder, found again instead of made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeflow.core.artifact import Artifact
from edgeflow.files.atomic import folder_atomic, lock, sha256, storage

FACTS = "facts.json"
SIZES = "sizes_bytes"


class Cache:
    """Folders of results under `root`, one a key."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished result of a key, or None."""
        return self._read(self.root / stage / key)

    def find_traced(self, stage: str, key: str) -> Artifact | None:
        """A finished result whose files, read while it was made, still hold what they held then."""
        for folder in sorted((self.root / stage).glob(f"{key}-*")):
            artifact = self._read(folder)
            if artifact is not None and _unchanged(artifact.facts.get("files_sha256", {})):
                return artifact
        return None

    def make(self, stage: str, key: str, work: Callable[[Path], Artifact]) -> Artifact:
        """Find a key's result, or make it; other processes that want it too wait for it."""
        with lock(self.root / stage / f".{key}.lock"):
            found = self.find(stage, key)
            return found if found is not None else self._store(self.root / stage / key, work)

    def make_traced(self, stage: str, key: str, work: Callable[[Path], Artifact]) -> Artifact:
        """Like `make`, for results that depend on files known only afterwards (facts["read"])."""
        with lock(self.root / stage / f".{key}.lock"):
            found = self.find_traced(stage, key)
            if found is not None:
                return found
            place = self.root / stage / f"{key}-{len(list((self.root / stage).glob(f'{key}-*')))}"
            return self._store(place, work)

    def _store(self, place: Path, work: Callable[[Path], Artifact]) -> Artifact:
        with folder_atomic(place) as folder:
            facts = dict(work(folder).facts)
            if "read" in facts:
                # A file that changed while it was used has no hash: the result is never found again.
                touched = set(facts.pop("touched", ()))
                facts["files_sha256"] = {
                    path: "" if path in touched else sha256(Path(path)) for path in facts.pop("read")
                }
            files = (path for path in folder.rglob("*") if path.is_file())
            facts[SIZES] = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
            with storage(folder):
                (folder / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True), encoding="utf-8")
        return Artifact(place, facts)

    @staticmethod
    def _read(folder: Path) -> Artifact | None:
        try:
            facts: Mapping[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            whole = all((folder / name).stat().st_size == size for name, size in facts[SIZES].items())
            if "sha256" in facts and "model.nb" in facts[SIZES]:
                whole = whole and sha256(folder / "model.nb") == facts["sha256"]
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return None
        if not whole:
            return None  # somebody changed what lies in the cache: made again
        return Artifact(folder, facts)


def _unchanged(files: Mapping[str, str]) -> bool:
    try:
        return all(sha256(Path(path)) == known for path, known in files.items())
    except OSError:
        return False

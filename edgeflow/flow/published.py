"""Results at build/<target>/: whole or not at all, and beside what a user put there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from edgeflow.files.atomic import folder_atomic, lock
from edgeflow.flow.others import keep_others, same_content


def publish_results(place: Path, sources: Mapping[str, Path], ours: set[str]) -> None:
    """Put files at `place`, all at once, unless they lie there already.

    Args:
        sources: for each name below `place`, the folder that holds a file of this name.
        ours: names of which an old file is not kept.
    """

    def published() -> bool:
        return all(same_content(place / name, folder / name) for name, folder in sources.items())

    if published():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with lock(place.parent / f".{place.name}.lock"):
        if published():
            return
        with folder_atomic(place) as folder:
            for name, source in sources.items():
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(source / name, folder / name)
            keep_others(place, folder, ours)

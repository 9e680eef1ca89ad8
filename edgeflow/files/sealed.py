"""Tables and folders of results that carry their own hashes, so that damage to a single bit is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeflow.core.versions import key_of
from edgeflow.files.atomic import sha256

FACTS = "facts.json"
FILES = "files_sha256"
OWN = "facts_sha256"


def sealed(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table of JSON values with its own hash in it."""
    plain: dict[str, Any] = json.loads(json.dumps(table))
    return {**plain, OWN: key_of(plain)}


def unsealed(path: Path) -> dict[str, Any]:
    """Read what `sealed` made.

    Raises:
        ValueError, OSError: missing or damaged.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        rest = {key: value for key, value in table.items() if key != OWN}
        if table[OWN] != key_of(rest):
            raise ValueError("its hash differs")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as err:
        raise ValueError(f"{path.name} is damaged") from err
    return rest | {OWN: table[OWN]}


def seal_folder(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write a folder's facts into it, with the hash of every file; returns them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    table = sealed({**facts, FILES: {path.relative_to(folder).as_posix(): sha256(path) for path in files}})
    (folder / FACTS).write_text(json.dumps(table, indent=1, sort_keys=True), encoding="utf-8")
    return table


def held_facts(folder: Path) -> dict[str, Any]:
    """Facts of a sealed folder, after every file of it was held to its hash.

    Raises:
        ValueError, OSError: something is damaged or missing.
    """
    facts = unsealed(folder / FACTS)
    for name, known in facts.get(FILES, {}).items():
        if sha256(folder / name) != known:
            raise ValueError(f"{name} is damaged: it is not what was stored")
    return facts

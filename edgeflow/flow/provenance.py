"""Two manifests of one build: what differs between what was recorded and what a rebuild gave, grouped by cause."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgeflow.core.errors import DataError

Cause = Literal["model", "data", "settings", "target", "tools", "device", "files", "result"]
TITLES: Mapping[Cause, str] = {
    "model": "your model changed",
    "data": "your data changed",
    "settings": "settings changed",
    "target": "the target's profile changed",
    "tools": "tools changed",
    "device": "the reference was computed on another device",
    "files": "files beside the manifest are not the recorded ones",
    "result": "the result differs although all inputs are the same",
}
FOLLOWS = "and with them the result"
INPUTS: tuple[Cause, ...] = ("model", "data", "settings", "target", "tools", "device")

CAUSES: tuple[tuple[tuple[str, ...], Cause], ...] = (
    (("model", "program_sha256"), "model"),
    (("model", "weights_sha256"), "model"),
    (("data",), "data"),
    (("settings",), "settings"),
    (("name",), "settings"),
    (("target",), "target"),
    (("npu_arithmetic",), "target"),
    (("profile_hash",), "target"),
    (("tools",), "tools"),
    (("code",), "tools"),
    (("nb", "opt_version"), "tools"),
    (("reference", "device"), "device"),
)
"""Fields, or whole tables, and what must have changed when they differ; anything else is a result."""

SAID = {
    ("model", "program_sha256"): "the exported program is another one",
    ("model", "weights_sha256"): "the weights are other ones",
    ("data", "evaluation_sha256"): "the evaluation data are other ones",
    ("data", "calibration_sha256"): "the calibration data are other ones",
    ("data", "training_sha256"): "the training data are other ones",
    ("settings", "sources_hash"): "[model] or [data] of the recipe says something else",
    ("profile_hash",): "the profile gives opt other places, precisions or restrictions",
    ("code",): "edgeflow's own code is another one",
    ("nb", "sha256"): "the .nb has other bytes",
    ("reference", "sha256"): "the reference (inputs and outputs) has other bytes",
    ("contract_sha256",): "contract.json has other bytes",
    ("inputs",): "the inputs, as contract.json has them, are other ones",
    ("layers",): "the map from ops to source layers is another one",
}
NEEDED = (
    ("target",),
    ("model", "program_sha256"),
    ("model", "weights_sha256"),
    ("data", "evaluation_sha256"),
    ("nb", "sha256"),
    ("reference", "sha256"),
)
TABLES = (("settings", "compress"), ("tools",))
"""Strings and tables without which a manifest records too little for anything to be called identical."""

OPEN = (("tools",),)
"""Tables whose keys differ from machine to machine: a key that only one side has is a difference."""

WHOLE = (
    ("model", "repairs"),
    ("model", "rewrites"),
    ("model", "respelled"),
    ("nb", "repairs"),
    ("layers",),
    ("settings", "inputs"),
    ("settings", "compress", "layer_algo"),
    ("settings", "compress", "prune_layers"),
)
"""Tables that are compared as one value."""
UNCOMPARED = ("looks_sha256",)
"""What another machine's rounding changes: the hash of the drift that the build saw, layer by layer."""

DEPTH_MAX = 4
NESTED_MAX = 32
SHOWN_MAX = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a manifest that differs; None where one side lacks it."""

    cause: Cause
    field: str
    recorded: Any
    rebuilt: Any
    text: str


def validate(recorded: Mapping[str, Any], where: str) -> None:
    """Hold a manifest to what a comparison needs of it.

    Raises:
        DataError: it lacks a field, or holds another kind of value there, or is nested too deeply.
    """
    waiting: list[tuple[Any, int]] = [(recorded, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > NESTED_MAX:
            raise DataError(f"{where}: is nested more than {NESTED_MAX} deep, which no manifest is")
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        waiting += [(item, depth + 1) for item in inner]
    for path, kind, noun in (
        *((path, str, "a string") for path in NEEDED),
        *((path, Mapping, "a table") for path in TABLES),
    ):
        found: Any = recorded
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(found, kind) or not found:
            raise DataError(
                f"{where}: {'.'.join(path)} is {_shown(found)}, and should be {noun}, or nothing can be compared",
                try_="run edgeflow build again",
            )


def differences(recorded: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What differs, causes before results; fields that `recorded` was written without are left out, see `unrecorded`.

    Args:
        rebuilt: a whole manifest, or the part of one that is known so far (then only its fields are compared).
    """
    before, after = dict(_flat(recorded)), dict(_flat(rebuilt))
    lacking = {path for path in after if path not in before and path[:1] not in OPEN}
    paths = [path for path in sorted({*before, *after}) if path not in lacking]
    found = [
        _difference(path, before.get(path), after.get(path))
        for path in paths
        if _text(before.get(path)) != _text(after.get(path))
    ]
    return tuple(sorted(found, key=lambda item: list(TITLES).index(item.cause)))


def unrecorded(recorded: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields of a rebuild that the record, of an older edgeflow, says nothing about."""
    before, after = dict(_flat(recorded)), dict(_flat(rebuilt))
    return tuple(".".join(path) for path in sorted(after) if path not in before and path[:1] not in OPEN)


def part(table: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest a partial one speaks about, so that the two can be compared."""
    found: dict[str, Any] = {}
    for key in like:
        if key in table:
            inner, other = table[key], like[key]
            nested = isinstance(inner, Mapping) and isinstance(other, Mapping) and (key,) not in OPEN
            found[key] = {k: inner[k] for k in inner if k in other} if nested else inner
    return found


def grouped(found: Sequence[Difference]) -> list[tuple[str, tuple[Difference, ...]]]:
    """Differences under the sentence that says whose doing they are."""
    groups = []
    for cause, title in TITLES.items():
        items = tuple(item for item in found if item.cause == cause)
        if cause == "result" and any(item.cause in INPUTS for item in found):
            title = FOLLOWS
        if cause == "model" and any(item.cause == "tools" for item in found):
            title += ", or other tools exported it in another way"
        if items:
            groups.append((title, items))
    return groups


def _difference(path: tuple[str, ...], before: Any, after: Any) -> Difference:
    cause: Cause = next((cause for start, cause in CAUSES if path[: len(start)] == start), "result")
    name = path[1] if path[0] == "tools" and len(path) > 1 else ".".join(path)
    if path in SAID and before is not None and after is not None:
        text = SAID[path]
    elif _text(before)[:1] in "[{" or _text(after)[:1] in "[{":
        text = f"{name} differs: {_shown(after)}, recorded {_shown(before)}"
    else:
        text = f"{name} is {_shown(after)}, recorded {_shown(before)}"
    return Difference(cause, ".".join(path), before, after, text)


def _flat(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        here = (*path, str(key))
        if here[0] in UNCOMPARED:
            continue
        if isinstance(value, Mapping) and here not in WHOLE and len(here) < DEPTH_MAX:
            yield from _flat(value, here)
        else:
            yield here, value


def _text(value: Any) -> str:
    """A value as text that compares equal where the value does, NaN included; escapes everything but ASCII."""
    return json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = _text(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"

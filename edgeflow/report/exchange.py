"""report.json: a record written as JSON, read back from files that may come from anywhere, and the schema of both.

All three follow the dataclasses of report/record.py, so that a key is named once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from edgeflow.core.errors import DataError
from edgeflow.report.record import FORMAT, VERDICTS, Record
from edgeflow.report.values import real

T = TypeVar("T")
MAX_BYTES = 1 << 26
TEXT_MAX = 20_000
"""Characters of a text that are kept: names come from files and may be megabytes long."""

ITEMS_MAX = 100_000
INTEGER_MAX = 1 << 63
LOOKS = ("layers", "ranked", "first_drift", "waterfall")
"""What only a build sees, with Paddle: a later verification shows it as recorded."""


def table(record: Record) -> dict[str, Any]:
    """What report.json holds: JSON values, infinities and NaN as strings."""
    found: dict[str, Any] = plain_values(record)
    return {"format": FORMAT, **found, "passed": record.passed}


def dump(record: Record) -> bytes:
    """The bytes of report.json: sorted, so that equal records give equal bytes."""
    return (json.dumps(table(record), indent=1, sort_keys=True) + "\n").encode()


def read_record(found: object) -> Record:
    """A record from JSON values of format 1 or 2, whoever wrote them.

    What is missing or of another type becomes None or empty, sizes are bounded, and a report that contradicts itself
    never passes.
    """
    given = found if isinstance(found, Mapping) else {}
    return read(Record, {**given, "verdict": _claimed(given)}) or Record("FAIL")


def load_record(path: Path) -> Record:
    """Read a report.json.

    Raises:
        DataError: it is missing, too large, or no JSON object.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: is larger than {MAX_BYTES} bytes, which no report is")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err.strerror})") from err
    except (ValueError, RecursionError, OverflowError) as err:
        raise DataError(f"{path}: is no report ({type(err).__name__})", try_="run edgeflow build again") from err
    if not isinstance(found, dict):
        raise DataError(f"{path}: is a JSON {type(found).__name__}, and should be an object")
    return read_record(found)


def looks_sha256(record: Record) -> str:
    """Hash of what only a build sees, by which a manifest vouches for it; the same before and after report.json."""
    again = read_record({key: plain_values(getattr(record, key)) for key in LOOKS})
    text = json.dumps({key: plain_values(getattr(again, key)) for key in LOOKS}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _claimed(found: Mapping[Any, Any]) -> str:
    """The verdict that a report claims; without a known word, what `passed` and the limits say."""
    said, passed = found.get("verdict"), found.get("passed")
    if said == "PASS" and passed is False:
        return "FAIL"
    if isinstance(said, str) and said in VERDICTS:
        return said
    limits = found.get("limits")
    limited = isinstance(limits, Mapping) and any(real(value) is not None for value in limits.values())
    return "FAIL" if passed is not True else "PASS" if limited else "NOT JUDGED"


def plain_values(value: Any) -> Any:
    """JSON values at any depth."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return [plain_values(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: plain_values(getattr(value, name)) for name, key in _keys(type(value))}
    return value


def _key(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))


@cache
def _keys(cls: type) -> tuple[tuple[str, str], ...]:
    """Names of a class's fields, and what they are called in the file."""
    return tuple((field.name, _key(field)) for field in dataclasses.fields(cls))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _is_required(field: dataclasses.Field[Any], hint: Any) -> bool:
    """Without it there is no object: it has no default and may not be null."""
    has_none = type(None) in get_args(hint)
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING and not has_none


def read(cls: type[T], found: object) -> T | None:
    """A dataclass of the record from a JSON object; None where that lacks what the class cannot be without."""
    if not isinstance(found, Mapping):
        return None
    values: dict[str, Any] = {}
    for name, key, fit, required, default in _fields(typing.cast(type, cls)):
        given = found.get(key)
        value = None if given is None else fit(given)
        if value is not None:
            values[name] = value
        elif required:
            return None
        elif not default:
            values[name] = None
    return cls(**values)


Fit = Callable[[Any], Any]
"""A value other than null as an annotation wants it, or None."""


@cache
def _fields(cls: type) -> tuple[tuple[str, str, Fit, bool, bool], ...]:
    """Of each field its name, its key, what fits a value to it, whether there is no object without it, and whether it
    has a default: looked up once, for a report holds thousands of objects of one class.
    """
    return tuple(
        (
            field.name,
            _key(field),
            _fitted(_hints(cls)[field.name], field.metadata),
            _is_required(field, _hints(cls)[field.name]),
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
    )


def _fitted(hint: Any, metadata: Mapping[str, Any]) -> Fit:
    """What fits values to an annotation."""
    origin, args = get_origin(hint), [arg for arg in get_args(hint) if arg is not type(None)]
    if origin in (typing.Union, types.UnionType):
        fits = [_fitted(arg, metadata) for arg in args]
        return (
            fits[0]
            if len(fits) == 1
            else lambda value: next((x for fit in fits if (x := fit(value)) is not None), None)
        )
    if origin is Literal:
        return lambda value: value if isinstance(value, (str, int)) and value in args else None
    if origin is tuple:
        return _fitted_list(get_args(hint), metadata)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _fit_texts
    if dataclasses.is_dataclass(hint):
        return lambda value: read(typing.cast(type, hint), value)
    return {float: real, int: _fit_integer, bool: _fit_bool}.get(hint) or (lambda value: _fit_text(value, metadata))


def _fit_integer(value: Any) -> int | None:
    held = isinstance(value, int) and not isinstance(value, bool) and abs(value) < INTEGER_MAX
    return value if held else None


def _fit_bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _fit_texts(value: Any) -> dict[str, str | None] | None:
    if not isinstance(value, Mapping):
        return None
    return {_text(key, 200): _fit_text(item, {}) for key, item in list(value.items())[:ITEMS_MAX]}


def _fit_text(value: Any, metadata: Mapping[str, Any]) -> str | None:
    if not isinstance(value, str):
        return None
    pattern, longest = metadata.get("pattern"), metadata.get("length_max", TEXT_MAX)
    if pattern is None:
        return _text(value, longest)
    return value if len(value) <= longest and re.fullmatch(pattern.strip("^$"), value) else None


def _text(value: Any, longest: int) -> str:
    text = str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _fitted_list(args: tuple[Any, ...], metadata: Mapping[str, Any]) -> Fit:
    if args[-1] is Ellipsis:
        each = _fitted(args[0], metadata)

        def many(value: Any) -> tuple[Any, ...] | None:
            if not isinstance(value, (list, tuple)):
                return None
            return tuple(x for item in value[:ITEMS_MAX] if item is not None and (x := each(item)) is not None)

        return many
    fits = [_fitted(arg, metadata) for arg in args]

    def some(value: Any) -> tuple[Any, ...] | None:
        if not isinstance(value, (list, tuple)) or len(value) != len(fits) or None in value:
            return None
        found = tuple(fit(item) for fit, item in zip(fits, value, strict=True))
        return None if None in found else found

    return some


def schema() -> dict[str, Any]:
    """The JSON schema of report.json, which edgeflow/report/report.schema.json holds; `scripts/schema` writes it."""
    number = {
        "description": "A measured number; infinities and NaN are strings, for JSON has none.",
        "anyOf": [{"type": ["number", "null"]}, {"enum": ["inf", "-inf", "nan"]}],
    }
    body = _object(Record)
    properties: dict[str, Any] = {"format": {"const": FORMAT}}
    for name, inner in body["properties"].items():
        properties[name] = inner
        if name == "verdict":
            properties["verdict"] = {"enum": [*VERDICTS, None]}
            properties["passed"] = {"type": ["boolean", "null"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:edgeflow:report:{FORMAT}",
        "title": f"edgeflow report.json, format {FORMAT}",
        "description": "What one verification of a .nb showed. docs/report.md explains every key. All but `format` "
        "may be null or missing.",
        "$defs": {"number": number},
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": ["format"],
    }


def _object(cls: type) -> dict[str, Any]:
    fields = [(field, _hints(cls)[field.name]) for field in dataclasses.fields(cls)]
    found: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {_key(field): _schema(hint, field.metadata, _is_required(field, hint)) for field, hint in fields},
    }
    needed = [_key(field) for field, hint in fields if _is_required(field, hint)]
    return {**found, "required": needed} if needed else found


def _schema(hint: Any, metadata: Mapping[str, Any], required: bool) -> dict[str, Any]:
    """What a field's annotation allows; null beside it, but for what is required."""
    origin, args = get_origin(hint), [arg for arg in get_args(hint) if arg is not type(None)]
    null = [] if required else ["null"]
    if origin in (typing.Union, types.UnionType):
        if len(args) == 1:
            return _schema(args[0], metadata, required=False)
        return {"type": [*(_NAMES[arg] for arg in args), "null"]}
    if origin is Literal:
        return {"enum": [*args, *([] if required else [None])]}
    if origin is tuple and args[-1] is not Ellipsis:
        items = [_schema(arg, {}, required=True) for arg in args]
        pair = {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
        return pair if required else {"oneOf": [{"type": "null"}, pair]}
    if origin is tuple:
        return {"type": ["array", *null], "items": _schema(args[0], {}, required=True)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": ["object", *null], "additionalProperties": {"type": ["string", "null"]}}
    if dataclasses.is_dataclass(hint):
        found = _object(typing.cast(type, hint))
        return found if required else {**found, "type": ["object", "null"]}
    if hint is float:
        return {"$ref": "#/$defs/number"}
    found = {"type": [_NAMES[hint], "null"]} if null else {"type": _NAMES[hint]}
    if hint is int:
        found["minimum"] = 0
    return {**found, **{key: metadata[key] for key in ("pattern",) if key in metadata}}


_NAMES: dict[Any, str] = {int: "integer", str: "string", bool: "boolean"}

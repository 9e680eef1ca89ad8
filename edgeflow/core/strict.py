"""Turn tables of TOML or JSON into frozen dataclasses; an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, TypeVar, get_args, get_origin

from edgeflow.core.errors import EdgeflowError, near, together

T = TypeVar("T")
TOLD_MAX = 20
"""Unknown keys of one table that are named; more say nothing more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Overrides(Generic[T]):
    """Those keys of a settings dataclass `T` that a table gives, each held to T's own annotations."""

    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def over(self, settings: T) -> T:
        """The settings, overridden by the keys that were given."""
        return dataclasses.replace(settings, **self.given)  # type: ignore[type-var]


def strict(cls: type[T], table: object, where: str, error: type[EdgeflowError]) -> T:
    """Build `cls` from `table`, holding every key and value to the dataclass's own annotations.

    Args:
        where: names the table in messages, such as `edgeflow.toml [compress]`.
        error: the child of EdgeflowError to raise.

    Raises:
        error: not a table, an unknown or missing key, or a value of another type; it carries all others of the table.
    """
    return cls(**_given(cls, table, where, error, whole=True))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _given(cls: type, table: object, where: str, error: type[EdgeflowError], *, whole: bool = False) -> dict[str, Any]:
    """The values that a table gives, by the names of the dataclass's fields.

    Args:
        whole: a key without a default has to be there.
    """
    if not isinstance(table, Mapping):
        raise error(f"{where}: is {table!r}, and should be a table")
    hints = _hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = [key for key in table if key not in fields][:TOLD_MAX]
    wrong = [error(f"{where}: unknown key {key!r}; {near(str(key), fields)}") for key in unknown]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            try:
                values[name] = _fit(hints[name], table[name], where, name, error)
            except error as err:
                wrong.append(err)
        elif whole and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            wrong.append(error(f"{where}: key {name!r} is missing"))
    if wrong:
        raise together(wrong)
    return values


def _fit(hint: Any, value: Any, where: str, key: str, error: type[EdgeflowError]) -> Any:
    """Return `value` as `hint` wants it: lists become tuples, tables become dataclasses."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        hint = next(arg for arg in args if arg is not type(None))
        return _fit(hint, value, where, key, error)
    inner = f"{where}.{key}" if "[" not in where else where
    if origin is Overrides:
        return Overrides(_given(args[0], value, inner, error))
    if dataclasses.is_dataclass(hint):
        return strict(hint, value, inner, error)  # type: ignore[arg-type]
    if origin is typing.Literal:
        if value not in args:
            raise error(f"{where}: {key} is {value!r}; {near(str(value), map(str, args), 'one of')}")
        return value
    if origin is not None:
        return _fit_many(hint, value, where, key, error)
    return _fit_one(hint, value, where, key, error)


def _fit_many(hint: Any, value: Any, where: str, key: str, error: type[EdgeflowError]) -> Any:
    """A list as a tuple, or a table, whose items fit."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise error(f"{where}: {key} is {value!r}, and should be a list")
        return tuple(_fit(args[0], item, where, f"{key}[{i}]", error) for i, item in enumerate(value))
    if not isinstance(value, Mapping):
        raise error(f"{where}: {key} is {value!r}, and should be a table")
    return {k: _fit(args[1], v, where, f"{key}.{k}", error) for k, v in value.items()}


def _fit_one(hint: Any, value: Any, where: str, key: str, error: type[EdgeflowError]) -> Any:
    """A string, number or truth value; a whole number does for a float."""
    if hint is Any or hint is object:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise error(f"{where}: {key} is {value!r}, and should be {_noun(hint)}")
    return value


def _noun(hint: type) -> str:
    return {
        str: "a string",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
    }.get(hint, hint.__name__)

"""The table of ops, ops.toml, and what PaddlePaddle 2.6.2 registered the old ones with, old_ops.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an input goes: into an input `name` of the old op; or into the attribute `attr` where it is a constant, and
    else into `name`, or `many` where it is a list of single numbers. All empty: the old op has nothing like it.
    """

    name: str = ""
    attr: str = ""
    many: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one op of Paddle 3 was said in 2.6.2; see ops.toml."""

    old: str
    inputs: tuple[Slot, ...]
    outputs: tuple[str, ...]
    renamed: Mapping[str, str]
    added: Mapping[str, Any]
    only: Mapping[str, Any]
    ignored: frozenset[str]


@cache
def rules() -> Mapping[str, Rule]:
    """Rules by Paddle 3's names."""
    table = tomllib.loads(Path(__file__).with_name("ops.toml").read_text(encoding="utf-8"))
    lines = {name: f"{name}: X -> Out" for name in table["same"].split()} | table["ops"]
    return {name: _rule(line) for name, line in lines.items()}


def rule_of(name: str) -> Rule | None:
    """The rule for an op; one that works in place (`relu_`) computes what the other does."""
    found = rules()
    return found.get(name) or found.get(name.removesuffix("_"))


@cache
def old_attributes() -> Mapping[str, Mapping[str, list[Any]]]:
    """Attributes of the old ops: [kind] of one that may be left out, [kind, default], or [kind, None] of one that has
    to be given. Written by scripts/pir_ops.
    """
    table: Mapping[str, Mapping[str, list[Any]]] = json.loads(
        Path(__file__).with_name("old_ops.json").read_text(encoding="utf-8")
    )["ops"]
    return table


def _rule(line: str) -> Rule:
    signature, _, words = line.partition(" | ")
    old, _, slots = signature.partition(":")
    inputs, _, outputs = slots.partition("->")
    renamed: dict[str, str] = {}
    added: dict[str, Any] = {}
    only: dict[str, Any] = {}
    ignored = set()
    for word in words.split():
        name, _, value = word.lstrip("+!-").partition("=")
        if word[0] == "-":
            ignored.add(name)
        elif word[0] in "+!":
            (added if word[0] == "+" else only)[name] = _word(value)
        else:
            renamed[name] = value
    return Rule(
        old, tuple(map(_slot, inputs.split())), tuple(outputs.split()), renamed, added, only, frozenset(ignored)
    )


def _slot(word: str) -> Slot:
    if word == "_":
        return Slot()
    if not word.startswith("."):
        return Slot(name=word)
    attr, name, many = (*word[1:].split("|"), "", "")[:3]
    return Slot(name, attr, many.rstrip("*"))


def _word(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

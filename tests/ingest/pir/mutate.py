"""Paddle 3 programs changed at random, in their JSON and in its bytes: scripts/fuzz_pir."""

from __future__ import annotations

import json
import random
import time
import traceback
from collections import Counter
from typing import Any

from edgeflow.core.errors import EdgeflowError
from edgeflow.ingest.pir.read import parse
from edgeflow.ingest.pir.translate import old_program

ODD = (
    None, True, "", "x", "1.conv2d", "0.combine", "p", 0, 1, -1, 2, 7, 1 << 31, 1 << 63, -(1 << 63), 1 << 70, 0.5, 1e308,
    [], {}, [1, 2], {"#": "0.a_i32", "D": 3}, {"#": "0.a_str", "D": "NCHW"}, {"%": 1}, [{"%": 2}], "\ud800", "a" * 5000,
    {"#": "NULL"}, {"#": "0.t_vec", "D": []}, {"#": "1.a_intarray", "D": [1, -1]}, {"#": "0.a_f64", "VD": "NaN"},
)  # fmt: skip


def _places(node: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    for key in node if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], (dict, list)):
            _places(node[key], found)
    return found


def mutated(raw: bytes, dice: random.Random) -> bytes:
    if dice.random() < 0.05:
        cut = bytearray(raw)
        for _ in range(dice.randint(1, 3)):
            cut[dice.randrange(len(cut))] = dice.randrange(256)
        return bytes(cut[: dice.randrange(len(cut))] if dice.random() < 0.3 else cut)
    document = json.loads(raw)
    places = _places(document, [])
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        node, key = dice.choice(places)
        other, place = dice.choice(places)
        try:
            kind = dice.random()
            if kind < 0.5:
                node[key] = dice.choice(ODD)
            elif kind < 0.75:
                node[key] = json.loads(json.dumps(other[place]))
            elif kind < 0.85:
                del node[key]
            elif isinstance(node, list):
                node.insert(key, json.loads(json.dumps(node[key])))
        except (IndexError, KeyError, ValueError):
            continue
    return json.dumps(document).encode("utf-8", "surrogatepass")


def fuzz(seeds: list[bytes], runs: int, seconds: float, seed: int) -> tuple[int, int, Counter[str]]:
    """Executions, refusals, and faults by the end of their traceback."""
    dice, faults, refused, done = random.Random(seed), Counter[str](), 0, 0
    end = time.monotonic() + seconds
    while done < runs and time.monotonic() < end:
        raw = mutated(dice.choice(seeds), dice)
        done += 1
        try:
            old_program(parse(raw, "mutated.json"), "mutated.json")
        except EdgeflowError:
            refused += 1
        except BaseException:
            faults["".join(traceback.format_exc().splitlines(keepends=True)[-7:])] += 1
    return done, refused, faults

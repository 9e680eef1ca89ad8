"""Paddle 3 programs changed at random, in their JSON and in its bytes: scripts/fuzz_pir."""

from __future__ import annotations

import itertools
import json
import marshal
import random
import time
import traceback
from collections import Counter
from functools import lru_cache
from typing import Any

from edgeflow.core.errors import EdgeflowError
from edgeflow.ingest.pir.read import parse
from edgeflow.ingest.pir.translate import old_program

ODD = (
    None, True, "", "x", "1.conv2d", "0.combine", "p", 0, 1, -1, 2, 7, 1 << 31, 1 << 63, -(1 << 63), 1 << 70, 0.5, 1e308,
    [], {}, [1, 2], {"#": "0.a_i32", "D": 3}, {"#": "0.a_str", "D": "NCHW"}, {"%": 1}, [{"%": 2}], "\ud800", "a" * 5000,
    {"#": "NULL"}, {"#": "0.t_vec", "D": []}, {"#": "1.a_intarray", "D": [1, -1]}, {"#": "0.a_f64", "VD": "NaN"},
)  # fmt: skip


_ODD = [marshal.dumps(item) for item in ODD]


@lru_cache(4096)
def _parsed(raw: bytes) -> tuple[bytes, tuple[tuple[Any, ...], ...]]:
    """A document as what is read faster than JSON, and the ways to every place in it."""
    document, found = json.loads(raw), list[tuple[Any, ...]]()

    def walk(node: Any, way: tuple[Any, ...]) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            found.append((*way, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key], found[-1])

    walk(document, ())
    return marshal.dumps(document), tuple(found)


def _at(node: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        node = node[key]
    return node


def mutated(raw: bytes, dice: random.Random) -> bytes:
    if dice.random() < 0.05:
        cut = bytearray(raw)
        for _ in range(dice.randint(1, 3)):
            cut[dice.randrange(len(cut))] = dice.randrange(256)
        return bytes(cut[: dice.randrange(len(cut))] if dice.random() < 0.3 else cut)
    packed, places = _parsed(raw)
    document = marshal.loads(packed)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        *way, key = dice.choice(places)
        other, kind = dice.choice(places), dice.random()
        try:
            node = _at(document, tuple(way))
            if kind < 0.5:
                node[key] = marshal.loads(dice.choice(_ODD))  # a new one: later changes may go into it
            elif kind < 0.75:
                node[key] = marshal.loads(marshal.dumps(_at(document, other)))
            elif kind < 0.85:
                del node[key]
            elif isinstance(node, list):
                node.insert(key, marshal.loads(marshal.dumps(node[key])))
        except (IndexError, KeyError, TypeError):
            continue  # an earlier change took it away
    return json.dumps(document).encode("utf-8", "surrogatepass")


def fuzz(seeds: list[bytes], runs: int, seconds: float, seed: int) -> tuple[int, int, Counter[str]]:
    """Executions, refusals, and faults by the end of their traceback; small seeds are taken more often."""
    often = list(itertools.accumulate(1 / len(raw) for raw in seeds))
    dice, faults, refused, done = random.Random(seed), Counter[str](), 0, 0
    end = time.monotonic() + seconds
    while done < runs and time.monotonic() < end:
        raw = mutated(dice.choices(seeds, cum_weights=often)[0], dice)
        done += 1
        try:
            old_program(parse(raw, "mutated.json"), "mutated.json")
        except EdgeflowError:
            refused += 1
        except BaseException:
            trace = "".join(traceback.format_exc().splitlines(keepends=True)[-7:])
            faults[trace] += 1
            if faults[trace] == 1:
                print(f"new: {trace}", flush=True)
    return done, refused, faults

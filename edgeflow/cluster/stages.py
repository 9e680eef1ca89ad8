"""Stages of one target made on a worker: the order and what stage 1 gave come in, finished results go back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edgeflow.core.artifact import Artifact
from edgeflow.core.versions import key_of
from edgeflow.files.sealed import FACTS, FILES, held_facts
from edgeflow.flow.build import Flow
from edgeflow.flow.executor import Filled, Order
from edgeflow.flow.how import How


def stages_of(order: Order, ingested: Path, home: Path, told: Path) -> list[Filled]:
    """Make the stages of an order.

    Args:
        ingested: what stage 1 gave.
        home: where results are kept for the next order.
        told: a file that gets a line for each step.
    """
    flow_of = replace(order.recipe, folder=_project(home, order))
    artifact = Artifact(ingested, held_facts(ingested))
    how = How(order.fresh, jobs=1, layers=order.layers)
    with told.open("a", encoding="utf-8") as stream:

        def say(_target: str, stage: str, what: str) -> None:
            if not what.startswith(("log: ", "note: ", "about ")):
                stream.write(f"{stage}\t{what}\n")
                stream.flush()

        with Flow(flow_of, home / "build", say, 1, how) as flow:
            flow.keep_on_cpu = order.keep_on_cpu
            flow.begin(order.target)
            precision = order.target.choose(order.settings.precision)
            compressed = flow.compress(order.target, order.settings, precision, artifact)
            converted = flow.convert(order.target, compressed)
            made = [compressed, converted]
            if order.verify:
                made.append(flow.verify(order.target, artifact, compressed, converted))
    return [_packed(one) for one in made]


def _project(home: Path, order: Order) -> Path:
    """A folder that stands for the recipe's, with what the order has of it."""
    folder = home / "projects" / key_of({name: raw.hex() for name, raw in order.files.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in order.files.items():
        place = folder / name
        if not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            half = place.with_name(f".{place.name}.{os.getpid()}")
            half.write_bytes(raw)
            half.replace(place)
    return folder


def _packed(made: Artifact) -> Filled:
    files = {name: (made.folder / name).read_bytes() for name in (FACTS, *made.facts[FILES])}
    return Filled(made.folder.parent.name, made.folder.name, files)

"""How rounding ties fell in the program that an int8 file was made from: known once, and no tie is in doubt any more.

A fake-quantised program and the file made from it compute the same, but for elements that lie at half a step, where the
last digits of a sum decide. In a deep net every sample has some, and each moves all that comes after it. `own_values`
feeds every op of the file the program's own values, so that no tie reaches another op; `Decided` runs the file with the
elements that fell the other way, and no others, as the program had them. What differs then is no tie.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeflow.emulate.graph import INT8, Array, Graph, Sites, Value
from edgeflow.emulate.lower import Lowerer
from edgeflow.emulate.runner import Emulator
from edgeflow.emulate.single import own_scale
from edgeflow.nb import Model


@dataclass(frozen=True, slots=True)
class Site:
    """An op of block 0 that quantises its result: its position, the variable, and the size of a step."""

    place: int
    variable: str
    scale: float


def sites(model: Model) -> list[Site]:
    """Every op of block 0 that rounds its result to int8, in order."""
    found = []
    for place, op in enumerate(model.blocks[0].operations):
        scale = own_scale(op)
        names = [name for names in op.outputs.values() for name in names]
        if scale and len(names) == 1:
            found.append(Site(place, names[0], scale))
    return found


def own_values(
    model: Model, feed: Mapping[str, Array], given: Mapping[int, Array], *, threads: int | None = None
) -> dict[int, Array]:
    """What each op quantises to, int8 by its position, when every op is fed the program's values.

    Args:
        given: int8 by position of the op; ops that are not named feed others what they computed.
    """
    with _Sited(model, _Fed(tuple(given)), threads) as emulator:
        extra = {f"fed/{place}": _biased(array).ravel() for place, array in given.items()}
        return {item.index: item.array for item in emulator.dump(feed, extra)}


@dataclass(frozen=True, slots=True)
class Decisions:
    """Elements that fell the other way in one run: the op's position, the element in its result laid flat, and int8
    values of the file and of the program. All int32[n].
    """

    place: Array
    element: Array
    own: Array
    instead: Array


class Decided:
    """A file that is run with its ties as the program had them.

    Args:
        shapes: of what is quantised, by the position of the op: those of one run.
    """

    def __init__(self, model: Model, shapes: Mapping[int, tuple[int, ...]], *, threads: int | None = None) -> None:
        self._shapes = shapes
        self._emulator = _Sited(model, _Instead(tuple(shapes)), threads)

    def infer(self, feed: Mapping[str, Array], known: Decisions) -> list[Array]:
        """Outputs by position. An element goes the other way only where the file's value is what it was."""
        extra: dict[str, Array] = {}
        for place, shape in self._shapes.items():
            here = known.place == place
            for what, values in (("own", known.own), ("instead", known.instead)):
                whole = np.zeros(math.prod(shape), np.uint8)  # no int8 is stored as 0: it would be -128
                whole[known.element[here]] = _biased(values[here])
                extra[f"{what}/{place}"] = whole.reshape(shape)
        return list(self._emulator.infer(feed, extra).values())


class _Sited(Emulator):
    """An emulator that does something with each tensor that is quantised."""

    def __init__(self, model: Model, at: Sites, threads: int | None) -> None:
        super().__init__(model, threads=threads)
        self._lowerer = Lowerer(self.model, self.npu, sites=at)


def _biased(array: Array) -> Array:
    """int8 as the emulator stores it: uint8 around 128."""
    return (np.asarray(array).astype(np.int16) + 128).astype(np.uint8)


@dataclass(frozen=True)
class _Fed:
    """Watches what each op quantises to, and feeds the ops after it something else."""

    places: tuple[int, ...]

    def at(self, g: Graph, q: Value) -> Value:
        if g.place not in self.places or g.watched is None:
            return q
        g.watched.append(q)
        fed = Value(f"fed/{g.place}", INT8, (math.prod(q.shape),))
        g.extra.append(fed)
        return g.reshape(fed, q.shape)


@dataclass(frozen=True)
class _Instead:
    """Puts single elements in the place of others, where these are what they were."""

    places: tuple[int, ...]

    def at(self, g: Graph, q: Value) -> Value:
        if g.place not in self.places:
            return q
        own, instead = (Value(f"{what}/{g.place}", "uint8", q.shape) for what in ("own", "instead"))
        g.extra += [own, instead]
        plain = g.relabel(q, "uint8")
        return g.relabel(g.add("Where", g.add("Equal", plain, own), instead, plain), INT8)

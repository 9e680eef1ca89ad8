"""NPUs that are wrong on purpose: the emulator, with a fault planted in what a file has on the NPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeflow import nb
from edgeflow.core.errors import ProgramDied
from edgeflow.emulate import Emulator
from edgeflow.nb.model import Attribute, AttrType, Block, Model, Op

Rewrite = Callable[[Op, Block, Model], list[Op] | None]
"""What stands in place of an op that is on the NPU; None leaves it."""


def name_of(op: Op) -> str:
    """`TYPE::RESULT`, as a recipe's line has it."""
    written = next(names[0] for key, names in op.outputs.items() if key != "XShape")
    return f"{op.type}::{written.removesuffix('.dequantized')}"


def doubled(op: Op) -> list[Op]:
    """The op, and behind it another that halves its result."""
    key = next(key for key in op.outputs if key != "XShape")
    (result,) = op.outputs[key]
    scales = {n: a for n, a in op.attributes.items() if n in ("Out0_scale", "Output0_scale")}
    step = next(iter(scales.values()), None)
    more = {} if step is None else {"X0_scale": step, "Out0_scale": step}
    halve = Op(
        "scale",
        {"X": (f"{result}/faulty",)},
        {"Out": (result,)},
        {
            "scale": Attribute(AttrType.FLOAT, 0.5),
            "bias": Attribute(AttrType.FLOAT, 0.0),
            "bias_after_scale": Attribute(AttrType.BOOLEAN, True),
            **more,
        },
    )
    return [replace(op, outputs={**op.outputs, key: (f"{result}/faulty",)}), halve]


def alone(line: str) -> Rewrite:
    """One op is wrong wherever it stands on the NPU."""
    return lambda op, block, model: doubled(op) if name_of(op) == line else None


def together(first: str, second: str) -> Rewrite:
    """The second is wrong where the first is on the NPU too, in whatever piece."""

    def rewrite(op: Op, block: Block, model: Model) -> list[Op] | None:
        there = {name_of(other) for each in model.blocks[1:] for other in each.operations}
        return doubled(op) if name_of(op) == second and first in there else None

    return rewrite


def layout(op: Op, block: Block, model: Model) -> list[Op] | None:
    """What flattens takes pixels in the driver's own order, channels last, from a neighbour in the same piece."""
    made = {name for other in block.operations for names in other.outputs.values() for name in names}
    source = op.input("X")
    if op.type != "flatten_contiguous_range" or source not in made:
        return None
    turned = Op(
        "transpose2",
        {"X": (source,)},
        {"Out": (f"{source}/last",)},
        {
            "axis": Attribute(AttrType.INTS, (0, 2, 3, 1)),
            **{n: a for n, a in op.attributes.items() if n in ("X0_scale", "Out0_scale")},
        },
    )
    return [turned, replace(op, inputs={**op.inputs, "X": (f"{source}/last",)})]


def shape(channels: int) -> Rewrite:
    """Convolutions to so many channels are wrong."""

    def rewrite(op: Op, block: Block, model: Model) -> list[Op] | None:
        weight = model.parameters.get(op.input("Filter") or "")
        wrong = op.type == "conv2d" and weight is not None and weight.dims[0] == channels
        return doubled(op) if wrong else None

    return rewrite


@dataclass
class Device:
    """Opens files as tuning.bisect does; `opened` counts, and `unplug_at` breaks the connection at that run."""

    rewrite: Rewrite
    npu: str = "float32"
    refuses: tuple[str, ...] = ()
    says: bool = True
    opened: int = 0

    @contextmanager
    def __call__(self, path: Path) -> Iterator[Emulator]:
        model = nb.read(path)
        self.opened += 1
        for block in model.blocks[1:]:
            for op in block.operations:
                if op.type in self.refuses or name_of(op) in self.refuses:
                    what = f"Op {op.type} is not supported!" if self.says else "Check failed: result == 0"
                    raise ProgramDied(f"phone: dump: aborted, with signal 6 ({what})")
        blocks = [
            replace(
                block,
                operations=tuple(new for op in block.operations for new in (self.rewrite(op, block, model) or [op])),
            )
            for block in model.blocks[1:]
        ]
        with (
            np.errstate(all="ignore"),
            Emulator(replace(model, blocks=(model.blocks[0], *blocks)), npu=self.npu) as one,
        ):
            yield one

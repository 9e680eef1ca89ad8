"""Attributes that an older Paddle, or another exporter, left out of a program: Paddle fills them in, opt aborts.

Source: the op definitions of PaddlePaddle 2.6.2, asked by scripts/pure_ops (core.get_op_attrs_default_value).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgeflow.graph.program import schema
from edgeflow.graph.structure import SLOTS, known

AT_INFERENCE = {"is_test": True}
"""Paddle's default is training, which an exported program is not for: dropout would draw at random."""


def fill(program: Any) -> dict[str, int]:
    """Write out every attribute that Paddle takes a default for.

    Returns:
        How often each was written, such as {"conv2d.groups": 1}.
    """
    proto = schema()
    made: Counter[str] = Counter()
    for op in (op for block in program.blocks for op in block.ops):
        own = {attr.name for attr in op.attrs}
        for name, given in known()["defaults"].get(op.type, {}).items():
            if name in own:
                continue
            ((kind, value),) = given.items()
            attr = op.attrs.add(name=name, type=getattr(proto, kind))
            slot = SLOTS[kind][0]
            if isinstance(value, list):
                getattr(attr, slot).extend(value)
            else:
                setattr(attr, slot, AT_INFERENCE.get(name, value))
            made[f"{op.type}.{name}"] += 1
    return dict(sorted(made.items()))

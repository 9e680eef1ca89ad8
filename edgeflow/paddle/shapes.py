"""Dims of a program's variables, as Paddle's own ops derive them from the dims of its inputs."""

from __future__ import annotations

from typing import Any

from edgeflow.core.errors import ModelError, last_line
from edgeflow.graph.program import schema
from edgeflow.paddle.session import paddle


def inferred_dims(program: Any) -> dict[str, tuple[int, ...]]:
    """Dims of the dense tensors that the ops of block 0 write; -1 where only running tells.

    Args:
        program: a ProgramDesc that graph/structure.py has held to its ops.

    Raises:
        ModelError: an op does not take inputs of these dims.
    """
    core = paddle().base.core
    whole = core.ProgramDesc(program.SerializeToString())  # its blocks live as long as it does
    block = whole.block(0)
    dense = {v.name for v in program.blocks[0].vars if v.type.type == schema().VarType.LOD_TENSOR}
    found: dict[str, tuple[int, ...]] = {}
    for index in range(block.op_size()):
        op = block.op(index)
        if op.type() in ("feed", "fetch") or op.has_attr("sub_block"):
            continue
        outputs = [name for name in op.output_arg_names() if name in dense]
        try:
            op.infer_shape(block)
        except Exception as err:
            raise ModelError(
                f"op {index} ({op.type()}) does not take its inputs in the recipe's shapes ({last_line(err)})",
                try_="other sizes under [inputs]: networks often want multiples of 32",
            ) from err
        for name in outputs:
            found[name] = tuple(int(d) for d in block.find_var(name.encode()).shape())
    return found

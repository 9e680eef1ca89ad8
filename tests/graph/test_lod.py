"""Programs on LoD are refused by name, with who lacks what, before Paddle sees their shapes."""

from __future__ import annotations

from typing import Any

import pytest

from edgeflow.core.errors import ModelError
from edgeflow.graph import program as programs
from edgeflow.graph.lod import refuse_lod

pytestmark = pytest.mark.build


def program_of(*kinds: str, lod_level: int = 0, **inputs: str) -> Any:
    made = programs.schema().ProgramDesc()
    block = made.blocks.add(idx=0, parent_idx=-1)
    block.vars.add(name="x").type.lod_tensor.lod_level = lod_level
    block.ops.add(type="feed").outputs.add(parameter="Out").arguments.append("x")
    for kind in kinds:
        op = block.ops.add(type=kind)
        for parameter, name in {"Input": "x", **inputs}.items():
            op.inputs.add(parameter=parameter).arguments.append(name)
    return made


def test_what_needs_the_rows_of_each_sample_is_refused_by_name() -> None:
    with pytest.raises(ModelError) as caught:
        refuse_lod(program_of("gru", "crf_decoding", "gru", "sequence_reverse", lod_level=1), "lac")
    assert "crf_decoding (1), gru (2): opt and Paddle Lite's ARM library have kernels" in caught.value.what
    assert "sequence_reverse (1): neither opt nor Paddle Lite has a kernel" in caught.value.what


def test_what_runs_on_plain_arrays_is_not() -> None:
    refuse_lod(program_of("conv2d", lod_level=1), "nothing on LoD")
    refuse_lod(program_of("crf_decoding", Length="n"), "padded")
    refuse_lod(program_of("im2sequence", "gru"), "makes its own")

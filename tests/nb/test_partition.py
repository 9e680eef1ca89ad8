"""Where ops run: one answer in inspect, report, residency and plan, for every golden file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edgeflow import nb
from edgeflow.cli.plan import plans
from edgeflow.deploy.runners import where_it_ran
from edgeflow.emulate.examined import Examined
from edgeflow.graph.partition import Piece, Predicted
from edgeflow.nb.partition import placement
from edgeflow.nb.summary import summarise
from edgeflow.verify.file_facts import partition as reported
from tests.conftest import GOLDEN
from tests.nb.make import model, op

FILES = sorted(GOLDEN.glob("*/model.nb"))
NPU = [path for path in FILES if placement(nb.read(path)).subgraphs]


def by_hand(file: nb.Model) -> tuple[int, int, int]:
    """Subgraphs, ops in them, and ops beside them."""
    first = file.blocks[0].operations
    inside = sum(len(file.blocks[o.attr("sub_block")].operations) for o in first if o.type == "subgraph")
    beside = sum(o.type not in ("feed", "fetch", "subgraph") for o in first)
    return sum(o.type == "subgraph" for o in first), inside, beside


@pytest.mark.parametrize("path", NPU, ids=lambda p: p.parent.name)
def test_one_answer_for_an_npu_file(path: Path) -> None:
    file = nb.read(path)
    wanted = by_hand(file)
    summary = summarise(file, "")
    assert summary.partition is not None
    assert (summary.partition.subgraphs, summary.partition.npu_ops, summary.partition.cpu_ops) == wanted
    assert summary.ops == wanted[1] + wanted[2] == sum(summary.targets.values())
    report = reported(Examined(path), "float32")
    assert (report.subgraphs, report.npu_ops, report.cpu_ops) == wanted
    assert sum(row.place == "npu" for row in report.ops) == wanted[1]
    assert {row.subgraph for row in report.ops if row.place == "npu"} == set(range(wanted[0]))
    runner: Any = SimpleNamespace(
        model=file,
        options=SimpleNamespace(runtime=SimpleNamespace(devices=("x",))),
        traces=SimpleNamespace(log="", cache_files=tuple(f"{i}.nnc" for i in range(wanted[0]))),
    )
    ran = where_it_ran(cast(Any, runner))
    assert ran is not None
    assert ran.share == wanted[1] / (wanted[1] + wanted[2])


def test_plan_counts_alike() -> None:
    pieces = (Piece(("a", "b"), ("relu", "relu"), (), ()), Piece(("c",), ("tanh",), (), ()))
    split = Predicted(pieces, (("scale", "d"),), 4)
    assert split.npu_ops == 3
    plan = SimpleNamespace(
        target="kirin",
        precision="float32",
        ops=4,
        valid_targets="",
        outputs=(),
        respelled={},
        split=split,
        findings=(),
        borders=None,
        buildable=1,
    )
    assert any("3 ops for the NPU in 2 subgraphs, 1 on the CPU" in line for line in plans([plan]))


def test_files_for_the_cpu() -> None:
    assert len(NPU) >= 2
    for path in FILES:
        if path not in NPU:
            assert placement(nb.read(path)).npu == ()


def test_subgraphs_that_name_no_block() -> None:
    block = nb.Block((op("relu", {"X": "x"}, {"Out": "y"}, None),))
    for number, inside in ((1, 1), (2, 0), (-1, 0), ("x", 0), ((1,), 0)):
        file = model([op("subgraph", {"Inputs": "x"}, {"Outputs": "y"}, sub_block=number)], blocks=(block,))
        found = placement(file)
        assert (found.subgraphs, len(found.npu), len(found.cpu)) == (1, inside, 0)

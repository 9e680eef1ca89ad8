"""Pruning of graphs that PaddleSlim alone gets wrong: means, reshapes, groups, and layers that are not asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.compress.prune import cuts, prune
from edgeflow.core.errors import CompressFailed
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.paddle.session import Session, feeds_for, fixed_batch
from tests.graph.programs import export, rewritten, run

pytestmark = pytest.mark.build

X = np.random.default_rng(0).uniform(0, 1, (8, 3, 8, 8)).astype(np.float32)
FIRST = "conv2d_0.w_0"


def net(end: str, features: int, groups: int = 1) -> Callable[[], Any]:
    from tests.graph.nets import Ended

    return lambda: Ended(end, features, groups)


def made(build: Callable[[], Any], batch: int, prefix: Path) -> None:
    """Exported and repaired, as pruning finds it in a build."""
    raw = prefix.with_name(f"{prefix.name}_raw")
    rewritten(export(build, (batch, 3, 8, 8), raw), raw, prefix)


ENDS = {
    "mean": (16, -1),
    "mean that keeps its axes": (16, -1),
    "flatten": (1024, -1),
    "reshape": (1024, -1),
    "fixed reshape": (1024, 4),
}
"""Columns that each end makes of 16 channels, and the batch it is exported with."""


@pytest.mark.parametrize("name", ENDS)
def test_rows_of_the_next_layer_follow(name: str, tmp_path: Path) -> None:
    features, batch = ENDS[name]
    made(net(name, features), batch, tmp_path / "whole")
    found = prune(tmp_path / "whole", tmp_path / "pruned", {"conv2d_1.w_0": 0.5}, criterion="l1")
    assert found.macs_after < found.macs_before
    program = programs.load(tmp_path / "pruned.pdmodel")
    held = parameters.load(program, tmp_path / "pruned.pdiparams")
    assert held["conv2d_1.w_0"].shape[0] == 8 and held["linear_0.w_0"].shape == (features // 2, 10)
    whole = programs.load(tmp_path / "whole.pdmodel")
    weights = parameters.load(whole, tmp_path / "whole.pdiparams")
    (cut,) = cuts(tmp_path / "whole", ["conv2d_1.w_0"], [0.5], criterion="l1")
    zeroed = {key: array.copy() for key, array in weights.items()}
    for key, axis, index in cut.parts:
        np.moveaxis(zeroed[key], axis, 0)[index] = 0
    parameters.save(whole, zeroed, tmp_path / "whole.pdiparams")
    x = X[:4] if batch == 4 else X
    assert np.allclose(run(tmp_path / "pruned", x), run(tmp_path / "whole", x), atol=1e-5), "the same as with zeros"


def test_what_feeds_groups_keeps_its_channels(tmp_path: Path) -> None:
    made(net("mean", 16, groups=2), -1, tmp_path / "whole")
    found = prune(tmp_path / "whole", tmp_path / "pruned", {FIRST: 0.5}, criterion="l1")
    assert found.macs_after == found.macs_before
    assert cuts(tmp_path / "whole", [FIRST], [0.5], criterion="l1") == []


def test_a_layer_that_is_skipped_may_have_one_channel(tmp_path: Path) -> None:
    def build() -> Any:
        from paddle import nn

        return nn.Sequential(nn.Conv2D(3, 8, 3), nn.ReLU(), nn.Conv2D(8, 1, 1), nn.ReLU(), nn.Conv2D(1, 4, 1))

    made(build, -1, tmp_path / "whole")
    wanted = {FIRST: 0.5, "conv2d_1.w_0": 0.6}
    prune(tmp_path / "whole", tmp_path / "pruned", wanted, criterion="l1", skip={"conv2d_1.w_0"})
    with pytest.raises(CompressFailed, match="would leave none of its 1 channels"):
        prune(tmp_path / "whole", tmp_path / "pruned", wanted, criterion="l1")


def test_a_mean_over_channels_ends_it(tmp_path: Path) -> None:
    made(net("mean over channels", 64), -1, tmp_path / "whole")
    prune(tmp_path / "whole", tmp_path / "pruned", {FIRST: 0.5, "conv2d_1.w_0": 0.5}, criterion="l2")
    held = parameters.load(programs.load(tmp_path / "pruned.pdmodel"), tmp_path / "pruned.pdiparams")
    assert held[FIRST].shape[0] == 4 and held["conv2d_1.w_0"].shape == (16, 4, 3, 3)


def test_a_batch_written_into_the_graph_is_found(tmp_path: Path) -> None:
    made(net("fixed reshape", 1024), 4, tmp_path / "fixed")
    assert fixed_batch(tmp_path / "fixed", {"x": X}) == 4
    assert [len(feed["x"]) for feed in feeds_for(tmp_path / "fixed", {"x": X[:7]}, 64)] == [4]
    made(net("mean", 16), 4, tmp_path / "declared")
    assert fixed_batch(tmp_path / "declared", {"x": X}) == 0, "declared, but nothing depends on it"
    assert [len(feed["x"]) for feed in feeds_for(tmp_path / "declared", {"x": X}, 6)] == [6, 2]


def test_a_fast_session_gives_what_a_slow_one_does_and_sees_new_weights(tmp_path: Path) -> None:
    def build() -> Any:
        from paddle import nn

        return nn.Sequential(
            nn.Conv2D(3, 8, 3, groups=1), nn.ReLU(), nn.Conv2D(8, 8, 3, groups=8), nn.Conv2DTranspose(8, 4, 2, 2)
        )

    program = export(build, (-1, 3, 8, 8), tmp_path / "net")
    weights = parameters.load(program, tmp_path / "net.pdiparams")
    others = {name: array * np.float32(1.5) for name, array in weights.items()}
    (output,) = programs.fetches(program)
    found: list[list[np.ndarray]] = []
    for fast in (False, True):
        with Session(fast=fast) as session:
            found.append(
                [session.run(program, held, {"x": X}, [output])[output] for held in (weights, others, weights)]
            )
    for slow, quick in zip(*found, strict=True):
        assert np.allclose(slow, quick, rtol=1e-4, atol=1e-5)
    assert np.abs(found[1][0] - found[1][1]).max() > 1e-2

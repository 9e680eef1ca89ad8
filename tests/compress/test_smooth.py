"""Channels that grow large in front of linear layers: found, scaled, and quantised well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.compress.quantise import calibrated
from edgeflow.compress.smooth import smoothed
from edgeflow.core.layer_drift import Sums
from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import load_target
from edgeflow.graph import program as programs
from tests.graph.programs import export, rewritten, run

pytestmark = pytest.mark.build
LARGE = {3: 90.0, 11: 40.0}
"""Channels and how much larger a norm gives them; the layers behind it have weights that much smaller."""


def encoder(large: dict[int, float], *, first: bool) -> Any:
    """Two layers of attention, norms before or after; with outliers it is the same function."""
    import paddle
    from paddle import nn

    class Net(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation="gelu", normalize_before=first)
            self.layers = nn.TransformerEncoder(layer, 2)
            self.norm, self.score = nn.LayerNorm(16), nn.Linear(16, 4)
            factors = paddle.ones([16])
            for channel, factor in large.items():
                factors[channel] = factor
            pairs = [(self.norm, [self.score])]
            for item in self.layers.layers if first else ():
                attention = item.self_attn
                pairs += [(item.norm1, [attention.q_proj, attention.k_proj, attention.v_proj])]
                pairs += [(item.norm2, [item.linear1])]
            for norm, linears in pairs:
                norm.weight.set_value(norm.weight * factors)
                for linear in linears:
                    linear.weight.set_value(linear.weight / factors.unsqueeze(1))

        def forward(self, x: Any) -> Any:
            return self.score(self.norm(self.layers(x)))

    return Net()


def test_outliers_are_scaled_and_the_numbers_stay(tmp_path: Path) -> None:
    program = export(lambda: encoder(LARGE, first=True), (-1, 6, 16), tmp_path / "raw" / "model")
    prefix, out = tmp_path / "ours" / "model", tmp_path / "int8" / "model"
    rewritten(program, tmp_path / "raw" / "model", prefix)
    x = np.random.default_rng(0).normal(size=(32, 6, 16)).astype(np.float32)
    made = smoothed(prefix, {"x": x}, per_channel=True, arm=True, way="auto")
    assert sum(len(item.layers) for item in made) == 9, "q, k, v and the first linear of two layers; the scores"
    assert all(item.in_norm and item.sqnr_db_after > item.sqnr_db_before + 6 for item in made)
    assert "elementwise_mul" not in {op.type for op in programs.load(prefix.with_suffix(".pdmodel")).blocks[0].ops}
    wanted, got = run(tmp_path / "raw" / "model", x), run(prefix, x)
    np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())
    out.parent.mkdir()
    calibrated(prefix, out, load_target("arm64-int8"), CompressSettings(), {"x": x})
    sums = Sums()
    sums.add(wanted, run(out, x))
    assert sums.sqnr_db > 28, "as without outliers; 7 dB where nothing is scaled"


def test_what_no_norm_takes_is_multiplied_before_the_layer(tmp_path: Path) -> None:
    factors = np.array([1, 1, 200, 1, 1, 1, 1, 90], np.float32)

    def build() -> Any:
        import paddle
        from paddle import nn

        class Net(nn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.a, self.norm, self.b = nn.Linear(8, 8), nn.LayerNorm([4, 8]), nn.Linear(8, 3)
                self.a.weight.set_value(self.a.weight / paddle.to_tensor(factors).unsqueeze(1))

            def forward(self, x: Any) -> Any:
                return self.b(self.norm(self.a(x)))

        return Net()

    program = export(build, (-1, 4, 8), tmp_path / "raw" / "model")
    prefix = tmp_path / "ours" / "model"
    rewritten(program, tmp_path / "raw" / "model", prefix)
    x = np.random.default_rng(0).normal(size=(16, 4, 8)).astype(np.float32) * factors
    assert not smoothed(prefix, {"x": x}, per_channel=True, arm=False, way="auto"), "int8 would lose it again"
    (made,) = smoothed(prefix, {"x": x}, per_channel=True, arm=True, way="auto")
    assert not made.in_norm
    wanted, got = run(tmp_path / "raw" / "model", x), run(prefix, x)
    np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())

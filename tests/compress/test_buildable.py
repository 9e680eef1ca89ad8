"""What plan calls an error is one before any compression, in plan's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.compress.buildable import validate_program
from edgeflow.core.errors import ModelError
from edgeflow.core.targets import load_target

pytestmark = pytest.mark.build


@pytest.mark.parametrize("kind", ["condition", "loop"])
@pytest.mark.parametrize("target", ["arm64-int8", "arm64"])
def test_control_flow_is_named(kind: str, target: str, tmp_path: Path) -> None:
    import paddle
    from paddle import nn

    from tests.graph.programs import export

    class Choice(nn.Layer):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return paddle.static.nn.cond(x.mean() > 0, lambda: x * 2.0, lambda: x + 1.0)

    class Loop(nn.Layer):
        def forward(self, x):  # type: ignore[no-untyped-def]
            count = paddle.zeros([1], "int64")
            _, y = paddle.static.nn.while_loop(lambda i, y: (i < 3).all(), lambda i, y: [i + 1, y * 2.0], [count, x])
            return y

    export(Choice if kind == "condition" else Loop, (-1, 8), tmp_path / "m")
    with pytest.raises(ModelError, match=r"conditional_block|select_input|while") as caught:
        validate_program(tmp_path / "m", load_target(target), "int8" if "int8" in target else "float32")
    assert "another algo" not in str(caught.value)


def test_a_plain_layer_passes(tmp_path: Path) -> None:
    from paddle import nn

    from tests.graph.programs import export

    export(lambda: nn.Linear(8, 4), (-1, 8), tmp_path / "m")
    validate_program(tmp_path / "m", load_target("arm64-int8"), "int8")

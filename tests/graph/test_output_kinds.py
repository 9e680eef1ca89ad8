"""What a program tells of its outputs, and which of them join parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeflow.graph.counted_boxes import count_boxes
from edgeflow.graph.joined_outputs import apart, joining_ops
from edgeflow.graph.output_kinds import output_kinds
from edgeflow.graph.program import fetches, set_float
from tests.graph.detectors import suppress
from tests.graph.programs import export

pytest.importorskip("paddle", reason="PaddlePaddle is not installed")


def softmax_of_vectors(y: Any) -> Any:
    return functional().softmax(y.mean([2, 3]))


def softmax_of_pixels(y: Any) -> Any:
    return functional().softmax(y, axis=1)


def softmax_reshaped(y: Any) -> Any:
    return functional().softmax(y.mean([2, 3])).reshape([-1, 2, 2])


def sigmoid_of_a_picture(y: Any) -> Any:
    return functional().sigmoid(y)


def picture(y: Any) -> Any:
    import paddle

    return functional().sigmoid(paddle.concat([y[:, :1]] * 3, 1))


def argmax(y: Any) -> Any:
    return y.argmax(1)


def direction(y: Any) -> Any:
    return functional().normalize(y.mean([2, 3]))


def logits(y: Any) -> Any:
    return y.mean([2, 3])


def depth(y: Any) -> Any:
    return y


def two(y: Any) -> Any:
    return functional().softmax(y, axis=1), y.argmax(1)


def boxes_and_scores(y: Any) -> Any:
    import paddle

    level = paddle.concat([y * 900.0, functional().sigmoid(y)], 1).flatten(2)  # as YOLOv5 and YOLOX join their levels
    return paddle.concat([level, level], 2).transpose([0, 2, 1])


def joined_inside(y: Any) -> Any:
    import paddle

    return functional().relu(paddle.concat([y, y + 1], 1))


def found(y: Any) -> Any:
    corners = functional().relu(y).flatten(2).transpose([0, 2, 1])
    return suppress(corners, functional().sigmoid(y).flatten(2))[0]


def functional() -> Any:
    import paddle

    return paddle.nn.functional


def ends(head: Callable[[Any], Any]) -> Callable[[], Any]:
    """A layer with a convolution and then `head`."""

    def build() -> Any:
        import paddle

        class Net(paddle.nn.Layer):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.body = paddle.nn.Conv2D(3, 4, 3, padding=1)
                self.head = head

            def forward(self, x: Any) -> Any:
                return self.head(self.body(x))

        return Net()

    return build


CASES: list[tuple[Callable[[Any], Any], tuple[tuple[str, int | None], ...]]] = [
    (softmax_of_vectors, (("scores", -1),)),
    (softmax_of_pixels, (("scores", 1),)),
    (softmax_reshaped, (("scores", -1),)),
    (sigmoid_of_a_picture, (("map", None),)),
    (argmax, (("ids", None),)),
    (direction, (("embedding", None),)),
    (logits, (("tensor", None),)),
    (depth, (("tensor", None),)),
    (picture, (("tensor", None),)),
    (two, (("scores", 1), ("ids", None))),
]


@pytest.mark.parametrize(("head", "wanted"), CASES, ids=[head.__name__ for head, _ in CASES])
def test_what_is_certain_is_said_and_the_rest_is_a_tensor(
    tmp_path: Path, head: Callable[[Any], Any], wanted: tuple[tuple[str, int | None], ...]
) -> None:
    found = output_kinds(export(ends(head), (1, 3, 8, 8), tmp_path / "m"))
    assert tuple((kind.kind, kind.axis) for kind in found) == wanted
    assert all(kind.why for kind in found)


def test_parts_of_ranges_far_apart_are_kept_apart(tmp_path: Path) -> None:
    program = export(ends(boxes_and_scores), (1, 3, 8, 8), tmp_path / "m")
    chain, levels = joining_ops(program)
    assert [op.type for op in levels][:2] == ["concat", "transpose2"]
    for op in program.blocks[0].ops:
        if op.type in ("scale", "sigmoid"):
            set_float(op, "out_threshold", 900.0 if op.type == "scale" else 1.0)
    lines = apart(program)
    assert [line.partition("::")[0] for line in lines] == [*(op.type for op in chain), "transpose2"]
    assert lines[-1] == f"transpose2::{fetches(program)[0]}", "opt gives it the name of the scale by 1 behind it"
    assert lines[0].startswith("concat::") and sum(line.startswith("concat::") for line in lines) == 2
    for op in program.blocks[0].ops:
        if op.type == "scale":
            set_float(op, "out_threshold", 2.0)
    assert apart(program) == ()
    inside = export(ends(joined_inside), (1, 3, 8, 8), tmp_path / "n")
    assert joining_ops(inside) == [], "what another op reads is no output"


@pytest.mark.parametrize("op", ["multiclass_nms", "multiclass_nms2", "multiclass_nms3"])
def test_boxes_get_their_counts(tmp_path: Path, op: str) -> None:
    program = export(ends(found), (1, 3, 8, 8), tmp_path / "m")
    nms = next(one for one in program.blocks[0].ops if one.type == "multiclass_nms3")
    nms.type = op  # those of Paddle 1.x and 2.0 have fewer outputs
    for k in reversed(range(len(nms.outputs))):
        if nms.outputs[k].parameter not in ("Out",) and op != "multiclass_nms3":
            del nms.outputs[k]
    before = fetches(program)
    assert count_boxes(program) == 1 and count_boxes(program) == 0
    assert [kind.kind for kind in output_kinds(program)] == ["boxes", "ids"] and output_kinds(program)[0].counts == 1
    assert fetches(program)[:1] == before

"""Small detectors of several forms, with their NMS inside: PicoDet's head, YOLO's, and one in two stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BINS, CLASSES = 8, 3


def suppress(boxes: Any, scores: Any) -> Any:
    """multiclass_nms3: boxes [M, 6] and their count."""
    from paddle.base.layer_helper import LayerHelper

    helper = LayerHelper("multiclass_nms3")
    out = helper.create_variable_for_type_inference("float32")
    index = helper.create_variable_for_type_inference("int32")
    count = helper.create_variable_for_type_inference("int32")
    helper.append_op(
        type="multiclass_nms3",
        inputs={"BBoxes": boxes, "Scores": scores},
        attrs={
            "background_label": -1,
            "score_threshold": 0.3,
            "nms_top_k": 100,
            "keep_top_k": 20,
            "nms_threshold": 0.5,
            "nms_eta": 1.0,
            "normalized": False,
        },
        outputs={"Out": out, "Index": index, "NmsRoisNum": count},
    )
    return out, count


def body(outer: int) -> Any:
    from paddle import nn

    return nn.Sequential(nn.Conv2D(3, 8, 3, 4, 1), nn.BatchNorm2D(8), nn.ReLU(), nn.Conv2D(8, outer, 3, 2, 1))


def distributions(mean: str) -> Callable[[], Any]:
    """Sides of boxes as distributions; `mean` is taken by a vector, a linear layer or a convolution of weights."""
    import paddle
    from paddle import nn

    class Net(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.sides, self.scores = body(16), nn.Conv2D(16, 4 * BINS, 1), nn.Conv2D(16, CLASSES, 1)
            steps = paddle.arange(BINS, dtype="float32")
            shape = {"vector": [BINS], "linear": [BINS, 1], "conv": [1, BINS, 1, 1]}[mean]
            self.by_conv = mean == "conv"
            self.register_buffer("steps", steps.reshape(shape))
            self.register_buffer("at", paddle.rand([1, 16, 2]) * 32)

        def forward(self, x: Any) -> Any:
            from paddle.nn import functional

            found = self.body(x)
            sides = self.sides(found).reshape([1, 4, BINS, 16])
            if self.by_conv:
                share = functional.softmax(sides.transpose([0, 2, 1, 3]), 1)
                away = functional.conv2d(share, self.steps).reshape([1, 4, 16]).transpose([0, 2, 1])
            else:
                share = functional.softmax(sides.transpose([0, 3, 1, 2]), -1)
                away = paddle.matmul(share, self.steps).reshape([1, 16, 4])
            boxes = paddle.concat([self.at - away[:, :, :2], self.at + away[:, :, 2:]], -1)
            return suppress(boxes, functional.sigmoid(self.scores(found)).flatten(2))

    return Net


def yolo() -> Any:
    """As PP-YOLO: yolo_box makes boxes and scores of one convolution's result, and of the picture's own size."""
    import paddle
    from paddle import nn

    class Net(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = body(16), nn.Conv2D(16, 2 * (5 + CLASSES), 1)

        def forward(self, x: Any, im_shape: Any, scale_factor: Any) -> Any:
            size = paddle.cast(paddle.floor(im_shape / scale_factor + 0.5), "int32")
            boxes, scores = paddle.vision.ops.yolo_box(
                self.head(self.body(x)), size, [10, 14, 23, 27], CLASSES, 0.005, 8, True, None, 1.05
            )
            return suppress(boxes, paddle.transpose(scores, [0, 2, 1]))

    return Net()


def two_stages() -> Any:
    """Boxes of a first stage decide what a second one reads: decoding them leads to more layers."""
    import paddle
    from paddle import nn

    class Net(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.first, self.second = body(16), nn.Conv2D(16, 4, 1), nn.Conv2D(20, 4, 1)
            self.scores = nn.Conv2D(20, CLASSES, 1)

        def forward(self, x: Any) -> Any:
            from paddle.nn import functional

            found = self.body(x)
            rough = paddle.exp(self.first(found))
            joined = paddle.concat([found, rough], 1)
            boxes = (rough + self.second(joined)).flatten(2).transpose([0, 2, 1])
            return suppress(boxes, functional.sigmoid(self.scores(joined)).flatten(2))

    return Net()

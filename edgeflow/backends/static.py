"""Paddle's static mode, and PaddleSlim kept quiet: what pruning and training share."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from edgeflow.backends import paddle as paddle_backend


@contextlib.contextmanager
def static_mode(paddle: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Static mode, an executor and a scope of our own."""
    paddle.enable_static()
    place = paddle.CUDAPlace(0) if paddle_backend.has_gpu() else paddle.CPUPlace()
    executor = paddle.static.Executor(place)
    try:
        yield executor, place, paddle.static.Scope()
    finally:
        executor.close()
        paddle.disable_static()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """PaddleSlim logs every layer."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv2d_grad", "depthwise_conv2d_grad")


def through_onednn(paddle: Any, program: Any) -> Any:
    """Let oneDNN compute a program's convolutions, there and back, where the CPU runs it; returns the same program.

    Paddle's own CPU kernels call BLAS once for each image and group, which depthwise layers have hundreds of: a training step of
    MobileNetV2 takes a seventh of the time. The flag for all operators (FLAGS_use_mkldnn) fails in some layer's gradient, and
    layouts other than NCHW come out wrong: they are left to Paddle.

    Not for inference programs whose weights change between runs: with `is_test`, oneDNN keeps the weights of the first run.
    Not for programs that are saved: the attribute would be too.
    """
    if not paddle_backend.has_gpu() and paddle.base.core.is_compiled_with_mkldnn():
        for block in program.blocks:
            for op in block.ops:
                if op.type in CONVOLUTIONS and op.attr("data_format") in ("NCHW", "AnyLayout"):
                    op._set_attr("use_mkldnn", True)
    return program

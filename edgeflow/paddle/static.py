"""Paddle's static mode, and PaddleSlim kept quiet: what pruning and training share."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from edgeflow.paddle import session as paddle_backend


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

"""onnx's shape inference on a foreign model, in a process of its own: some damaged models crash it, or keep it busy.

Source: onnx 1.17.0, shape_inference.infer_shapes ended with SIGSEGV on changed one-node models, and counted a dim of
2^40 down in steps of a convolution's stride (scripts/fuzz_onnx).
"""

from __future__ import annotations

import os
import signal
import sys

import onnx

from edgeflow.core.children import die_with
from edgeflow.core.errors import ModelError

CHUNK = 1 << 20
CPU_SECONDS_MAX = 30
"""PP-OCRv4's detector takes 0.02."""


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with what onnx can tell of its values.

    Raises:
        ModelError: the graph contradicts itself, or crashes onnx; says which, without saying where.
    """
    if not hasattr(os, "fork"):  # building is of POSIX alone
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    sys.stdout.flush()
    sys.stderr.flush()
    answer, told = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        _infer(model, told, parent)
    os.close(told)
    with os.fdopen(answer, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise ModelError(f"onnx ends on it with {signal.Signals(os.WTERMSIG(status)).name}")
    if os.WEXITSTATUS(status) != 0:
        raise ModelError(said.decode("utf-8", "replace")[:200] or "onnx gives no reason")
    found = onnx.ModelProto()
    found.ParseFromString(said)
    return found


def _infer(model: onnx.ModelProto, told: int, parent: int) -> None:
    """In the child: answers with a model or with a sentence, and is gone without a goodbye."""
    import resource  # of POSIX alone

    code = 1
    try:
        die_with(parent)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
        said = onnx.shape_inference.infer_shapes(model, data_prop=True).SerializeToString()
        code = 0
    except BaseException as err:
        said = (str(err).strip().splitlines() or [type(err).__name__])[0].encode("utf-8", "replace")
    try:
        while said:
            said = said[os.write(told, said[:CHUNK]) :]
    finally:
        os._exit(code)

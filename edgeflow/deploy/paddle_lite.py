"""Paddle Lite's own x86 runtime, in a child process: a wrong file kills it, or gives garbage with exit status 0."""

from __future__ import annotations

import io
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow import nb
from edgeflow.core import fence
from edgeflow.core.children import command
from edgeflow.core.errors import BackendMissing, EdgeflowError, NbError
from edgeflow.core.tensors import validate_feed

Array = npt.NDArray[Any]
FRAME = struct.Struct("<Q")


class PaddleLite:
    """One loaded x86 .nb; a runner: arrays by name in, arrays by name out.

    Raises:
        NbError: the file has kernels for other places, or int8, both of which this runtime computes wrongly in silence.
        BackendMissing: paddlelite is not installed.
    """

    name = "Paddle Lite 2.13rc0 (x86 runtime on the host)"

    def __init__(self, path: Path, model: nb.Model | None = None) -> None:
        self.path = path
        loaded = nb.read(path) if model is None else model
        _refuse(self.path, loaded)
        if find_spec("paddlelite") is None:
            raise BackendMissing("paddlelite is not installed", try_="pip install 'edgeflow[build]' (Python 3.10)")
        self.inputs = loaded.input_specs
        self.outputs = loaded.outputs
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._child = subprocess.Popen(
            [
                *command("-I", program=str(Path(__file__).with_name("paddle_lite_child.py").resolve())),
                str(self.path),
                str(Path(fence.__file__).resolve()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def __enter__(self) -> PaddleLite:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child.kill()
        self._child.wait()
        self._log.close()

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; see Emulator.infer.

        Raises:
            DataError: names, shapes or dtypes do not fit.
            EdgeflowError: the runtime died.
        """
        validate_feed(feed, self.inputs, "inputs")
        buffer = io.BytesIO()
        np.savez(buffer, *(np.ascontiguousarray(feed[spec.name]) for spec in self.inputs))
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(FRAME.pack(buffer.tell()) + buffer.getvalue())
            self._child.stdin.flush()
            size = FRAME.unpack(self._child.stdout.read(FRAME.size))[0]
            reply = np.load(io.BytesIO(self._child.stdout.read(size)), allow_pickle=False)
        except (OSError, struct.error, ValueError, EOFError) as err:
            raise EdgeflowError(
                f"{self.path}: Paddle Lite died while it ran: {self._last_words()}",
                try_="edgeflow run, which executes the same file in the emulator",
            ) from err
        return {name: reply[f"arr_{k}"] for k, name in enumerate(self.outputs)}

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = [line for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit status {self._child.poll()}, without a word"


def _refuse(path: Path, model: nb.Model) -> None:
    """Source: observed on paddlelite 2.13rc0; kernels of other places are empty there, int8 kernels wrong."""
    kernels = [op.kernel for op in model.blocks[0].operations if op.kernel is not None]
    places = {kernel.target for kernel in kernels} - {"x86", "host", "any"}
    if places:
        raise NbError(
            f"{path}: has kernels for {', '.join(sorted(places))}, for which the x86 runtime returns garbage",
            try_="the emulator (edgeflow verify without --on), or a build with --target x86",
        )
    if any(kernel.precision == "int8" for kernel in kernels):
        raise NbError(
            f"{path}: has int8 kernels, which the x86 runtime computes wrongly",
            try_="the emulator: edgeflow verify without --on",
        )

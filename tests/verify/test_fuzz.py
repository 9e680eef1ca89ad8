"""A build folder of which one file is another: refused or read, never a traceback; scripts/fuzz_folder runs longer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgeflow.core.errors import DataError, NotComparable
from edgeflow.verify.stage import verify_file
from tests.verify.mutate import fuzz

pytestmark = pytest.mark.build


def test_changed_folders_are_refused_or_read(built: Path, tmp_path: Path) -> None:
    found = fuzz(built / "build" / "arm64-int8", tmp_path, seconds=5, seed=11)
    assert not found.faults, found.faults.most_common(3)
    assert 0 < found.refused < found.runs


def test_a_manifest_whose_inputs_are_no_list(built: Path, tmp_path: Path) -> None:
    """Met by hand: the fuzzer had shortened the contract, and so never came there."""
    copy = tmp_path / "arm64"
    shutil.copytree(built / "build" / "arm64", copy)
    table = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**table, "inputs": 5}))
    with pytest.raises(DataError, match="inputs is of no known kind"):
        verify_file(copy / "model.nb")
    (copy / "manifest.json").write_text(json.dumps({**table, "output_kinds": [{"kind": "ctc"}]}))
    with pytest.raises(NotComparable, match="is no ctc"):
        verify_file(copy / "model.nb")

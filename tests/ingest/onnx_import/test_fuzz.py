"""A few changed ONNX files on each run: refused or translated, never a traceback; scripts/fuzz_onnx runs longer."""

from __future__ import annotations

import pytest

from tests.ingest.onnx_import.mutate import fuzz, seeds

pytestmark = pytest.mark.build


def test_changed_files_are_refused_or_translated() -> None:
    found = fuzz(seeds(), seconds=4, seed=7)
    assert not found.faults, found.faults.most_common(3)
    assert 0 < found.refused < found.runs

"""What opt printed, and the sentence that a user gets instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.convert.opt import _failure


@pytest.mark.parametrize(
    ("code", "output", "says"),
    [
        (-6, "Error: the following ops are not supported: 'conv3d'", "an op has no kernel for these targets"),
        (-6, "No kernels found for erf", "an op has no kernel for these targets"),
        (-11, "", "an op lacks an output or attribute that opt reads without looking"),
        (-9, "", "it ran out of memory, or something stopped it"),
        (1, "", "exit status 1: it printed nothing"),
    ],
)
def test_a_failure_of_opt_names_its_cause(code: int, output: str, says: str) -> None:
    failed = _failure(code, output, "arm", Path("opt.log"))
    assert says in failed.what
    assert "whole log: opt.log" in failed.what
    assert "edgeflow targets" in str(failed.try_)

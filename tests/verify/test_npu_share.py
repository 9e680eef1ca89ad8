"""--require-npu: what the file promises, what a device showed, and what neither can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow import nb
from edgeflow.core.errors import DataError
from edgeflow.emulate.examined import Examined
from edgeflow.report.record_parts import Partition, ResidencyFinding
from edgeflow.verify.file_facts import partition
from edgeflow.verify.npu_share import fall_back, from_log, held_to, parse_required
from tests.conftest import GOLDEN

LENET = GOLDEN / "net_lenet__int8_timvx" / "model.nb"
DEVICE = (
    "[4  8/30 14:31:50.299 ...kernels/nnadapter/engine.cc:361 Engine] NNAdapter device {name}: "
    "vendor=X type={type} version=1\n[3 ...engine.cc:248 Execute] Process cost 103 us\n"
)


def lenet() -> Partition:
    (spec,) = nb.read(LENET).input_specs
    return partition(Examined(LENET), "uint8", {spec.name: np.zeros([max(d, 1) for d in spec.shape], spec.dtype)})


def test_the_file_tells_its_shares() -> None:
    found = lenet()
    assert found.npu_macs_share == 1.0 and found.crossings == 2
    assert found.npu_ops and found.cpu_ops == 2  # two conversions, which multiply nothing
    assert held_to(parse_required("95%"), found, None, on_device=False) == (None, None)
    wrong, unknown = held_to(parse_required("ops:0.95"), found, None, on_device=False)
    assert (
        wrong is not None and wrong.endswith("% of ops, required >= 95 %: opt put the rest on the CPU") and not unknown
    )


@pytest.mark.parametrize(
    ("name", "kind", "broken", "undecided"),
    [
        ("verisilicon_timvx", 2, False, False),
        ("verisilicon_timvx", 0, True, False),
        ("builtin_device", 0, True, False),
        ("android_nnapi", 2, False, True),
    ],
)
def test_a_recorded_log_shows_silent_fall_back(
    tmp_path: Path, name: str, kind: int, broken: bool, undecided: bool
) -> None:
    (tmp_path / "log").write_text(DEVICE.format(name=name, type=kind))
    shown = from_log(LENET, tmp_path / "log", ())
    finding = ResidencyFinding(shown.share, shown.of, shown.verdict, shown.evidence)
    wrong, unknown = held_to(parse_required("macs:95%"), lenet(), finding, on_device=True)
    assert (wrong is not None, unknown is not None) == (broken, undecided)
    assert (fall_back(lenet(), finding) is not None) == broken
    if wrong is not None:
        assert "silent fall-back to the CPU" in wrong and name in wrong


def test_an_empty_log_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\x00")
    shown = from_log(LENET, tmp_path / "log", ("verisilicon_timvx",))
    finding = ResidencyFinding(shown.share, shown.of, shown.verdict, shown.evidence)
    assert held_to(parse_required("1"), lenet(), finding, on_device=True)[1] is not None
    for bad in ("", "95", "-1%", "flops:1", "101%"):
        with pytest.raises(DataError, match="should be a share"):
            parse_required(bad)

"""How much of a network an NPU takes, by its file and by what a device showed; what is asked of that, and silent
fall-back to the CPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.core.errors import DataError
from edgeflow.deploy.residency import LOG_MAX, Evidence, Residency, residency
from edgeflow.files.inside import open_regular
from edgeflow.nb.partition import placement
from edgeflow.report.record_parts import Partition, ResidencyFinding

WANTED = re.compile(r"(?:(ops|macs)[:=])?\s*(\d{1,3}(?:\.\d{1,4})?)\s*(%?)")


@dataclass(frozen=True, slots=True)
class Required:
    """The least share of `of` that has to be on the NPU, from 0 to 1."""

    of: Literal["macs", "ops"]
    share: float

    def __str__(self) -> str:
        return f"{_words(self.of)}, required >= {100 * self.share:g} %"


def parse_required(text: str) -> Required:
    """Read what stands behind --require-npu: 95%, 0.95, macs:95% or ops:95%.

    Raises:
        DataError: it is none of these.
    """
    found = WANTED.fullmatch(text.strip().lower())
    share = float(found[2]) / (100 if found[3] else 1) if found else -1.0
    if found is None or not 0 <= share <= 1:
        raise DataError(f"--require-npu {text!r}: should be a share", try_="--require-npu 95%, or ops:95%")
    return Required("ops" if found[1] == "ops" else "macs", share)


def from_log(model_path: Path, log: Path, devices: Sequence[str]) -> Residency:
    """Where the ops of a file ran, by a log that was recorded elsewhere.

    Args:
        devices: that the program was told to use.

    Raises:
        DataError: the log cannot be read.
    """
    from edgeflow import nb

    try:
        with open_regular(log) as stream:
            stream.seek(0, 2)
            stream.seek(max(stream.tell() - LOG_MAX, 0))
            text = stream.read(LOG_MAX).decode("utf-8", "replace")
    except OSError as err:
        raise DataError(f"{log}: cannot be read ({err.strerror})", try_="the log of a run with GLOG_v=5") from err
    placed = placement(nb.read(model_path))
    return residency(Evidence(tuple(devices), placed.subgraphs, len(placed.npu), len(placed.ops), text))


def shares(found: Partition) -> dict[str, float | None]:
    """Shares by the file: of ops, and of multiply-accumulates where shapes are known."""
    ops = (found.npu_ops or 0) + (found.cpu_ops or 0)
    return {"ops": (found.npu_ops or 0) / ops if ops else None, "macs": found.npu_macs_share}


def held_to(
    required: Required, found: Partition, shown: ResidencyFinding | None, *, on_device: bool
) -> tuple[str | None, str | None]:
    """What does not hold of a requirement, and what cannot be told of it, each as a sentence or None.

    Args:
        shown: what a device or its log showed; None where nothing was looked at.
        on_device: the file ran on a device, or a log of one is given: then the file alone proves nothing.
    """
    by_file = shares(found)[required.of]
    if by_file is None:
        return None, f"the share of {_words(required.of)} on the NPU: the file's shapes are open; ops:SHARE asks of ops"
    if by_file < required.share:
        return f"{100 * by_file:.4g} % of {required}: opt put the rest on the CPU", None
    if not on_device:
        return None, None
    if shown is None or shown.share is None:
        why = "; ".join(shown.evidence) if shown is not None else "it left no trace"
        return None, f"where the ops ran ({required}): the device did not show it ({why})"
    if shown.share == 0.0:
        return f"0 % of {required}: {fall_back(found, shown)}", None
    if shown.of == "time" and shown.share < required.share:
        return f"{100 * shown.share:.4g} % of the time was on the NPU ({required})", None
    return None, None


def fall_back(found: Partition, shown: ResidencyFinding | None) -> str | None:
    """That the NPU's ops ran on the CPU without a word, as a sentence; None where they did not, or nobody knows."""
    if shown is None or shown.share != 0.0 or not found.npu_ops:
        return None
    return (
        f"silent fall-back to the CPU of {found.npu_ops} ops that the file has on the NPU: {'; '.join(shown.evidence)}"
    )


def _words(of: str) -> str:
    return "ops" if of == "ops" else "multiply-accumulates"

"""An examination of calibration data as lines for a terminal."""

from __future__ import annotations

from typing import Any

from edgeflow.report.tables import number, table

SHOWN = 10


def lines(found: Any) -> str:
    """What pipeline.calibration.examine found: coverage, outliers, the drift curve, and what to do."""
    out = [table(("layer", "calibrated", "in use", "covered"),
                 [(item.layer, number(item.calibration_max), number(item.evaluation_max), f"{item.covered:.1%}")
                  for item in found.layers[:SHOWN]])]
    if len(found.layers) > SHOWN:
        out.append(f"… and {len(found.layers) - SHOWN} layers that are covered better")
    for item in found.outliers[:SHOWN]:
        out.append(f"outlier: sample {item.sample} is {item.times:.1f} times the usual range at {item.layer}")
    out.append("samples -> SQNR of the int8 outputs: " + ", ".join(f"{p.samples}: {number(p.sqnr_db)} dB" for p in found.curve))
    out += [f"- {text}" for text in found.advice]
    return "\n".join(out)

"""Translations by operator: the one table that says what an ONNX node becomes."""

from __future__ import annotations

from collections.abc import Mapping

from edgeflow.ingest.onnx_import.families import (
    convolution,
    elementwise,
    index,
    linear,
    norm,
    pool,
    quantised,
    recurrent,
    reduce,
    resize,
    shape,
)
from edgeflow.ingest.onnx_import.step import Translation

TABLE: Mapping[str, Translation] = {
    **convolution.TABLE,
    **elementwise.TABLE,
    **index.TABLE,
    **linear.TABLE,
    **norm.TABLE,
    **pool.TABLE,
    **quantised.TABLE,
    **recurrent.TABLE,
    **reduce.TABLE,
    **resize.TABLE,
    **shape.TABLE,
}

"""A sample's picture with the boxes that both sides found, as inline SVG."""

from __future__ import annotations

import base64
import struct
from html import escape

from edgeflow.report.record_parts import DrawnBox, WorstInput
from edgeflow.report.values import figure, finite, plain

PICTURE_SIDE_MAX = 1 << 14


def boxed(item: WorstInput) -> str:
    """A sample's picture with the boxes of both: the reference's, then the candidate's, each with its class."""
    width, height = _png_size(item.picture or "")
    shapes = []
    for box in item.boxes:
        x, y, wide, high = (v * side for v, side in _spans(box, width, height))
        side = "reference" if box.side == "reference" else "candidate"
        at = y - 1 if box.side == "reference" else y + high - 1
        said = f"{plain(box.label, 40)} {figure(box.score, 2)}".strip()
        shapes.append(
            f"<rect class={side} x={x:.1f} y={y:.1f} width={wide:.1f} height={high:.1f} />"
            f"<text class={side} x={x + 1:.1f} y={max(at, 6):.1f}>{escape(said)}</text>"
        )
    label = escape(plain(item.name), quote=True)
    picture = escape(item.picture or "", quote=True)
    return (
        f"<svg class=boxed viewBox='0 0 {width} {height}' role=img aria-label='{label}'>"
        f"<image href='{picture}' width={width} height={height} />{''.join(shapes)}</svg>"
    )


def _spans(box: DrawnBox, width: int, height: int) -> list[tuple[float, int]]:
    """Left, top, width and height of a box, each with the side that it is a share of; damaged ones are nothing."""
    found = [finite(value) for value in (box.x1, box.y1, box.x2, box.y2)]
    x1, y1, x2, y2 = (min(max(value or 0.0, 0.0), 1.0) for value in found)
    return [(x1, width), (y1, height), (max(x2 - x1, 0.0), width), (max(y2 - y1, 0.0), height)]


def _png_size(uri: str) -> tuple[int, int]:
    """Width and height that a PNG's head says; a square of what is none."""
    try:
        head = base64.b64decode(uri.partition(",")[2][:44])
        width, height = struct.unpack_from(">II", head, 16)
    except (ValueError, struct.error):
        return 100, 100
    fine = head.startswith(b"\x89PNG") and 0 < width < PICTURE_SIDE_MAX and 0 < height < PICTURE_SIDE_MAX
    return (width, height) if fine else (100, 100)

"""Ops that opt puts between others: they change the form of values (precision, place, layout) and compute nothing."""

from __future__ import annotations

CALIBS = ("calib", "calib_once")
"""Between float and int8, or float32 and float16."""

MOVES = ("io_copy", "io_copy_once", "layout", "layout_once")
"""Between places, and between layouts: the values stay what they are."""

CONVERSIONS = (*CALIBS, *MOVES)

INSERTED = (*CONVERSIONS, "cast")
"""All that opt may insert; a `cast` may also be the model's own."""

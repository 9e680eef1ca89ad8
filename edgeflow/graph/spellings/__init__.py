"""Ops that opt lacks, in ops that it has: one small function an op, one module a family.

Each spelling is exact up to float32 rounding (at most 1e-6 of the largest output; scripts/zoo runs them all). The
formulas are the definitions in Paddle's own documentation of the layer; what no exact spelling exists for stays, and is
refused.
"""

from edgeflow.graph.spellings import algebra, assignment, elementwise, geometry, rearrange
from edgeflow.graph.spellings.spelling import Spelling

SPELLINGS: dict[str, Spelling] = {
    **elementwise.TABLE,
    **algebra.TABLE,
    **rearrange.TABLE,
    **geometry.TABLE,
    **assignment.TABLE,
}

__all__ = ["SPELLINGS", "Spelling"]

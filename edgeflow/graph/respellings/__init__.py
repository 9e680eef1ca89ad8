"""What the ARM runtime aborts on or computes otherwise (nb/defects.json), in ops that it has right.

One module a family. Each spelling is exact up to float32 rounding, as tests show by running both in Paddle, and the
file in the emulator.
"""

from edgeflow.graph.respellings import reductions, sequences, spatial, values
from edgeflow.graph.respellings.rule import Rule

RESPELLINGS: dict[str, Rule] = {**reductions.TABLE, **spatial.TABLE, **values.TABLE, **sequences.TABLE}

__all__ = ["RESPELLINGS", "Rule"]

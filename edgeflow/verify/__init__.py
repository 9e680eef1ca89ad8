"""Stage 4: the .nb is executed and judged, hop by hop and layer by layer.

The room can be called: `edgeflow.verify("model.nb")` is a function of the package's face, and importing this room would
hide it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *args: Any, **settings: Any) -> Any:
        from edgeflow import verify_model

        return verify_model(*args, **settings)


sys.modules[__name__].__class__ = _Room

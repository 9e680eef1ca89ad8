"""Heavy packages, imported where they are first needed."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any

from edgeflow.core.errors import BackendMissing


def need(package: str, extra: str) -> Any:
    """Import a package that only some commands use.

    Raises:
        BackendMissing: it is not installed; names the extra that brings it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # paddleslim imports pip, which setuptools has an opinion on
            return importlib.import_module(package)
    except ImportError as err:
        version = (
            ""
            if sys.version_info[:2] == (3, 10)
            else (
                f" under Python 3.10 (this is {sys.version_info[0]}.{sys.version_info[1]}; paddlelite has no "
                "newer wheels)"
            )
        )
        raise BackendMissing(
            f"{package} is not installed ({err})", try_=f"pip install 'edgeflow[{extra}]'{version}"
        ) from err

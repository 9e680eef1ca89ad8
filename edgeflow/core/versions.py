"""Versions of the tools and of edgeflow itself, and keys made of them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

TOOLS = (
    "edgeflow",
    "paddlepaddle",
    "paddlepaddle-gpu",
    "paddleslim",
    "paddlelite",
    "onnx",
    "onnxruntime",
    "numpy",
    "pillow",
)


def key_of(*parts: Any) -> str:
    """Hash of JSON values and dataclasses: 32 hexadecimal digits."""
    plain = [asdict(part) if is_dataclass(part) and not isinstance(part, type) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:32]


@cache
def tool_versions() -> dict[str, str]:
    """Versions of every package on which a build's result depends."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in TOOLS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def code_version() -> str:
    """Hash of edgeflow's own sources, so that a changed stage never meets results of the old one."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def is_installed(package: str) -> bool:
    """Whether a package can be imported; does not import it."""
    return importlib.util.find_spec(package) is not None

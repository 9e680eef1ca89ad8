"""The .nb format: bytes <-> plain dataclasses, and what a file says. The specification is SPEC.md."""

from edgeflow.nb.canonical import canonical, content_hash, trimmed
from edgeflow.nb.model import (
    Attribute,
    AttrType,
    Block,
    DType,
    Header,
    Kernel,
    Model,
    Op,
    Parameter,
    Variable,
)
from edgeflow.nb.read import read, read_bytes
from edgeflow.nb.write import to_bytes, write

__all__ = [
    "AttrType",
    "Attribute",
    "Block",
    "DType",
    "Header",
    "Kernel",
    "Model",
    "Op",
    "Parameter",
    "Variable",
    "canonical",
    "content_hash",
    "read",
    "read_bytes",
    "to_bytes",
    "trimmed",
    "write",
]

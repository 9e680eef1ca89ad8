"""Errors of edgeflow: a sentence that says what is wrong, and what to try.

    EdgeflowError
    ├── TargetError       a target profile (TOML)
    ├── RecipeError       the recipe, edgeflow.toml
    ├── LockError         the accepted figures, edgeflow.lock
    ├── DataError         arrays: calibration, evaluation, reference, inputs
    │   └── NotComparable outputs of two models that cannot be held against each other
    ├── ModelError        the model given to ingest
    ├── NbError           a .nb file
    ├── UnsupportedOps    ops of a .nb that cannot be emulated
    ├── BackendMissing    a package that is not installed
    ├── CompressFailed    PaddleSlim gave up
    ├── OptFailed         Paddle Lite's opt gave up
    ├── ToolchainFailed   CMake or a C++ compiler gave up
    ├── StorageError      disk full, folder not writable
    └── TransportError    a device over ssh or adb
        └── Dropped       the connection broke, so that another try makes sense

Limits that are broken are a result, not a fault: exit code 3, no error.
Anything else that escapes is our bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EdgeflowError(Exception):
    """What went wrong, in one line; `try_` says what to do about it."""

    exit_code = 1

    def __init__(self, what: str, *, try_: str = "") -> None:
        super().__init__(f"{what}\n  try: {try_}" if try_ else what)
        self.what = what
        self.try_ = try_

    def __reduce__(self) -> tuple[object, ...]:
        """Keep `what` and `try_` apart when the error crosses a process."""
        return (_rebuild, (type(self), self.what, self.try_))


def last_line(err: BaseException) -> str:
    """Last line of another package's error message, where Paddle puts the reason; empty if there is no message."""
    return next((line.strip() for line in reversed(str(err).splitlines()) if line.strip()), "")


def _rebuild(kind: type[EdgeflowError], what: str, try_: str) -> EdgeflowError:
    return kind(what, try_=try_)


class TargetError(EdgeflowError):
    """A target profile is unknown, or its TOML breaks the schema."""


class RecipeError(EdgeflowError):
    """The recipe is missing, or says something it cannot say."""


class LockError(EdgeflowError):
    """The lock is missing, lacks a target, or says something it cannot say."""


class DataError(EdgeflowError):
    """Arrays do not fit their specification: shape, dtype, NaN, or none at all."""


class NotComparable(DataError):
    """Outputs whose shapes or layouts differ, so that no figure says how far they are apart."""


class ModelError(EdgeflowError):
    """The model given to ingest cannot be read or exported."""


class NbError(EdgeflowError):
    """A .nb file breaks a rule of its format."""


class UnsupportedOps(EdgeflowError):
    """Ops of a .nb have no lowering; all of them are named at once."""


class BackendMissing(EdgeflowError):
    """A package that only some commands need is not installed."""


class CompressFailed(EdgeflowError):
    """PaddleSlim could not compress the model."""


class OptFailed(EdgeflowError):
    """Paddle Lite's opt could not convert the program."""


class ToolchainFailed(EdgeflowError):
    """CMake or the C++ compiler could not build the device programs."""


class StorageError(EdgeflowError):
    """A result could not be written: disk full or folder not writable."""


class TransportError(EdgeflowError):
    """A device cannot be reached, refuses what it is given, or answers with nonsense."""


class Dropped(TransportError):
    """The connection to a device broke; what arrived is kept, and another try makes sense."""


def near(word: str, known: Iterable[str], kind: str = "known") -> str:
    """Say the near match of a misspelt word, or list what there is."""
    names = sorted(known)
    if match := get_close_matches(word, names, n=1, cutoff=0.5):
        return f"did you mean {match[0]!r}?"
    return f"{kind}: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"

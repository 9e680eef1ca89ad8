"""Errors of edgeflow: a sentence that says what is wrong, and what to try.

    EdgeflowError
    ├── TargetError       a target profile (TOML)
    ├── RecipeError       the recipe, edgeflow.toml
    ├── LockError         the accepted figures, edgeflow.lock
    ├── DataError         arrays: calibration, evaluation, reference, inputs
    │   ├── NotComparable outputs of two models that cannot be held against each other
    │   └── NotTrusted    programs in a folder from elsewhere, which nobody asked to run
    ├── ModelError        the model given to ingest
    ├── NbError           a .nb file
    ├── UnsupportedOps    ops of a .nb that cannot be emulated
    ├── BackendMissing    a package that is not installed
    ├── CompressFailed    PaddleSlim gave up
    ├── OptFailed         Paddle Lite's opt gave up
    ├── ToolchainFailed   CMake or a C++ compiler gave up
    ├── StorageError      disk full, folder not writable
    └── TransportError    a device over ssh or adb
        ├── Dropped       the connection broke, so that another try makes sense
        └── ProgramDied   the connection held, and the program there crashed or did not end

Limits that are broken are a result, not a fault: exit code 3, no error.
Anything else that escapes is our bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


class EdgeflowError(Exception):
    """What went wrong, in one line; `try_` says what to do about it.

    `lines` show it, such as the user's own lines of a traceback. `also`: other errors that were found at the same time.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, try_: str = "", lines: Sequence[str] = (), also: Sequence[EdgeflowError] = ()
    ) -> None:
        super().__init__("\n".join([what, *(f"  {line}" for line in lines), *([f"  try: {try_}"] if try_ else [])]))
        self.what = what
        self.try_ = try_
        self.lines = tuple(lines)
        self.also = tuple(also)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts apart when the error crosses a process."""
        return (_rebuild, (type(self), self.what, self.try_, self.lines, self.also))


SAID_MAX = 400
"""Of a line of another package's message; some of Paddle's are a page."""


def last_line(err: BaseException) -> str:
    """Last line of another package's error message, where Paddle puts the reason; empty if there is no message.

    What Paddle writes after the reason, a hint and the op's name, is left out.
    """
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("[Hint:", "[operator <"))]
    return (said or lines or [""])[-1][:SAID_MAX]


def with_log(err: EdgeflowError, log: Path) -> EdgeflowError:
    """An error of somebody's code with the path of the log that holds what was printed, where there is any."""
    if not err.lines or not log.is_file() or not log.stat().st_size:
        return err
    return type(err)(err.what, try_=err.try_, lines=(*err.lines, f"log: {log}"), also=err.also)


def together(found: Sequence[EdgeflowError]) -> EdgeflowError:
    """The first of several errors, which carries the others, each said once."""
    by_what: dict[str, EdgeflowError] = {}
    for err in found:
        if err.what not in by_what or (err.try_ and not by_what[err.what].try_):
            by_what[err.what] = err
    known = list(by_what.values())
    first = known[0]
    return type(first)(first.what, try_=first.try_, lines=first.lines, also=(*first.also, *known[1:]))


def _rebuild(
    kind: type[EdgeflowError], what: str, try_: str, lines: Sequence[str], also: Sequence[EdgeflowError]
) -> EdgeflowError:
    return kind(what, try_=try_, lines=lines, also=also)


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


class NotTrusted(DataError):
    """Programs that were not made here and would run as the user; --trust lets them."""


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


class ProgramDied(TransportError):
    """A program on a device crashed, aborted or did not end in time: the file or the runtime is at fault, no link."""


def near(word: str, known: Iterable[str], kind: str = "known") -> str:
    """Say the near match of a misspelt word, or list what there is."""
    names = sorted(known)
    if match := get_close_matches(word, names, n=1, cutoff=0.5):
        return f"did you mean {match[0]!r}?"
    return f"{kind}: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"

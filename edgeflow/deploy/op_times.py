"""Time of single ops, as a run's log gives it: rows of the runtime's own profile, executions of subgraphs, and the ops
that builtin_device names one by one.

Source: Paddle-Lite v2.13-rc lite/core/profile/profiler.cc (Summary), lite/kernels/nnadapter/engine.cc (Execute),
lite/backends/nnadapter/nnadapter/src/runtime/device.cc (Execute) and src/utility/logging.cc, which counts milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

OPS_MAX = 4096
"""Ops of one log; a network for an edge device has hundreds."""

TITLE = re.compile(r"OperatorType\s+KerneAttr\S*\s")
ROW = re.compile(
    r"(?P<op>[a-z0-9_]{1,40})\s+(?P<target>[a-z0-9_]{1,20})/\w{1,12}/\w{1,24}\s.{0,400}?"
    r"(?P<ms>\d{1,9}\.\d{1,6})\s+\d{1,9}\.\d{1,6}\s+\d{1,9}\.\d{1,6}\s+(?:\d{1,9}\.\d{1,6}\s+)?"
    r"(?P<share>\d{1,3}(?:\.\d{1,6})?)%"
)
LINE = re.compile(
    r"\[\w{1,2}\s{1,2}\d{1,2}/\s?\d{1,2}\s{1,2}(\d{1,2}):\s?(\d{1,2}):\s?(\d{1,2})\.\s{0,2}(\d{1,3}) [^\]\n]{1,200}\] "
    r"(?:Running (?P<op>[A-Z0-9_]{1,40}) \.\.\.|(?P<end>Process cost) (?P<us>[0-9.e+]{1,20}) us)"
)
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class OpTime:
    """An op, or a subgraph, of one run and its milliseconds.

    Attributes:
        where: the kernel's place, or "subgraph K" for what NNAdapter ran, K counted from 1 in one run.
        share: of the run's time, 0 to 1.
    """

    op: str
    where: str
    ms: float
    share: float


def op_times(log: str, subgraphs: int) -> tuple[OpTime, ...]:
    """Ops of the last run in a log, in its order; empty where the log says nothing of them.

    Args:
        subgraphs: of the file, which takes as many executions a run.
    """
    rows = tuple(profile_rows(log))
    if rows:
        return rows
    parts = list(_executions(log))[-subgraphs:] if subgraphs else []
    total = sum(ms for ops, whole in parts for ms in ([ms for _, ms in ops] or [whole]))
    found = []
    for number, (ops, whole) in enumerate(parts, 1):
        for op, ms in ops or [("subgraph", whole)]:
            found.append(OpTime(op.lower(), f"subgraph {number}", ms, ms / total if total else 0.0))
    return tuple(found[:OPS_MAX])


def profile_rows(log: str) -> Iterator[OpTime]:
    """Rows of the last profile that the runtime printed."""
    start = None
    for title in TITLE.finditer(log):
        start = title.end()
    if start is None:
        return
    for line in log[start:].splitlines()[1 : OPS_MAX + 1]:
        row = ROW.match(line.strip())
        if row is None:
            return
        yield OpTime(row["op"], row["target"], float(row["ms"]), float(row["share"]) / 100)


def _executions(log: str) -> Iterator[tuple[list[tuple[str, float]], float]]:
    """Each execution of a subgraph: its ops where they are named, and its milliseconds as a whole."""
    ops: list[tuple[str, int]] = []
    last = 0
    waiting = False  # the device's own line of costs comes before the engine's
    for match in LINE.finditer(log):
        hours, minutes, seconds, thousandths = (int(part) for part in match.groups()[:4])
        now = ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths
        if last - now in range(1, 1001):  # seconds and thousandths are read one after the other
            now += 1000
        last = now
        if match["op"]:
            ops.append((match["op"], now))
            continue
        if ops:
            ends = [at for _, at in ops[1:]] + [now]
            yield [(op, float((end - at) % DAY_MS)) for (op, at), end in zip(ops, ends, strict=True)], 0.0
            ops, waiting = [], True
        elif waiting:
            waiting = False
        else:
            yield [], _number(match["us"]) / 1000


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

"""Timing: the median of a few runs after one to warm up, and the memory of a process."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def median_s(work: Callable[[], object], runs: int = 5, warm: int = 1) -> float:
    """Median wall time of `work` in seconds."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(runs):
        since = time.perf_counter()
        work()
        times.append(time.perf_counter() - since)
    return statistics.median(times)


PROBE = (
    "import os, resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_maxrss, used.ru_utime + used.ru_stime); "
    "sys.exit(done.returncode)"
)


def process_cost(command: Sequence[str], folder: Path, fine: Sequence[int] = (0,)) -> tuple[float, float, float]:
    """Wall time and CPU time in seconds of a command with all processes that it waits for, and the peak memory of the
    largest of them in MB.
    """
    since = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", PROBE, *command], cwd=folder, capture_output=True, text=True)
    wall = time.perf_counter() - since
    if done.returncode not in fine:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    kilobytes, cpu = done.stdout.split()[-2:]
    return wall, float(cpu), float(kilobytes) * 1024 / 1e6

"""Opening and reading a 200 MB .nb against numpy.fromfile."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benches.clock import median_s
from benches.table import Row
from edgeflow import nb
from edgeflow.nb import Block, DType, Header, Model, Op, Parameter

MEGABYTES, TENSORS = 200, 100
CHILD = """
import sys, time
import numpy
from edgeflow.nb.read import read

def status_kb(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = status_kb("VmRSS")
since = time.perf_counter()
model = read(sys.argv[1])
print(time.perf_counter() - since, status_kb("VmHWM") - before, len(model.parameters))
"""


def rows(small: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.nb"
        each = (2 if small else MEGABYTES) * 1_000_000 // TENSORS // 4
        data = np.random.default_rng(0).random(each, dtype=np.float32).tobytes()
        parameters = {f"w{i:03}": Parameter(f"w{i:03}", DType.FP32, (each,), memoryview(data)) for i in range(TENSORS)}
        nb.write(Model(Header(2, "v2.13-rc"), (Block((Op("feed", {}, {"Out": ("x",)}, {}),)),), parameters), path)
        seconds, kilobytes, _ = subprocess.run(
            [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True
        ).stdout.split()
        what = f"open a file of {path.stat().st_size / 1e6:.0f} MB, {TENSORS} tensors"
        yield Row(what, float(seconds) * 1000, "ms", goal=50)
        yield Row(f"{what}: memory at the peak", int(kilobytes) / 1000, "MB", goal=30)

        def read_all() -> float:
            return float(sum(float(p.array().sum()) for p in nb.read(path).parameters.values()))

        def plain() -> float:
            with np.errstate(all="ignore"):  # the bytes between the tensors are no numbers
                return float(np.fromfile(path, np.float32, count=path.stat().st_size // 4).sum())

        yield Row(
            "read every weight", median_s(read_all) * 1000, "ms", median_s(plain) * 1000, 1.67
        )  # 60 % of its speed

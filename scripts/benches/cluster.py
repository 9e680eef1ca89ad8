"""--scheduler: what two workers, a core each, gain over one, and what a job costs beside its work."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benches import example
from benches.clock import median_s
from benches.table import Row

JOBS = 200
TARGETS = ("arm64-int8", "armv7-int8", "verisilicon-timvx", "rockchip")
MODEL = """
import numpy as np
import paddle

def noise(count):
    return {"image": np.random.default_rng(0).standard_normal((count, 3, 96, 96), np.float32)}

def evaluation():
    return noise(32)

def calibration():
    return noise(32)

def build():
    return paddle.vision.models.mobilenet_v2()
"""
RECIPE = """
name = "mobilenet_v2"
[model]
factory = "model.py:build"
[inputs.image]
shape = [-1, 3, 96, 96]
[data]
calibration = "model.py:calibration"
evaluation = "model.py:evaluation"
"""


def rows(small: bool) -> Iterator[Row]:
    import distributed

    with (
        tempfile.TemporaryDirectory() as name,
        distributed.LocalCluster(
            n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as own,
    ):
        address, home = str(own.scheduler_address), Path(name)
        with workers(address, 1, home):
            yield overhead(address, 20 if small else JOBS)
        if small:
            return
        work = home / "project"
        work.mkdir()
        (work / "model.py").write_text(MODEL)
        (work / "edgeflow.toml").write_text(RECIPE)
        took = {}
        for count in (1, 2):
            with workers(address, count, home):

                def build() -> None:
                    for stage in ("compress", "convert", "verify"):
                        shutil.rmtree(work / "build" / ".cache" / stage, ignore_errors=True)
                    shutil.rmtree(home / "store", ignore_errors=True)
                    flags = [flag for target in TARGETS for flag in ("-t", target)]
                    example.edgeflow(work, "build", *flags, "--scheduler", address, "--no-layers", fine=(0, 3))

                build()  # stage 1 is made, and each worker has imported what it needs
                took[count] = median_s(build, 1, 0)
        yield Row("four targets of MobileNetV2 int8, two workers against one", took[2], "s", took[1], 1 / 1.6)


def overhead(address: str, jobs: int) -> Row:
    """What a job that does nothing takes, there and back."""
    from edgeflow.cluster.client import Cluster

    with Cluster(address, print) as cluster:
        cluster.run(len, ())
        since = time.monotonic()
        for _ in range(jobs):
            cluster.run(len, ())
        return Row("a job that does nothing", (time.monotonic() - since) / jobs, "s", goal=0.05)


@contextmanager
def workers(address: str, count: int, home: Path) -> Iterator[None]:
    """So many workers, each held to a core of its own where there is one."""
    import distributed

    cores, started = sorted(os.sched_getaffinity(0)), []
    for k in range(count):
        own = {**os.environ, "EDGEFLOW_WORKER_STORE": str(home / "store" / str(k)), "OMP_NUM_THREADS": "1"}
        pinned = ["taskset", "-c", str(cores[k % len(cores)])] if shutil.which("taskset") else []
        line = [*pinned, sys.executable, "-m", "edgeflow", "worker", address]
        started.append(subprocess.Popen(line, env=own, stderr=subprocess.DEVNULL))
    try:
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)
        yield
    finally:
        for one in started:
            one.terminate()
            one.wait()

"""Two real worker processes and a scheduler on loopback: what is sent, who dies, who has other versions."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeflow.core.errors import DataError, EdgeflowError
from tests.cluster import jobs
from tests.conftest import ROOT

distributed = pytest.importorskip("distributed", reason="edgeflow[cluster] is not installed")

OTHER = "import edgeflow.cluster.worker as worker; own = worker.stack(); worker.stack = lambda: {**own, 'numpy': '0.1'}; worker.serve(%r, 1)"


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as own:
        yield str(own.scheduler_address)


@contextlib.contextmanager
def workers(address: str, stores: list[Path], *, other: bool = False) -> Iterator[list[subprocess.Popen[bytes]]]:
    started = []
    for store in stores:
        line = ["-c", OTHER % address] if other else ["-m", "edgeflow", "worker", address]
        own = {**os.environ, "EDGEFLOW_WORKER_STORE": str(store), "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen([sys.executable, *line], env=own, stderr=subprocess.DEVNULL))
    try:
        with distributed.Client(address, set_as_default=False) as client:
            until = time.monotonic() + 60
            while len(client.nthreads()) < len(stores) and time.monotonic() < until:
                time.sleep(0.05)
        yield started
    finally:
        for one in started:
            one.kill()
            one.wait()
        with distributed.Client(address, set_as_default=False) as client:
            while client.nthreads():
                time.sleep(0.05)


def gone(process: int) -> bool:
    """Ended, or ended and not waited for."""
    for _ in range(100):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_content_goes_once_and_those_who_die_are_named(scheduler: str, tmp_path: Path) -> None:
    from edgeflow.cluster.client import Cluster

    stores = [tmp_path / "one", tmp_path / "two"]
    big = tmp_path / "model.bin"
    big.write_bytes(os.urandom(9 << 20))
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "x").write_bytes(b"1")
    (tmp_path / "set" / "y").write_bytes(b"")
    with workers(scheduler, stores), Cluster(scheduler, print) as cluster:
        assert cluster.slots == 2
        assert [cluster.run(jobs.weigh, big, k) for k in range(4)] == [((9 << 20) * k, "model.bin") for k in range(4)]
        for store in stores:  # each has it, by its hash, and once
            assert [path.stat().st_size for path in store.glob("blobs/*/*")] == [9 << 20]
        assert cluster.run(jobs.names, tmp_path / "set") == ["a/x", "y"]
        since = time.monotonic()
        assert [cluster.run(jobs.nothing, k) for k in range(20)] == list(range(20))
        assert (time.monotonic() - since) / 20 < 1
        with pytest.raises(DataError, match="no such sample") as caught:
            cluster.run(jobs.refuse)
        assert caught.value.try_ == "another one"
        # The process of a job crashes: tried once on the other worker, and both are named.
        with pytest.raises(EdgeflowError, match=r"crash: its workers died over it: tcp://\S+, tcp://\S+"):
            cluster.run(jobs.crash)
        # A worker is killed in the middle: the other one does it.
        survivor = cluster.run(jobs.kill_worker, str(tmp_path / "once"))
        assert survivor > 0
        assert len(cluster._present()) == 1
        with pytest.raises(EdgeflowError, match=r"kill_any_worker: its worker died over it: tcp://\S+\n"):
            cluster.run(jobs.kill_any_worker)


def test_ending_ends_what_runs_elsewhere_and_other_versions_are_left_out(scheduler: str, tmp_path: Path) -> None:
    from edgeflow.cluster.client import Cluster

    notes: list[str] = []
    with workers(scheduler, [tmp_path / "other"], other=True):
        with pytest.raises(EdgeflowError, match=r"no worker has the versions(?s:.*)has numpy 0.1, here \d"):
            Cluster(scheduler, print)
    with workers(scheduler, [tmp_path / "same"]), Cluster(scheduler, notes.append) as cluster:
        ended: list[BaseException] = []

        def wait() -> None:
            try:
                cluster.run(jobs.sleep, str(tmp_path / "began"))
            except EdgeflowError as err:
                ended.append(err)

        thread = threading.Thread(target=wait)
        thread.start()
        while not (tmp_path / "began").exists() or not (tmp_path / "began").read_text():
            time.sleep(0.05)
        cluster.abandon()
        thread.join(20)
        assert "stopped" in str(ended[0])
        assert gone(int((tmp_path / "began").read_text()))


def test_what_a_scheduler_may_be(tmp_path: Path) -> None:
    from edgeflow.cluster.local import scheduled

    for said, word in (
        ("host:8786", "should be tcp://"),
        ("local:0", "has no worker"),
        ("tcp://127.0.0.1:9", "nobody"),
    ):
        with pytest.raises(EdgeflowError, match=word), scheduled(said, print):
            pass

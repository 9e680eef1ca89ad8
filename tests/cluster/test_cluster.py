"""Two real worker processes and a scheduler on loopback: what is sent, who dies, who has other versions."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeflow.core.errors import DataError, EdgeflowError
from tests.cluster import jobs
from tests.conftest import ROOT

if TYPE_CHECKING:
    from edgeflow.cluster.client import Cluster

distributed = pytest.importorskip("distributed", reason="edgeflow[cluster] is not installed")

OTHER = "import edgeflow.cluster.worker as worker; own = worker.stack(); worker.stack = lambda: {**own, 'numpy': '0.1'}; worker.serve(%r, 1, print)"


@contextlib.contextmanager
def workers(stores: list[Path], other: Path) -> Iterator[str]:
    """A scheduler, a worker for each store, and one whose stack is another; gives the address."""
    with distributed.LocalCluster(
        n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as scheduler:
        address, started = str(scheduler.scheduler_address), []
        for store in (*stores, other):
            line = ["-c", OTHER % address] if store == other else ["-m", "edgeflow", "worker", address]
            own = {**os.environ, "EDGEFLOW_WORKER_STORE": str(store), "PYTHONPATH": str(ROOT)}
            started.append(subprocess.Popen([sys.executable, *line], env=own, stderr=subprocess.DEVNULL))
        try:
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(len(started), timeout=60)
            yield address
        finally:
            for one in started:
                one.kill()
                one.wait()


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


def test_content_goes_once_and_those_who_die_are_named(tmp_path: Path) -> None:
    from edgeflow.cluster.client import Cluster

    stores, notes = [tmp_path / "one", tmp_path / "two"], list[str]()
    big = tmp_path / "model.bin"
    big.write_bytes(os.urandom(9 << 20))
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "x").write_bytes(b"1")
    (tmp_path / "set" / "y").write_bytes(b"")
    with workers(stores, tmp_path / "other") as scheduler:
        with Cluster(scheduler, notes.append) as cluster:
            assert cluster.slots == 2
            assert len(notes) == 1
            assert re.fullmatch(r"tcp://\S+ has numpy 0.1, here \S+; it is left out", notes[0])
            assert [cluster.run(jobs.weigh, big, k) for k in range(4)] == [((9 << 20) * k, big.name) for k in range(4)]
            for store in stores:  # each has it, by its hash, and once
                assert [path.stat().st_size for path in store.glob("blobs/*/*")] == [9 << 20]
            assert cluster.run(jobs.names, tmp_path / "set") == ["a/x", "y"]
            with pytest.raises(DataError, match="no such sample") as caught:
                cluster.run(jobs.refuse)
            assert caught.value.try_ == "another one"
            # The process of a job crashes: tried once on the other worker, and both are named.
            with pytest.raises(EdgeflowError, match=r"crash: its workers died over it: tcp://\S+, tcp://\S+"):
                cluster.run(jobs.crash)
            # A worker is killed in the middle: the other one does it.
            assert cluster.run(jobs.kill_worker, str(tmp_path / "once")) > 0
            assert len(cluster._present()) == 1
            _end_in_the_middle(cluster, tmp_path / "began")
        with Cluster(scheduler, notes.append) as cluster:
            with pytest.raises(EdgeflowError, match=r"kill_any_worker: its worker died over it: tcp://\S+\n"):
                cluster.run(jobs.kill_any_worker)
        with pytest.raises(EdgeflowError, match=r"no worker has the versions(?s:.*)has numpy 0.1, here \d"):
            Cluster(scheduler, print)


def _end_in_the_middle(cluster: Cluster, began: Path) -> None:
    """What Ctrl-C does: who waits is told, and the process there ends."""
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            cluster.run(jobs.sleep, str(began))
        except EdgeflowError as err:
            ended.append(err)

    thread = threading.Thread(target=wait)
    thread.start()
    while not began.exists() or not began.read_text():
        time.sleep(0.05)
    cluster.abandon()
    thread.join(20)
    assert "stopped" in str(ended[0])
    assert gone(int(began.read_text()))


def test_what_a_scheduler_may_be(tmp_path: Path) -> None:
    from edgeflow.cluster.local import scheduled

    for said, word in (
        ("host:8786", "should be tcp://"),
        ("local:0", "has no worker"),
        ("tcp://127.0.0.1:9", "nobody"),
    ):
        with pytest.raises(EdgeflowError, match=word), scheduled(said, print):
            pass

"""A scheduler and workers of one's own, on this machine: `--scheduler local:N`; and what `--scheduler` may say."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator

from edgeflow.cluster.client import Cluster
from edgeflow.core.children import command, started
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.need import need
from edgeflow.flow.executor import working

LOCAL = re.compile(r"local:(\d{1,3})")
COME_S = 60


@contextlib.contextmanager
def scheduled(said: str, note: Callable[[str], None]) -> Iterator[Cluster]:
    """The workers that `--scheduler` names, for as long as the block runs.

    Raises:
        EdgeflowError: it names none, nobody answers, or no worker has this machine's versions.
    """
    found = LOCAL.fullmatch(said)
    if found is None:
        if not re.match(r"(tcp|tls)://[^/]+:\d+$", said):
            raise EdgeflowError(
                f"--scheduler {said!r}: should be tcp://HOST:8786, tls://HOST:8786 or local:N",
                try_="--scheduler local:2, for two workers on this machine",
            )
        with Cluster(said, note) as cluster, working(cluster):
            yield cluster
        return
    if int(found[1]) < 1:
        raise EdgeflowError("--scheduler local:0 has no worker", try_="--scheduler local:2")
    with _own(int(found[1])) as address, Cluster(address, note) as cluster, working(cluster):
        yield cluster


@contextlib.contextmanager
def _own(count: int) -> Iterator[str]:
    distributed = need("distributed", "cluster")
    with distributed.LocalCluster(
        n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=40
    ) as own:
        address = str(own.scheduler_address)
        workers = [started(lambda: _begun(address)) for _ in range(count)]
        try:
            until = time.monotonic() + COME_S
            while len(own.scheduler_info["workers"]) < count:
                if time.monotonic() > until or any(worker.poll() is not None for worker in workers):
                    raise EdgeflowError(f"--scheduler local:{count}: its workers did not come")
                time.sleep(0.05)
            yield address
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def _begun(address: str) -> subprocess.Popen[bytes]:
    line = [*command(program="edgeflow"), "worker", address]
    return subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

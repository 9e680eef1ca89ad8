"""Servers that hold data, on loopback: HTTP with ranges, S3 (OpenStack Swift), HDFS (Hadoop), and a link that breaks.

Swift comes from PyPI and Hadoop's jars from pyspark 2.4.8's sdist; `scripts/stores` lays both ready, and
EDGEFLOW_STORES names the folder. Without it the tests that want them are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

STORES = Path(os.environ.get("EDGEFLOW_STORES", "nowhere"))
SWIFT = STORES / "swift" / "bin"
HADOOP = STORES / "hadoop"
DEBIAN_JARS = ["jsr311-api", "jersey1-core", "jersey1-server", "jersey1-servlet", "asm-all", "jaxb-api"]
OPENED = [
    "java.base/java.lang",
    "java.base/java.util",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/sun.nio.ch",
]
READY_S = 60


def missing_swift() -> str:
    if not (SWIFT / "swift-proxy-server").is_file():
        return "no OpenStack Swift: run scripts/stores, and set EDGEFLOW_STORES to the folder that it names"
    return ""


def missing_hadoop() -> str:
    if not list(HADOOP.glob("hadoop-hdfs-*.jar")):
        return "no Hadoop: run scripts/stores, and set EDGEFLOW_STORES to the folder that it names"
    if shutil.which("java") is None:
        return "no java: apt install openjdk-17-jre-headless"
    if absent := [name for name in DEBIAN_JARS if not Path(f"/usr/share/java/{name}.jar").is_file()]:
        return f"missing in /usr/share/java: {', '.join(absent)}; scripts/stores names their packages"
    return ""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def web(folder: Path, *, ranges: bool = True) -> Iterator[str]:
    """Serve a folder over HTTP, with ETag and ranges, or as a stream of unknown length."""
    from aiohttp import web as aio

    async def streamed(request: aio.Request) -> aio.StreamResponse:
        answer = aio.StreamResponse()
        await answer.prepare(request)
        await answer.write((folder / request.match_info["name"]).read_bytes())
        return answer

    application = aio.Application()
    if ranges:
        application.router.add_static("/", folder)
    else:
        application.router.add_get("/{name:.*}", streamed)
    loop, port = asyncio.new_event_loop(), free_port()
    runner = aio.AppRunner(application, shutdown_timeout=0.1)

    async def begin() -> None:
        await runner.setup()
        await aio.TCPSite(runner, "127.0.0.1", port).start()

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Cutting:
    """A link to a server on loopback, whose connections break after so many bytes; `passed` counts them all. `dies`:
    after the last break it takes no more, until `left` is set.
    """

    def __init__(self, port: int, after: int, breaks: int, *, dies: bool = False) -> None:
        self._to, self._after, self.left, self.passed, self.dies = port, after, breaks, 0, dies
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.opened = 0

    def __enter__(self) -> Cutting:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._socket.accept()
                self.opened += 1
                if self.dies and not self.left:
                    here.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._pass, args=(here, there, None), daemon=True).start()
                threading.Thread(target=self._pass, args=(there, here, self._after), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                sink.sendall(block)
                sent += len(block)
                self.passed += len(block) if most is not None else 0
                if most is not None and sent > most and self.left:
                    self.left -= 1
                    break
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def _running(commands: list[list[str]], logs: Path, environment: dict[str, str]) -> Iterator[None]:
    processes = []
    try:
        for k, command in enumerate(commands):
            with (logs / f"log{k}").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=logs))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _wait(port: int) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens at port {port} after {READY_S} s")


@contextlib.contextmanager
def swift(folder: Path) -> Iterator[str]:
    """OpenStack Swift with its S3 API: user test:tester, password testing. Gives the endpoint."""
    etc, disks = folder / "etc", folder / "disks"
    etc.mkdir(parents=True)
    (disks / "d1").mkdir(parents=True)
    (etc / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = x\n[storage-policy:0]\nname = gold\ndefault = yes\n"
    )
    common = (
        f"[DEFAULT]\nswift_dir = {etc}\nbind_ip = 127.0.0.1\nworkers = 0\nuser = {os.environ.get('USER', 'root')}\n"
    )
    commands, ports = [], []
    for kind in ("account", "container", "object"):
        port, builder = free_port(), str(etc / f"{kind}.builder")
        for step in (["create", "2", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
            subprocess.run([SWIFT / "swift-ring-builder", builder, *step], check=True, capture_output=True)
        (etc / f"{kind}.conf").write_text(
            f"{common}devices = {disks}\nmount_check = false\ndisable_fallocate = true\nbind_port = {port}\n"
            f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
        )
        commands.append([str(SWIFT / f"swift-{kind}-server"), str(etc / f"{kind}.conf")])
        ports.append(port)
    port = free_port()
    filters = "".join(f"[filter:{n}]\nuse = egg:swift#{n}\n" for n in ("catch_errors", "listing_formats", "slo", "dlo"))
    (etc / "proxy.conf").write_text(
        f"{common}bind_port = {port}\n"
        "[pipeline:main]\npipeline = catch_errors cache listing_formats s3api tempauth slo dlo proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
        f"[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:1\n{filters}"
        "[filter:s3api]\nuse = egg:swift#s3api\nlocation = us-east-1\n"
        "[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = testing .admin\n"
    )
    commands.append([str(SWIFT / "swift-proxy-server"), str(etc / "proxy.conf")])
    with _running(commands, folder, dict(os.environ)):
        for each in (*ports, port):
            _wait(each)
        yield f"http://127.0.0.1:{port}"


def _configuration(**values: object) -> str:
    inner = "".join(f"<property><name>{key}</name><value>{value}</value></property>" for key, value in values.items())
    return f"<configuration>{inner}</configuration>"


@contextlib.contextmanager
def hdfs(folder: Path) -> Iterator[tuple[str, str]]:
    """A NameNode and a DataNode of Hadoop 2.7.3. Gives `hdfs://host:port` and `webhdfs://host:port`."""
    (folder / "webapps" / "hdfs").mkdir(parents=True)
    (folder / "webapps" / "datanode").mkdir()
    name, http = free_port(), free_port()
    (folder / "core-site.xml").write_text(_configuration(**{"fs.defaultFS": f"hdfs://127.0.0.1:{name}"}))
    (folder / "hdfs-site.xml").write_text(
        _configuration(
            **{
                "dfs.replication": 1,
                "dfs.namenode.name.dir": folder / "name",
                "dfs.datanode.data.dir": folder / "data",
                "dfs.namenode.http-address": f"127.0.0.1:{http}",
                "dfs.datanode.address": f"127.0.0.1:{free_port()}",
                "dfs.datanode.ipc.address": f"127.0.0.1:{free_port()}",
                "dfs.datanode.http.address": f"127.0.0.1:{free_port()}",
                "dfs.permissions.enabled": "false",
                "dfs.datanode.hostname": "127.0.0.1",
                "dfs.webhdfs.enabled": "true",
            }
        )
    )
    jars = [*map(str, HADOOP.glob("*.jar")), *(f"/usr/share/java/{name}.jar" for name in DEBIAN_JARS)]
    opened = [part for module in OPENED for part in ("--add-opens", f"{module}=ALL-UNNAMED")]
    java = ["java", "-Xmx256m", "-XX:+UseSerialGC", *opened, "-cp", ":".join([str(folder), *jars])]
    node = "org.apache.hadoop.hdfs.server"
    subprocess.run(
        [*java, f"{node}.namenode.NameNode", "-format", "-force"], check=True, capture_output=True, cwd=folder
    )
    with _running(
        [[*java, f"{node}.namenode.NameNode"], [*java, f"{node}.datanode.DataNode"]], folder, dict(os.environ)
    ):
        _wait(name)
        _wait(http)
        yield f"hdfs://127.0.0.1:{name}", f"webhdfs://127.0.0.1:{http}"

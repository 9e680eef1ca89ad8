"""--on qemu: a device's programs under qemu-user on this machine, with a stand-in for Paddle Lite's library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgeflow.cli.main import edgeflow
from edgeflow.core.errors import BackendMissing, TransportError
from edgeflow.deploy import qemu
from edgeflow.deploy.endings import last_words
from edgeflow.deploy.remote import Remote, RunOptions
from edgeflow.deploy.runtime import load_runtime
from tests.deploy.builds import feed_of, make_build
from tests.deploy.conftest import MODEL
from tests.deploy.device.make import CROSS, Machine, seal


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every run removes what it made; the user's own settings of qemu are not these tests'."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv(qemu.CPU_VARIABLE, raising=False)
    monkeypatch.delenv(qemu.PREFIX_VARIABLE, raising=False)
    yield
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def build(recorded: Path, runtime: Path, tmp_path: Path) -> Path:
    return make_build(tmp_path / "project", recorded, runtime, "arm64-int8")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(edgeflow, [str(a) for a in arguments])


def test_run_verify_and_bench(build: Path, recorded: Path, tmp_path: Path) -> None:
    feed, expected = feed_of(recorded)
    ((name, samples),) = feed.items()
    np.save(tmp_path / "in.npy", samples[:1])
    model, out = build / "model.nb", tmp_path / "out"
    found = call("run", model, "--on", "qemu", "--input", f"{name}={tmp_path / 'in.npy'}", "--output-dir", out)
    assert found.exit_code == 0, found.output
    np.testing.assert_array_equal(np.load(out / "out_0.npy"), expected[:1])

    found = call("verify", model, "--on", "qemu", "--json")
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    assert report["passed"]
    assert report["runner"].startswith("qemu (emulated by qemu-aarch64 ")
    assert "emulated by qemu-aarch64" in report["device"]["model"]
    assert report["device"]["machine"] == "aarch64"
    assert report["device"]["governor"] == ""
    assert any("under qemu-user on this machine" in line for line in report["not_checked"])
    assert [(hop["from"], hop["to"]) for hop in report["waterfall"]][-1:] == [("nb_emulated", "device")]

    found = call("bench", model, "--on", "qemu", "--warm-up", "0", "--repeats", "2")
    assert found.exit_code == 0, found.output
    assert "these times are those of qemu's emulation on this machine" in found.output


def test_a_wrong_answer_fails(build: Path) -> None:
    arrays = dict(np.load(build / "reference.npz"))
    arrays["output/0"] = np.roll(arrays["output/0"], 1, axis=1)
    np.savez(build / "other.npz", **arrays)
    found = call(
        "verify", build / "model.nb", "--reference", build / "other.npz", "--cosine-min", "0.99", "--on", "qemu"
    )
    assert found.exit_code == 3, found.output


def test_programs_from_elsewhere_run_only_with_trust(build: Path, runtime: Path, tmp_path: Path) -> None:
    other = shutil.copytree(runtime, tmp_path / "other")
    for arguments in ((), ("--runtime", str(other))):
        if not arguments:
            with (build.parent / "device" / "arm64-int8" / "runtime.json").open("a") as stream:
                stream.write("\n")
        found = call("verify", build / "model.nb", "--on", "qemu", *arguments)
        assert found.exit_code == 1
        assert "its programs were not made here" in found.output
        assert "--trust" in found.output
    found = call("verify", build / "model.nb", "--on", "qemu", "--runtime", other, "--trust")
    assert found.exit_code == 0, found.output


BAD = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <new>
int main(int argc, char** argv) {
  const char* how = getenv("TMPDIR");
  fprintf(stderr, "Check failed: the runtime's last words\\n");
  if (strstr(how, "abort")) abort();
  if (strstr(how, "crash")) raise(SIGSEGV);
  if (strstr(how, "illegal")) raise(SIGILL);
  if (strstr(how, "sleep")) sleep(30);
  if (strstr(how, "memory")) for (;;) memset(new char[1l << 40], 1, 1);
  if (strstr(how, "disk")) for (char block[4096];;) fwrite(block, 1, sizeof block, stdout);
  if (strstr(how, "path")) return fprintf(stderr, "%s %s\\n", getenv("LD_LIBRARY_PATH"), getenv("LD_PRELOAD")), 1;
}
"""
ENDINGS = {
    "abort": r"dump: aborted, with signal 6 \(Check failed: the runtime's last words\).*try: ",
    "crash": r"dump: crashed with signal 11 \(Check failed: the runtime's last words\).*try: ",
    "illegal": r"instruction that the emulated CPU max does not have.*try: QEMU_CPU=max, or cortex-a76",
    "sleep": r"dump: was still running after 1 s, and was ended.*try: --limit-s",
    "memory": r"dump: asked for more memory than an emulated program may have.*try: ",
    "disk": r"dump: wrote more into a file than it may.*try: ",
    "path": r"ended with status 1 \(\S+\.edgeflow\.\S+ \(null\)\)",
    "nothing": r"printed 'without a word', and should print one line of JSON",
}


def test_programs_that_go_wrong(runtime: Path, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of temporary folders say how: programs see few of this machine's variables."""
    feed, _ = feed_of(recorded)
    bad = shutil.copytree(runtime, tmp_path / "bad")
    (tmp_path / "bad.cpp").write_text(BAD)
    subprocess.run([CROSS, "-O1", "-o", bad / "bin" / "dump", tmp_path / "bad.cpp"], check=True)
    seal(bad)
    monkeypatch.setattr(qemu, "FILE_BYTES", 1 << 20)
    monkeypatch.setenv("LD_PRELOAD", "")
    for how, words in ENDINGS.items():
        monkeypatch.setenv("TMPDIR", f"/nowhere/{how}")
        options = RunOptions(limit_s=1 if how == "sleep" else 60)
        with (
            Remote("qemu", MODEL, load_runtime(bad), options) as runner,
            pytest.raises(TransportError, match="(?s)" + words),
        ):
            runner.infer(feed)


def test_what_is_missing_is_named(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = load_runtime(runtime)
    monkeypatch.setenv(qemu.PREFIX_VARIABLE, str(tmp_path))
    with pytest.raises(BackendMissing, match=r"(?s)holds no lib/ld-linux-aarch64.so.1.*try: apt install g\+\+-aarch64"):
        Remote("qemu", MODEL, folder)
    monkeypatch.delenv(qemu.PREFIX_VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendMissing, match=r"(?s)qemu-aarch64 is not installed.*try: apt install qemu-user"):
        Remote("qemu", MODEL, folder)
    with pytest.raises(BackendMissing, match=r"(?s)the programs are for x86_64, and should be for aarch64 or arm"):
        qemu.emulation("x86_64")


def test_a_cpu_that_qemu_does_not_know(runtime: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(qemu.CPU_VARIABLE, "abacus")
    with (
        Remote("qemu", MODEL, load_runtime(runtime)) as runner,
        pytest.raises(TransportError, match=r"(?s)qemu-aarch64 \S+ knows no CPU 'abacus'.*try: QEMU_CPU=max"),
    ):
        runner.infer(feed_of(recorded)[0])


def test_android_programs_are_refused(runtime: Path, tmp_path: Path) -> None:
    other = seal(shutil.copytree(runtime, tmp_path / "android"), "arm64-v8a")
    with (
        pytest.raises(TransportError, match="it is no Android"),
        Remote("qemu", MODEL, load_runtime(other)),
    ):
        pass


def test_last_words_are_the_programs_own() -> None:
    log = "[F] Check failed: x\nqemu: uncaught target signal 6 (Aborted) - core dumped\n"
    assert last_words(log) == "[F] Check failed: x"


def test_programs_end_with_a_killed_client(machine: Machine, tmp_path: Path) -> None:
    code = (
        "from edgeflow.deploy.qemu import Qemu\n"
        f"Qemu('aarch64').call(\"echo $$ > '{tmp_path}/pid.part'; mv '{tmp_path}/pid.part' '{tmp_path}/pid'; sleep 60\", timeout_s=60)"
    )
    (tmp_path / "own").mkdir()
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path / "own")}) as client:
        _until((tmp_path / "pid").exists)
        shell = int((tmp_path / "pid").read_text())
        assert os.getpgid(shell) == shell
        client.kill()

    def ended() -> bool:
        try:
            os.killpg(shell, 0)
        except ProcessLookupError:
            return True
        # One that nobody waited for yet is over all the same.
        stat = Path(f"/proc/{shell}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"

    _until(ended)


def _until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that within 20 s")

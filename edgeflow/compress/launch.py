"""Fine-tuning in several processes through paddle.distributed.launch: one a GPU, or over gloo on a CPU.

Each process works on its part of every batch; gradients are averaged before each step and statistics after each epoch,
so all hold the same weights and take the same decisions. The first one writes what comes out.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgeflow.compress.train import Alone, Job, Say, Tuned, train
from edgeflow.core.children import command
from edgeflow.core.errors import CompressFailed
from edgeflow.core.settings import FineTuneSettings
from edgeflow.files.temporary import scratch
from edgeflow.paddle import session as paddle_backend

POLL_S = 0.2
SHOWN = 300


def launch(job: Job, say: Say) -> Tuned:
    """Run a job in `settings.processes` processes and wait.

    Raises:
        CompressFailed: one of them failed; its last words.
    """
    with scratch() as folder:
        order = {
            **asdict(replace(job, settings=replace(job.settings, processes=1))),
            "port": _free_port(),
            "result": str(folder / "result.json"),
            "said": str(folder / "said"),
        }
        (folder / "job.json").write_text(json.dumps(order, default=str), encoding="utf-8")
        package = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
        child = subprocess.Popen(
            [
                *command(program="paddle.distributed.launch"),
                "--nproc_per_node",
                str(job.settings.processes),
                "--log_dir",
                str(folder / "log"),
                str(Path(__file__).with_name("launch_child.py")),
                str(folder / "job.json"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
        )  # the launcher leaves files where it runs
        try:
            told = 0
            while child.poll() is None:
                time.sleep(POLL_S)
                lines = _lines(folder / "said")
                for line in lines[told:]:
                    say(line)
                told = len(lines)
        finally:
            child.terminate()
            child.wait()
        if not (folder / "result.json").exists():
            raise _failure(folder)
        return Tuned(**json.loads((folder / "result.json").read_text(encoding="utf-8")))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _failure(folder: Path) -> CompressFailed:
    for path in sorted((folder / "log").glob("workerlog.*")):
        lines = [line for line in _lines(path) if line.startswith("edgeflow: ")]
        if lines:
            what, _, try_ = lines[-1].removeprefix("edgeflow: ").partition("\t")
            return CompressFailed(what, try_=try_)
    last = [line for path in sorted((folder / "log").glob("workerlog.*")) for line in _lines(path) if line.strip()][-1:]
    return CompressFailed(
        f"fine-tuning in several processes ended without a result ({last[0][:SHOWN] if last else 'no word'})",
        try_="processes = 1 under [compress.fine_tune]",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Together(Alone):
    """This process among several, as paddle.distributed.launch numbers them."""

    def __init__(self, port: int) -> None:
        package = paddle_backend.paddle()
        self.rank, self.count = int(os.environ["PADDLE_TRAINER_ID"]), int(os.environ["PADDLE_TRAINERS_NUM"])
        self._package, self._programs = package, dict[tuple[str, ...], Any]()
        if paddle_backend.has_gpu():
            package.distributed.init_parallel_env()
        else:  # static programs speak to gloo through an environment of its own
            package.distributed.gloo_init_parallel_env(self.rank, self.count, f"127.0.0.1:{port}")

    def average_gradients(self, program: Any, pairs: Sequence[tuple[Any, Any]]) -> None:
        block = program.global_block()
        for _, gradient in pairs:
            self._average(block, gradient, role=1)  # 1: the backward pass, before the optimizer's own ops

    def average_state(self, program: Any, executor: Any, names: Sequence[str]) -> None:
        key = tuple(names)
        if key not in self._programs:
            made = self._package.static.Program()
            source = getattr(program, "_program", program).global_block()
            for name in names:
                held = source.var(name)
                if held.dtype == self._package.float32:
                    var = made.global_block().create_var(
                        name=name, shape=held.shape, dtype=held.dtype, persistable=True
                    )
                    self._average(made.global_block(), var, role=0)
            self._programs[key] = made
        executor.run(self._programs[key])

    def _average(self, block: Any, var: Any, role: int) -> None:
        same = {"inputs": {"X": var}, "outputs": {"Out": var}}
        block.append_op(type="c_allreduce_sum", attrs={"ring_id": 0, "use_calc_stream": True, "op_role": role}, **same)
        block.append_op(type="scale", attrs={"scale": 1.0 / self.count, "op_role": role}, **same)


def work(order: dict[str, Any]) -> None:
    """What one launched process does."""
    together = Together(int(order.pop("port")))
    result, said = Path(order.pop("result")), Path(order.pop("said"))
    paths = {
        key: Path(order[key]) for key in ("student", "teacher", "out", "samples", "checkpoint", "trained") if order[key]
    }
    job = Job(**{**order, **paths, "settings": FineTuneSettings(**order["settings"])})

    def say(line: str) -> None:
        if together.rank == 0:
            with said.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    tuned = train(job, say, together)
    if together.rank == 0:
        result.write_text(json.dumps(asdict(tuned)), encoding="utf-8")


def fine_tune(job: Job, say: Say | None = None) -> Tuned:
    """Train a program to give its teacher's outputs, on one device or, with `settings.processes`, on several.

    Args:
        say: told of each epoch, with the time that is left.

    Raises:
        CompressFailed: the loss is not finite (the best weights so far are in the checkpoint), no output is a float,
            the samples
            are too few, or PaddleSlim gave up.
    """
    if job.settings.processes > 1:
        return launch(job, say or (lambda _: None))
    return train(job, say or (lambda _: None), Alone())

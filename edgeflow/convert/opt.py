"""Paddle Lite's opt, in a child process: it kills its process on every error, sometimes without a word.

Source: observed on paddlelite 2.13rc0; SIGABRT with a message on stderr, SIGSEGV with none.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edgeflow.core import fence
from edgeflow.core.children import command
from edgeflow.core.errors import BackendMissing, OptFailed

TIMEOUT_S = 1800
SHOWN = 300
NOISE = re.compile(r"^\[\s*[IWV]\s|^\s*$|^Aborted|^terminate called|what\(\):\s*$")
CAUSES = (
    (
        re.compile(r"ops?\(?s?\)? .*not supported|not supported.*op|unsupported op", re.I),
        "an op has no kernel for these targets",
    ),
    (re.compile(r"No kernels? found|no kernel", re.I), "an op has no kernel for these targets"),
    (
        re.compile(r"Can't find a '\w+' kernel to trans"),
        "the NPU and an op on the CPU have no type in common for the tensor named below",
    ),
    (re.compile(r"No attributes called (\w+)", re.I), "an attribute that opt insists on is missing"),
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What opt is told of one program.

    `valid_targets`: places as opt takes them, the preferred first, such as `huawei_kirin_npu,arm`. `off_npu`: lines of
    its partition configuration, `OP:INPUTS:OUTPUTS`; these ops stay on the CPU. `keep_float`: lines of its
    mixed-precision configuration; these ops of an int8 model are computed in float. `weight_only`: `int8` or `int16`,
    the form in which weights are stored. `sparsity`: share of zeros from which a 1x1 convolution becomes a sparse one;
    0 leaves all dense.
    """

    valid_targets: str
    fp16: bool = False
    off_npu: Sequence[str] = ()
    keep_float: Sequence[str] = ()
    weight_only: str | None = None
    sparsity: float = 0.0


def convert(prefix: Path, out: Path, way: Conversion, log: Path) -> None:
    """Convert `prefix`.pdmodel and .pdiparams into `out` (a .nb).

    Args:
        log: where opt's whole output goes.

    Raises:
        OptFailed: opt gave up; names the op or the cause, and the log.
        BackendMissing: paddlelite is not installed.
    """
    if find_spec("paddlelite") is None:
        raise BackendMissing("paddlelite is not installed", try_="pip install 'edgeflow[build]' (Python 3.10)")
    order = {
        "fence": str(Path(fence.__file__).resolve()),
        "model": f"{prefix}.pdmodel",
        "params": f"{prefix}.pdiparams",
        "out": str(out.with_suffix("")),
        "valid_targets": way.valid_targets,
        "fp16": way.fp16,
        "weight_only": way.weight_only,
        "sparsity": way.sparsity,
    }
    # opt reads settings from the environment: only ours may reach it.
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SUBGRAPH_", "MIXED_PRECISION_", "QUANT_AUTO_", "PADDLE_LITE_", "NNADAPTER_"))
    }
    # Source: Paddle-Lite v2.13-rc lite/utils/env.h.
    if way.off_npu:
        environment["SUBGRAPH_PARTITION_CONFIG_BUFFER"] = "\n".join(way.off_npu)
    if way.keep_float:
        environment["MIXED_PRECISION_QUANTIZATION_CONFIG_BUFFER"] = "\n".join(way.keep_float)
    try:
        done = subprocess.run(
            [*command("-I", program=str(Path(__file__).with_name("opt_child.py").resolve())), json.dumps(order)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise OptFailed(f"opt: not done after {TIMEOUT_S} s, and was stopped") from err
    log.write_bytes(done.stdout)
    if done.returncode != 0 or not out.exists():
        raise _failure(done.returncode, done.stdout.decode("utf-8", "replace"), way.valid_targets, log)


def _failure(code: int, output: str, valid_targets: str, log: Path) -> OptFailed:
    """Say what opt meant."""
    lines = [line.strip() for line in output.splitlines() if not NOISE.search(line)]
    telling = [
        line
        for line in lines
        if "Error" in line
        or "Check failed" in line
        or "not support" in line
        or "No kernel" in line
        or "No attributes" in line
    ]
    last = (telling or lines or ["it printed nothing"])[-1][:SHOWN]
    status = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    cause = next((why for pattern, why in CAUSES if pattern.search(output)), "")
    if code == -signal.SIGSEGV and not cause:
        cause = "an op lacks an output or attribute that opt reads without looking"
    if code == -signal.SIGKILL:
        cause = "it ran out of memory, or something stopped it"
    return OptFailed(
        f"opt ({valid_targets}): {status}{f', {cause}' if cause else ''}: {last} (whole log: {log})",
        try_="edgeflow targets, to pick a target with more ops; or replace the op named above in the model",
    )

"""Builds the ARM machine and the runtime folder that is pushed to it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeflow.emulate import Emulator

HERE = Path(__file__).parent
CROSS = "aarch64-linux-gnu-g++"
SAMPLES = 6


def missing(*programs: str) -> str:
    """Why tests on a device cannot run here; empty when they can."""
    needed = (CROSS, "aarch64-linux-gnu-gcc", "gcc", "qemu-aarch64-static", *programs)
    absent = [name for name in needed if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@dataclass(frozen=True)
class Machine:
    """What makes a shell an ARM one: environment variables for it, and its home."""

    environment: dict[str, str]
    home: Path

    def script(self, path: Path) -> Path:
        """A shell script that becomes the device's shell for what SSH_ORIGINAL_COMMAND holds; home/faults is its bad
        day.
        """
        faults = f"if [ -f '{self.home}/faults' ]; then . '{self.home}/faults'; fi"
        exports = [f"export {name}='{value}'" for name, value in self.environment.items() if name != "LD_PRELOAD"]
        text = [
            "#!/bin/sh",
            *exports,
            faults,
            f"export LD_PRELOAD='{self.environment['LD_PRELOAD']}'",
            'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"',
        ]
        path.write_text("\n".join(text) + "\n")
        path.chmod(0o755)
        return path


def run(*argv: str | Path) -> None:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def build_machine(folder: Path) -> Machine:
    """Compile the preloaded part and a `uname` that is an ARM program itself."""
    shims, home = folder / "shims", folder / "home"
    shims.mkdir(parents=True)
    home.mkdir()
    run("gcc", "-shared", "-fPIC", "-O1", "-o", folder / "arm_machine.so", HERE / "arm_machine.c", "-ldl")
    run("aarch64-linux-gnu-gcc", "-static", "-O1", "-o", shims / "uname", HERE / "uname.c")
    qemu = shutil.which("qemu-aarch64-static")
    assert qemu is not None
    return Machine(
        {
            "PATH": f"{shims}:/usr/bin:/bin",
            "HOME": str(home),
            "DEVICE_QEMU": qemu,
            "LD_PRELOAD": str(folder / "arm_machine.so"),
        },
        home,
    )


def fnv1a(data: bytes) -> int:
    value = 1469598103934665603
    for byte in data:
        value = (value ^ byte) * 1099511628211 % (1 << 64)
    return value


def record(model: Path, folder: Path) -> Path:
    """A reference.npz for a file with one input and one output, and the header with the same numbers for the
    stand-in.
    """
    with Emulator(model) as runner:
        (spec,), rng = runner.inputs, np.random.default_rng(7)
        samples = rng.standard_normal((SAMPLES, *spec.shape[1:]), dtype=np.float32)
        outputs = np.concatenate(
            [runner.infer({spec.name: samples[k : k + 1]})[runner.outputs[0]] for k in range(SAMPLES)]
        )
    rows = [
        f"{{{fnv1a(samples[k].tobytes())}ull, {{{','.join(map(str, outputs[k].tobytes()))}}}}}," for k in range(SAMPLES)
    ]
    lines = [
        f"static const uint64_t MODEL_HASH = {fnv1a(model.read_bytes())}ull;",
        f"static const size_t SAMPLE_BYTES = {samples[0].nbytes}, OUTPUT_BYTES = {outputs[0].nbytes};",
        f'#define OUTPUT_DIMS "{",".join(map(str, outputs.shape[1:]))}"',
        f"struct Recorded {{ uint64_t hash; unsigned char output[{outputs[0].nbytes}]; }};",
        "static const Recorded RECORDED[] = {",
        *rows,
        "};",
    ]
    (folder / "recorded.h").write_text("\n".join(lines) + "\n")
    np.savez(folder / "reference.npz", **{f"input/{spec.name}": samples, "output/0": outputs})
    return folder / "reference.npz"


def build_runtime(folder: Path, recorded: Path, abi: str = "aarch64-linux", libraries: tuple[str, ...] = ()) -> Path:
    """A runtime folder as scripts/cross_compile leaves it, with the stand-in as its programs."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    library = folder / "lib" / "libpaddle_light_api_shared.so"
    run("aarch64-linux-gnu-gcc", "-shared", "-fPIC", "-o", library, HERE / "library.c")
    run(CROSS, "-std=c++17", "-O1", "-I", recorded.parent, "-o", folder / "bin" / "dump", HERE / "standin.cpp", library)
    shutil.copy(folder / "bin" / "dump", folder / "bin" / "bench")
    for name in libraries:
        shutil.copy(library, folder / "lib" / name)
    return seal(folder, abi)


def seal(folder: Path, abi: str = "aarch64-linux") -> Path:
    """Write runtime.json for what lies in a folder."""
    files = {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "runtime.json"
    }
    library = "lib/libpaddle_light_api_shared.so"
    table = {
        "format": 1,
        "target": "arm64-int8",
        "preset": "aarch64-linux-gnu",
        "abi": abi,
        "machine": "aarch64",
        "library": {"file": library, "sha256": files[library], "versions": ["v2.13-rc"]},
        "files": files,
    }
    (folder / "runtime.json").write_text(json.dumps(table))
    return folder


def with_program(runtime: Path, folder: Path, text: str) -> Path:
    """A copy of a runtime folder whose dump and bench are a shell script."""
    shutil.copytree(runtime, folder)
    for name in ("dump", "bench"):
        path = folder / "bin" / name
        path.write_text("#!/bin/sh\n" + text + "\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return seal(folder)

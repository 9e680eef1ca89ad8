"""Trials of an NPU file's variants on a device: each run once, its outcome kept by what was run, on what and where."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgeflow.core.artifact import Artifact
from edgeflow.core.drift import METRIC_DROP
from edgeflow.core.errors import (
    DataError,
    EdgeflowError,
    NbError,
    NotComparable,
    OptFailed,
    ProgramDied,
    UnsupportedOps,
)
from edgeflow.core.settings import DriftLimits
from edgeflow.core.strict import strict
from edgeflow.core.versions import code_version, key_of
from edgeflow.emulate import Emulator
from edgeflow.files.atomic import sha256
from edgeflow.flow.cache import Cache
from edgeflow.project.reference import Reference
from edgeflow.tuning.variants import STAGE, Movable, Variants
from edgeflow.verify.execute import run_with
from edgeflow.verify.hops import first
from edgeflow.verify.judge import Basis, judge
from edgeflow.verify.stage import BESIDE, Against, prepared

Open = Callable[[Path], AbstractContextManager[Any]]
"""Gives what executes a file for a `with` block; see verify.execute.Runner."""

SAMPLES = 16
OUTCOME = "outcome.json"
# Source: Paddle-Lite v2.13-rc lite/kernels/nnadapter/converter/converter.cc, Converter::Apply: both name ops as
# Paddle does.
NAMED = re.compile(r"Op (?P<a>[a-z0-9_]{1,64}) is not supported!|Op converter '(?P<b>[a-z0-9_]{1,64})' not found!")
LOG_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one variant. `right`: it ran and every limit holds; `wrong`: it ran and one does not; `died`: the
    program there crashed or did not end; `untried`: opt or the runtime's library has no such file.

    `named`: types of ops that the runtime itself said it cannot compute.
    """

    kind: Literal["right", "wrong", "died", "untried"]
    why: str = ""
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldTo:
    """What runs are held to: limits as in verify, on the first `samples` of the reference.

    `expect`: the reference's own outputs, or what the emulator makes of the unchanged file.
    """

    against: Against = BESIDE
    expect: Literal["reference", "emulator"] = "reference"
    samples: int = SAMPLES


HELD_TO = HeldTo()


class Trials:
    """Runs variants and judges them by the build's own limits, on the first samples of its reference.

    Args:
        where: names the device and its runtime: a kept outcome holds for that alone.

    Raises:
        DataError: no reference, or no limit that could be broken.
    """

    def __init__(
        self,
        variants: Variants,
        open_one: Open,
        where: str,
        held_to: HeldTo = HELD_TO,
        *,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.variants, self.open, self._say = variants, open_one, say or (lambda _: None)
        self.basis = _basis(variants.model, held_to)
        self._key = key_of(
            where,
            _digest(self.basis.reference),
            asdict(self.basis.settings),
            code_version(),
        )
        self._seen: dict[str, Outcome] = {}
        self.runs = self.kept = self.untried = 0
        self.runner = ""

    def run(self, moved: Sequence[Movable], *, fresh: bool = False) -> Outcome:
        """What becomes of the file with these ops on the CPU.

        Args:
            fresh: run it, though an outcome is kept: the device may be another one by now.

        Raises:
            TransportError: the device cannot be reached; what was found so far is kept.
            StorageError: the cache is not writable.
        """
        try:
            file = self.variants.of(moved)
        except (OptFailed, NbError) as err:
            self.untried += 1
            return Outcome("untried", err.what.splitlines()[0])
        digest = sha256(file)
        if digest in self._seen:
            return self._seen[digest]
        key = key_of("outcome", digest, self._key)
        cache: Cache = self.variants.cache
        before = cache.find(STAGE, key)
        if before is not None and not fresh and (known := _read(before)) is not None:
            self.kept += 1
            outcome = known
        else:
            made = cache.make(STAGE, key, lambda folder: self._make(folder, file), unless=before)
            outcome = _read(made) or Outcome("untried", "its outcome cannot be read")
            if before is not None and (old := _read(before)) is not None and old.kind != outcome.kind:
                self._say(f"the file was {old.kind} on this device before and is {outcome.kind} now: it is not steady")
        self._seen[digest] = outcome
        self.untried += outcome.kind == "untried"
        count = len(moved)
        self._say(f"run {self.runs}: {count} of {len(self.variants.movable)} ops on the CPU: {outcome.kind}")
        return outcome

    def _make(self, folder: Path, file: Path) -> Artifact:
        outcome = self._judged(file)
        (folder / OUTCOME).write_text(json.dumps(asdict(outcome), sort_keys=True), encoding="utf-8")
        return Artifact(folder, {"model_sha256": sha256(file)})

    def _judged(self, file: Path) -> Outcome:
        """Run a file; what the connection does is not its outcome, and is raised."""
        log = ""
        self.runs += 1
        try:
            with self.open(file) as runner:
                self.runner = str(runner.name)
                try:
                    ran = run_with(runner, self.basis.reference)
                finally:
                    log = str(getattr(getattr(runner, "traces", None), "log", ""))[-LOG_MAX:]
            verdict = judge(self.basis.reference, ran, self.basis.settings, self.basis.folder)
        except ProgramDied as err:
            named = [found["a"] or found["b"] for found in NAMED.finditer(f"{log}\n{err.what}")]
            return Outcome("died", err.what.splitlines()[0], tuple(dict.fromkeys(named)))
        except NotComparable as err:
            return Outcome("wrong", err.what)
        except (NbError, UnsupportedOps) as err:
            return Outcome("untried", err.what.splitlines()[0])
        return Outcome("wrong", verdict.broken[0]) if verdict.broken else Outcome("right")


def _basis(model: Path, held_to: HeldTo) -> Basis:
    """The build's own judge on some samples, without its metric: a few samples tell nothing of that."""
    found = prepared(model, held_to.against)
    settings = replace(found.settings, metric=None, expected=None)
    settings = replace(settings, limits=settings.limits.without((METRIC_DROP.key,)))
    if settings.limits == DriftLimits():
        raise DataError(
            f"{model}: no limit holds for its outputs, so that none of its runs could be called wrong",
            try_="--sqnr-min 20",
        )
    some = first(found.reference, held_to.samples)
    if held_to.expect == "emulator":
        with Emulator(model, npu=found.npu) as runner:
            some = replace(some, outputs=run_with(runner, some).outputs)
    return replace(found, reference=some, settings=settings, compressed=None)


def _read(made: Artifact) -> Outcome | None:
    try:
        table = json.loads((made.folder / OUTCOME).read_text(encoding="utf-8"))
        return strict(Outcome, table, OUTCOME, DataError)
    except (OSError, ValueError, EdgeflowError):
        return None


def _digest(reference: Reference) -> str:
    """Content of what is fed and expected."""
    digest = hashlib.sha256()
    for name, array in (*sorted(reference.inputs.items()), *((str(k), a) for k, a in enumerate(reference.outputs))):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

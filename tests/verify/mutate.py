"""Build folders changed at random, by field, by array and by byte, put through everything that reads one: scripts/fuzz_folder."""

from __future__ import annotations

import io
import json
import random
import shutil
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import EdgeflowError
from edgeflow.deploy.bundle import deploy
from edgeflow.deploy.runtime import load_runtime
from edgeflow.files.arrays import load_npz, pack_npz
from edgeflow.files.atomic import sha256
from edgeflow.project.manifest import load_manifest, picture_notes
from edgeflow.project.places import COMPRESSED, CONTRACT, MANIFEST, MODEL, REFERENCE, REPORT
from edgeflow.project.reference import load_reference
from edgeflow.report import exchange
from edgeflow.report.html import page
from edgeflow.report.record import Record
from edgeflow.verify.contract import contract_entry
from edgeflow.verify.recorded import HASH, with_recorded
from edgeflow.verify.stage import BESIDE, prepared, verify_file
from tests.ingest.pir.mutate import mutated as json_mutated

RUNTIME = "runtime.json"
DTYPES = ("<f4", "<f8", "<i8", "|b1", "<f2", "|u1", "<i4", ">f4", "<c8", "<U3", "|S5", "|O", "|V4", "<M8[s]")
SAMPLES = 6
WHOLE, PAGES = 0.004, 0.003
"""Shares of executions that verify the whole folder, and that draw a page."""


@dataclass
class Found:
    """How often it ran, how often it refused, by file, and the faults by the end of their traceback."""

    runs: int = 0
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    slow: float = 0.0


class Folder:
    """A copy of a build folder in which one file at a time is another, and the manifest vouches for it."""

    def __init__(self, given: Path, place: Path) -> None:
        self.path = place / "build" / "target"
        shutil.copytree(given, self.path)
        self.whole = {p.relative_to(self.path).as_posix(): p.read_bytes() for p in self.path.rglob("*") if p.is_file()}
        self.whole = {n: _short(raw) if n.endswith(".json") else raw for n, raw in self.whole.items()}
        self.looks: Any = None
        for name in {REFERENCE, COMPRESSED} & set(self.whole):
            arrays = load_npz(self.path / name)
            few = {key: array if key.startswith("ties/") else array[:SAMPLES] for key, array in arrays.items()}
            self.whole[name] = pack_npz(few)
        for name in (n for n in (REPORT, CONTRACT, REFERENCE, COMPRESSED) if n in self.whole):
            # Shorter ones, which the manifest vouches for.
            self.put(name, self.whole[name])
            self.whole[MANIFEST] = (self.path / MANIFEST).read_bytes()
        self.looks = _looks(self.whole.get(REPORT, b""))
        self.tables = [name for name in self.whole if name.endswith(".json")]
        self.inputs = load_reference(self.path / REFERENCE).inputs
        self.record = Record("PASS")
        self.names = [name for name in self.whole if name not in (MODEL, "report.html")]

    def put(self, name: str, data: bytes) -> None:
        """Write one file, and sign it in the manifest."""
        (self.path / name).write_bytes(data)
        if name == MANIFEST:
            return
        table = json.loads(self.whole[MANIFEST])
        if name == REFERENCE:
            table["reference"]["sha256"] = sha256(self.path / name)
        elif name == COMPRESSED:
            table["compressed"]["sha256"] = sha256(self.path / name)
        elif name == CONTRACT:
            table["contract_sha256"] = sha256(self.path / name)
        elif name == REPORT:
            looks = _looks(data)
            if looks is None:
                return
            if looks != self.looks:  # else it stands there: hashing takes longer than reading
                table[HASH] = exchange.looks_sha256(exchange.read_record(json.loads(data)))
        elif name.startswith("golden/"):
            table.pop("inputs", None)
        (self.path / MANIFEST).write_bytes(json.dumps(table).encode())

    def back(self, name: str) -> None:
        """As it was."""
        for one in {name, MANIFEST}:
            (self.path / one).write_bytes(self.whole[one])


def _looks(report: bytes) -> list[Any] | None:
    """The part of a report that its manifest vouches for."""
    try:
        table = json.loads(report)
        return [table.get(key) for key in exchange.LOOKS]
    except (AttributeError, ValueError, RecursionError):
        return None


def _short(raw: bytes) -> bytes:
    """JSON with one item of each list: one execution takes as long as what it reads."""

    def cut(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: cut(value) for key, value in item.items()}
        return [cut(value) for value in item[:1]] if isinstance(item, list) else item

    return json.dumps(cut(json.loads(raw))).encode()


def mutated(name: str, raw: bytes, dice: random.Random) -> bytes:
    """A few fields, arrays or bytes changed."""
    if name.endswith(".json"):
        return json_mutated(raw, dice)
    if name.endswith(".npz") and dice.random() < 0.8:
        return _archive(raw, dice)
    if name.endswith(".npy") and dice.random() < 0.8:
        return _array(raw, dice)
    return _bytes(raw, dice)


def _bytes(raw: bytes, dice: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(dice.choice((1, 1, 2, 5))):
        if changed:
            changed[dice.randrange(min(len(changed), dice.choice((64, 512, len(changed)))))] = dice.randrange(256)
    return bytes(changed[: dice.randrange(len(changed) + 1)] if dice.random() < 0.15 else changed)


def _archive(raw: bytes, dice: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        held = {info.filename: archive.read(info) for info in archive.infolist()}
    names = list(held)
    name, what = dice.choice(names), dice.random()
    if what < 0.6:
        held[name] = _array(held[name], dice)
    elif what < 0.7:
        del held[name]
    elif what < 0.8:
        held[name] = held[dice.choice(names)]
    else:
        held[dice.choice(("input/x.npy", "output/1.npy", "output/7.npy", "label.npy", "../x", "", "\x1b[2J"))] = held[
            name
        ]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for key, data in held.items():
            archive.writestr(zipfile.ZipInfo(key), data)
    return out.getvalue()


def _array(raw: bytes, dice: random.Random) -> bytes:
    if dice.random() < 0.3:
        return _bytes(raw, dice)
    try:
        array = np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return _bytes(raw, dice)
    what = dice.random()
    if what < 0.25:
        flat = array.reshape(-1).copy()
        if flat.size and flat.dtype.kind in "fiu":
            odd = (np.nan, np.inf, -np.inf, 1e38, 0) if flat.dtype.kind == "f" else (0, np.iinfo(flat.dtype).max)
            flat[dice.randrange(flat.size) :: dice.choice((1, 7, flat.size))] = dice.choice(odd)
        array = flat.reshape(array.shape)
    elif what < 0.5:
        shapes = (array.shape[:-1], (*array.shape, 1), (1, *array.shape), (-1,), (*array.shape[1:], *array.shape[:1]))
        try:
            array = array.reshape(dice.choice(shapes))
        except ValueError:
            array = array[:1] if array.ndim else array
    elif what < 0.7:
        array = array[: dice.randrange(3)] if array.ndim else array
    elif what < 0.8:
        array = np.zeros(dice.choice(((), (0,), (0, 3), (4, 0), (1,), (4, 1, 1, 1, 1))), array.dtype)
    else:
        head = io.BytesIO()
        shape = dice.choice((array.shape, (1 << 40,), (0, 1 << 62), (-1, 4), (1 << 63, 2)))
        made = {"descr": dice.choice(DTYPES), "fortran_order": dice.random() < 0.5, "shape": shape}
        np.lib.format._write_array_header(head, made, (1, 0))  # type: ignore[attr-defined]
        return head.getvalue() + array.tobytes()
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array, order="C"), allow_pickle=False)
    return out.getvalue()


def _readers(folder: Folder, name: str, dice: random.Random) -> list[Callable[[], Any]]:
    """What reads a file of a build folder, other than verifying it whole: an execution is one of them."""
    path, model = folder.path, folder.path / MODEL

    def manifest() -> None:
        table = load_manifest(path / MANIFEST)
        picture_notes(table)
        contract_entry(model, folder.inputs, table)

    if name == MANIFEST:
        return [manifest, lambda: prepared(model, BESIDE)]
    if name == REPORT:
        drawn = [lambda: page(exchange.load_record(path / REPORT))] if dice.random() < PAGES else []
        return [lambda: with_recorded(folder.record, model, load_manifest(path / MANIFEST)), *drawn]
    if name == RUNTIME or name.startswith(("bin/", "lib/")):
        return [lambda: load_runtime(path)]
    if name in (REFERENCE, COMPRESSED):
        return [lambda: prepared(model, BESIDE)]
    return [manifest, lambda: deploy(path, None)]


def fuzz(
    given: Path,
    place: Path,
    *,
    seconds: float,
    seed: int,
    runs: int = 1 << 60,
    whole: float = WHOLE,
    say: Callable[[str], None] = print,
) -> Found:
    """Change one file after another in a copy of a build folder; stops by the clock or by the count.

    Args:
        given: a build folder with few and small samples.
        place: an empty folder, best in memory.
        whole: share of executions that verify the whole folder.
    """
    dice, found, folder = random.Random(seed), Found(), Folder(given, place)
    end = told = time.monotonic()
    end += seconds
    while time.monotonic() < end and found.runs < runs:
        name = dice.choice(folder.names if dice.random() < 0.3 else folder.tables)
        folder.put(name, mutated(name, folder.whole[name], dice))
        found.runs += 1
        found.files[name] += 1
        start = time.monotonic()
        try:
            dice.choice(_readers(folder, name, dice))()
            if dice.random() < whole:
                with np.errstate(all="ignore"):
                    verify_file(folder.path / MODEL)
        except EdgeflowError:
            found.refused += 1
        except BaseException as err:
            if isinstance(err, KeyboardInterrupt):
                raise
            trace = f"{name}\n" + "\n".join(traceback.format_exc().splitlines()[-10:])
            found.faults[trace] += 1
            if found.faults[trace] == 1:
                say(f"new: {trace}")
        found.slow = max(found.slow, time.monotonic() - start)
        folder.back(name)
        if time.monotonic() > told + 60:
            told = time.monotonic()
            say(f"{found.runs} executions, {found.refused} refused, {len(found.faults)} kinds of fault")
    return found

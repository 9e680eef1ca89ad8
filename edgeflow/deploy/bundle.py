"""Stage 5: everything a device needs to run a model and to prove that it does, as one bundle with the same bytes each
time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgeflow.core.errors import DataError
from edgeflow.deploy.runtime import RuntimeFolder
from edgeflow.files.atomic import write_atomic
from edgeflow.project.contract import Contract, dump_contract, load_contract, read_named
from edgeflow.project.places import CONTRACT, MANIFEST

BUNDLE = "bundle.json"
FORMAT = 1
PROGRAMS = {
    "classify": "classify",
    "classify_text": "classify_text",
    "detect": "detect",
    "ocr_detect": "ocr",
    "ocr_recognise": "ocr",
    None: "dump",
}
USAGE = {
    "classify": "PICTURE [--top 5]",
    "classify_text": "[TEXT ... | --file LINES.txt] [--top 1] [--json], or lines on standard input",
    "detect": "PICTURE [--threshold 0.5] [--save OUT.png]",
    "ocr": "--detector C.json or --recogniser C.json, of the other bundle, then PICTURE",
    "dump": "--in FILE.npy ... --out DIR",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Content by path, bundle.json included. `executable` are those that run; `absent` are libraries the device must
    have.
    """

    name: str
    files: Mapping[str, bytes]
    executable: frozenset[str]
    absent: tuple[str, ...] = ()

    @property
    def listing(self) -> bytes:
        """bundle.json: every other file with its hash. Equal bundles have equal listings."""
        return self.files[BUNDLE]


def deploy(build: Path, runtime: RuntimeFolder | None, shorter: Mapping[str, Path] = MappingProxyType({})) -> Bundle:
    """Collect what a build folder and a runtime folder give into a bundle; without programs, what there is.

    Args:
        shorter: build folders of a text classifier's shorter files, by their folder in the bundle; see deploy/lengths.

    Raises:
        DataError: contract.json is missing or names what is not there, or the programs are for another target's model.
    """
    contract, files = _content(build)
    for place, folder in shorter.items():
        files |= {f"{place}/{name}": data for name, data in _content(folder)[1].items()}
    program = PROGRAMS[contract.task]
    option = {"ocr_detect": "--detector", "ocr_recognise": "--recogniser"}.get(contract.task or "", "--contract")
    if shorter:
        option = " ".join(["--shorter", *(f'"$here/{place}/{CONTRACT}"' for place in shorter), option])
    entry = Entry(program, option, CONTRACT, USAGE[program])
    return bundled((contract.name, contract.target), files, runtime, entry, contract.runtime.libraries)


def _content(build: Path) -> tuple[Contract, dict[str, bytes]]:
    """What a build's contract names, with itself and the manifest."""
    contract = load_contract(build / CONTRACT)
    files = {CONTRACT: dump_contract(contract)}
    for name in contract.files():
        files[name] = read_named(build, name)
    model = files[contract.model.file]
    if (found := _hash(model)) != contract.model.sha256:
        raise DataError(
            f"{build / contract.model.file}: is not the file that {CONTRACT} was written for "
            f"(its hash is {found[:12]}…)",
            try_="run edgeflow build again",
        )
    if (build / MANIFEST).is_file():
        files[MANIFEST] = read_named(build, MANIFEST)
    return contract, files


@dataclass(frozen=True, slots=True)
class Entry:
    """What run.sh runs: a program of bin/, and the option that names the file which says what there is."""

    program: str
    option: str
    file: str
    usage: str


def bundled(
    named: tuple[str, str],
    content: Mapping[str, bytes],
    runtime: RuntimeFolder | None,
    entry: Entry,
    libraries: Collection[str],
) -> Bundle:
    """Files with programs, run.sh and bundle.json.

    Args:
        named: the name and the target.
        libraries: what the models need beside the programs.

    Raises:
        DataError: the runtime folder lacks the program.
    """
    files, executable = dict(content), set[str]()
    laid: Collection[str] = ()
    if runtime is not None:
        runtime.program(entry.program)
        laid = runtime.files
        for name in laid:
            files[name] = read_named(runtime.folder, name)
            executable |= {name} if name.startswith("bin/") else set()
        files["run.sh"] = _script(entry)
        executable.add("run.sh")
    table = {
        "format": FORMAT,
        "name": named[0],
        "target": named[1],
        "abi": None if runtime is None else runtime.abi,
        "program": None if runtime is None else entry.program,
        "files": {path: _hash(data) for path, data in sorted(files.items())},
    }
    files[BUNDLE] = (json.dumps(table, indent=1, sort_keys=True) + "\n").encode()
    absent = tuple(name for name in libraries if not any(f"{file}/".startswith(f"lib/{name}/") for file in laid))
    return Bundle("-".join(named), files, frozenset(executable), absent)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _script(entry: Entry) -> bytes:
    text = Path(__file__).with_name("run.sh").read_text(encoding="utf-8")
    for word, value in (
        ("@PROGRAM@", entry.program),
        ("@USAGE@", entry.usage),
        ("@CONTRACT@", entry.option),
        (CONTRACT, entry.file),
    ):
        text = text.replace(word, value)
    return text.encode()


def tar(bundle: Bundle) -> bytes:
    """The bundle as a tar: sorted, owned by no one, of no time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        folders = sorted({str(parent) for name in bundle.files for parent in Path(name).parents if str(parent) != "."})
        for name in folders:
            info = tarfile.TarInfo(f"{bundle.name}/{name}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info)
        for name in sorted(bundle.files):
            info = tarfile.TarInfo(f"{bundle.name}/{name}")
            info.size, info.mode = len(bundle.files[name]), 0o755 if name in bundle.executable else 0o644
            archive.addfile(info, io.BytesIO(bundle.files[name]))
    return buffer.getvalue()


def to_archive(bundle: Bundle, path: Path) -> bool:
    """Write FILE.tar.gz; the same bundle gives the same bytes. False when they were there already.

    Raises:
        StorageError: disk full or folder not writable.
    """
    data = gzip.compress(tar(bundle), 9, mtime=0)
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return False
    write_atomic(path, data)
    return True

"""The folder of programs and libraries for one kind of device, as edgeflow cross-compile leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeflow.core.errors import DataError
from edgeflow.core.strict import strict
from edgeflow.files.atomic import sha256
from edgeflow.files.inside import open_regular
from edgeflow.project.contract import inside, load_json

RUNTIME = "runtime.json"
FORMAT = 1
MAX_BYTES = 1 << 20
FILES_MAX = 256
Abi = Literal["aarch64-linux", "armhf-linux", "arm64-v8a", "armeabi-v7a", "x86_64-linux"]


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """Paddle Lite's library in the folder; `versions` are what it says of itself."""

    file: str
    sha256: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    format: int
    target: str
    preset: str
    abi: Abi
    machine: Literal["aarch64", "arm", "x86_64"]
    library: LibraryFile | None
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class RuntimeFolder:
    """Programs under bin/, libraries under lib/, each held to its hash when the folder was read."""

    folder: Path
    target: str
    abi: Abi
    machine: str
    library: LibraryFile | None
    files: tuple[str, ...]

    def program(self, name: str) -> Path:
        """Path of a program.

        Raises:
            DataError: it was not built.
        """
        if f"bin/{name}" not in self.files:
            raise DataError(f"{self.folder}: holds no bin/{name}, and should", try_=how_to_make(self.target))
        return self.folder / "bin" / name

    @property
    def libraries(self) -> tuple[Path, ...]:
        """Every library that programs load."""
        return tuple(self.folder / name for name in self.files if name.startswith("lib/"))


def how_to_make(target: str) -> str:
    """The command that makes a runtime folder."""
    return (
        f"edgeflow cross-compile {target} --paddle-lite DIR, the unpacked library that edgeflow targets {target} names"
    )


def load_runtime(folder: Path) -> RuntimeFolder:
    """Read runtime.json and hold every file to its hash.

    Raises:
        DataError: it is missing or breaks a rule, or a file is another one than it was built as.
    """
    path = folder / RUNTIME
    try:
        with open_regular(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as err:
        raise DataError(
            f"{path}: cannot be read ({err.strerror}), and should say what lies in {folder.name}",
            try_="edgeflow cross-compile TARGET --paddle-lite DIR",
        ) from err
    table = strict(_Table, _sized(raw, path), str(path), DataError)
    if table.format != FORMAT:
        raise DataError(f"{path}: format is {table.format}, and should be {FORMAT}", try_=how_to_make(table.target))
    if not inside(table.target):
        raise DataError(f"{path}: target is {table.target[:80]!r}, and should be the name of a target")
    files = dict(table.files)
    if table.library is not None:
        files.setdefault(table.library.file, table.library.sha256)
    for name in files:
        if not inside(name) or not name.startswith(("bin/", "lib/")):
            raise DataError(f"{path}: names {name[:80]!r}, and should name files under bin/ and lib/, without ..")
    for name, known in files.items():
        try:
            found = sha256(folder / name, folder)
        except OSError as err:
            found = str(err.strerror)
        if found != known:
            raise DataError(
                f"{folder / name}: is missing, or not the file that {RUNTIME} was written for ({found[:64]})",
                try_=how_to_make(table.target),
            )
    return RuntimeFolder(folder, table.target, table.abi, table.machine, table.library, tuple(sorted(files)))


def _sized(raw: bytes, path: Path) -> Any:
    if len(raw) > MAX_BYTES:
        raise DataError(f"{path}: is larger than {MAX_BYTES} bytes, which no {RUNTIME} is")
    table = load_json(raw, str(path))
    if isinstance(table, dict) and isinstance(table.get("files"), dict) and len(table["files"]) > FILES_MAX:
        raise DataError(f"{path}: lists {len(table['files'])} files, and should list at most {FILES_MAX}")
    return table

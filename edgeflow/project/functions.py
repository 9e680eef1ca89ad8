"""Functions that a recipe names as `file.py:function`, and the files they read."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import os
import shlex
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeflow.core.errors import RecipeError, last_line, near
from edgeflow.project.user_errors import user_lines

_recording: list[set[str]] = []
_hooked = False
_homes: set[str] = set()
"""Folders that user code was loaded from in this process."""
_at_first: set[str] = set()
"""Modules that were there before any user code was."""


def load_function(reference: str, folder: Path) -> Callable[..., Any]:
    """Load `file.py:function`, the file being relative to `folder`.

    Raises:
        RecipeError: no such file or function (with the near match), or the file itself fails.
    """
    path, name = _file_and_name(reference, folder)
    module = _module(path)
    found = getattr(module, name, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise RecipeError(f"recipe: {path} has no function {name!r}; {near(name, known, 'functions')}")
    return found  # type: ignore[no-any-return]


def validate_function(reference: str, folder: Path) -> None:
    """Look whether a file defines a function, without running it.

    Raises:
        RecipeError: no such file or function (with the near match), or no Python.
    """
    path, name = _file_and_name(reference, folder)
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as err:
        raise RecipeError(
            f"recipe: {path} cannot be imported ({type(err).__name__}: {last_line(err)})", lines=user_lines(err, folder)
        ) from err
    known: set[str] = set()
    for node in ast.walk(tree):  # names that some branch may give count too: only running it would tell
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            known.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            known.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            known |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if name not in known and "*" not in known and "__getattr__" not in known:
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:1] != "_"]
        raise RecipeError(f"recipe: {path} has no function {name!r}; {near(name, functions, 'functions')}")


def _file_and_name(reference: str, folder: Path) -> tuple[Path, str]:
    file, _, name = reference.partition(":")
    path = (folder / file).resolve()
    if not file.endswith(".py") or not name:
        raise RecipeError(f"recipe: {reference!r} should be written as file.py:function")
    if not path.is_file():
        raise RecipeError(f"recipe: {reference!r} names the file {path}, which does not exist")
    return path, name


def _module(path: Path) -> ModuleType:
    """Import a user's file; its siblings are importable, and nothing is written beside it."""
    sys.dont_write_bytecode = True
    home = str(path.parent)
    # Loaded afresh each time: the file may have changed, and another recipe's `data.py` must not be taken for this
    # one's. So are its siblings, those too that a function imported only when it was called.
    for name, module in list(sys.modules.items()):
        own = getattr(module, "__edgeflow_user__", None) is not None
        if own or (name not in _at_first and _lies_below(module, _homes)):
            del sys.modules[name]
    if not _homes:
        _at_first.update(sys.modules)
    _homes.add(home)
    importlib.invalidate_caches()
    if sys.path[0] != home:
        with contextlib.suppress(ValueError):
            sys.path.remove(home)
        sys.path.insert(0, home)
    before = set(sys.modules)
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise RecipeError(f"recipe: {path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    except RecipeError:
        raise
    except BaseException as err:
        sys.modules.pop(path.stem, None)
        raise RecipeError(
            f"recipe: {path} cannot be imported ({type(err).__name__}: {last_line(err)})",
            try_=f"python {shlex.quote(str(path))}",
            lines=user_lines(err, path.parent),
        ) from err
    for name in set(sys.modules) - before:
        if _lies_below(sys.modules[name], {home}):
            sys.modules[name].__edgeflow_user__ = home  # type: ignore[attr-defined]
    return module


def _lies_below(module: ModuleType, homes: set[str]) -> bool:
    origin = getattr(module, "__file__", None) or ""
    return any(origin.startswith(home + os.sep) for home in homes)


_folder = threading.RLock()


@contextlib.contextmanager
def in_folder(home: Path) -> Iterator[None]:
    """Let user code find relative paths in the recipe's folder, wherever it is called from; one at a time."""
    with _folder:
        try:
            before: Path | None = Path.cwd()
        except OSError:
            before = None  # the current folder was removed
        os.chdir(home)
        try:
            yield
        finally:
            if before is not None:
                with contextlib.suppress(OSError):
                    os.chdir(before)


@dataclass
class Trace:
    """Files that Python code read in a `files_read` block; `touched` are those that changed while it ran."""

    read: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)


@contextlib.contextmanager
def files_read(home: Path) -> Iterator[Trace]:
    """Collect the files that Python code opens for reading in the block, and the sources of what it imports.

    Args:
        home: the recipe's folder; whatever is read below it counts. Elsewhere, files of installed packages and of the
            system are left out, for which versions speak, and files made while the block ran, which are results
            (Paddle writes and reads back a copy of each traced function).
    """
    global _hooked
    since = time.time_ns()
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    opened: set[str] = set()
    trace = Trace()
    _recording.append(opened)
    try:
        yield trace
    finally:
        _recording.remove(opened)
        for module in list(sys.modules.values()):
            origin = getattr(module, "__file__", None)
            if getattr(module, "__edgeflow_user__", None) and origin:
                opened.add(origin)
        for path in opened:  # by the names that were used: a link may be pointed elsewhere
            real = os.path.realpath(path)
            below = real.startswith(os.path.realpath(home) + os.sep)
            if not os.path.isfile(path) or "__pycache__" in path or (not below and real.startswith(_SYSTEM)):
                continue
            changed = Path(path).stat().st_ctime_ns >= since
            if changed and below:
                trace.touched.add(path)
            if below or not changed:
                trace.read.add(path)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _recording or event != "open":
        return
    path, mode = arguments[0], arguments[1]
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if isinstance(path, str) and (mode is None or not set(str(mode)) & set("wax+")):
        for opened in _recording:
            opened.add(os.path.abspath(path))


_SYSTEM = tuple(
    {
        folder + os.sep
        for folder in (
            *(str(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
            str(Path(__file__).parents[1]),
            "/proc",
            "/sys",
            "/dev",
        )
    }
)

"""Errors, strict tables, files, arrays, samples, functions."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core import errors
from edgeflow.core.errors import DataError, EdgeflowError, RecipeError, StorageError, TargetError
from edgeflow.core.samples import batches
from edgeflow.core.strict import strict
from edgeflow.core.tensors import TensorSpec
from edgeflow.files.arrays import load_npy, load_npz, pack_npz, save_npz
from edgeflow.files.atomic import folder_atomic, write_atomic
from edgeflow.ingest.data import load_samples
from edgeflow.project.functions import files_read, load_function


def test_an_error_is_a_sentence_and_a_remedy() -> None:
    assert str(EdgeflowError("a: is b", try_="c")) == "a: is b\n  try: c"
    assert str(EdgeflowError("a")) == "a"


@pytest.mark.parametrize(
    "kind", [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, EdgeflowError)]
)
def test_errors_cross_processes(kind: type[EdgeflowError]) -> None:
    again = pickle.loads(pickle.dumps(kind("what", try_="this")))
    assert (type(again), again.what, again.try_, again.exit_code) == (kind, "what", "this", kind.exit_code)
    assert kind is EdgeflowError or kind.__name__ in str(errors.__doc__)


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    name: str
    ratio: float = 0.5
    inner: Inner = Inner()
    dims: tuple[int, ...] = ()
    on: bool = False


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nmae": "x"}, "unknown key 'nmae'; did you mean 'name'\\?"),
        ({"zzz": 1}, "known: dims, inner, name, on, ratio"),
        ({}, "key 'name' is missing"),
        ({"name": 3}, "name is 3, and should be a string"),
        ({"name": "x", "ratio": "y"}, "should be a number"),
        ({"name": "x", "dims": [1, "2"]}, r"dims\[1\] is '2', and should be a whole number"),
        ({"name": "x", "dims": 1}, "should be a list"),
        ({"name": "x", "inner": {"sise": 1}}, "did you mean 'size'"),
        ({"name": "x", "inner": 1}, "should be a table"),
        ({"name": "x", "inner": {"size": True}}, "should be a whole number"),
        ({"name": "x", "on": 1}, "should be true or false"),
        ([], "should be a table"),
    ],
)
def test_strict_tables(table: object, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        strict(Outer, table, "here", TargetError)


def test_strict_builds() -> None:
    assert strict(Outer, {"name": "x", "ratio": 1, "inner": {"size": 2}, "dims": [1, 2]}, "here", TargetError) == Outer(
        "x", 1.0, Inner(2), (1, 2)
    )


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    write_atomic(path, b"old")
    with pytest.raises(RuntimeError), folder_atomic(tmp_path / "folder") as work:
        (work / "half").write_text("x")
        raise RuntimeError
    assert not (tmp_path / "folder").exists()
    for text in ("one", "two"):
        with folder_atomic(tmp_path / "folder") as work:
            (work / "x").write_text(text)
        assert (tmp_path / "folder" / "x").read_text() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "folder"]


def test_unwritable_and_full(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomic(blocker / "inside", b"data")
    with pytest.raises(StorageError, match="disk is full"):
        from edgeflow.files.atomic import storage

        with storage(tmp_path), open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")


def test_disk_full_leaves_the_old_file(tmp_path: Path) -> None:
    """A real limit on file size, in a process of its own."""
    code = textwrap.dedent(f"""
        import resource, signal, sys
        from pathlib import Path
        from edgeflow.files.atomic import write_atomic
        from edgeflow.core.errors import StorageError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = Path({str(tmp_path / "file")!r})
        write_atomic(path, b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_atomic(path, b"x" * 5000)
        except StorageError as err:
            print(err.what)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "cannot be written" in done.stdout
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_npz_is_the_same_every_time(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6).reshape(2, 3), "a": np.float32(3).reshape(())}
    assert pack_npz(arrays) == pack_npz(dict(reversed(arrays.items())))
    save_npz(tmp_path / "x.npz", arrays)
    again = load_npz(tmp_path / "x.npz")
    assert again["a"].shape == ()
    assert np.array_equal(again["b"], arrays["b"])


def test_hostile_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save_npz(path, {"a": np.zeros(1000)})
    blob = path.read_bytes()
    for name, content in {"cut": blob[: len(blob) // 2], "text": b"hello", "empty": b""}.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match="is no readable"):
            load_npz(path)
        assert name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + b"\xff" * 50)
    with pytest.raises(DataError, match="is no readable"):
        load_npz(path)
    np.save(tmp_path / "o.npy", np.asarray([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="no readable"):
        load_npy(tmp_path / "o.npy", "o.npy")
    np.savez(path, a=np.asarray([{}], object))
    with pytest.raises(DataError):
        load_npz(path)


def test_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeflow.files import arrays

    monkeypatch.setattr(arrays, "UNPACKED_MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(1 << 20))
    with pytest.raises(DataError, match="would unpack to"):
        load_npz(tmp_path / "bomb.npz")


SPECS = (TensorSpec("x", (-1, 2)),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{'x': np.zeros((3, 2), 'float32')}", None),
        ("np.zeros((3, 2), 'float32')", None),
        ("{'y': np.zeros((3, 2), 'float32')}", "'x' missing and 'y' unknown"),
        ("{'x': np.zeros((3, 2))}", "is float64, and should be float32"),
        ("{'x': np.zeros((3, 5), 'float32')}", r"has shape \[3, 5\], and should have \[any, 2\]"),
        ("{'x': np.full((3, 2), np.nan, 'float32')}", "6 values that are NaN"),
        ("{'x': np.zeros((0, 2), 'float32')}", "holds no sample"),
        ("{'x': np.zeros((3, 2), 'float32'), 'label': np.zeros(4)}", "should have one length"),
        ("1 / 0", "the function failed \\(ZeroDivisionError"),
    ],
    ids=["dict", "array", "names", "dtype", "shape", "nan", "empty", "labels", "raises"],
)
def test_samples_from_a_callable(body: str, message: str | None, tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(f"import numpy as np\ndef samples():\n    return {body}\n")
    if message is None:
        assert load_samples("data.py:samples", tmp_path, SPECS, "calibration").arrays["x"].shape == (3, 2)
        return
    with pytest.raises(DataError, match=message):
        load_samples("data.py:samples", tmp_path, SPECS, "calibration")


def test_samples_from_files(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((4, 2), np.float32)
    np.savez(tmp_path / "x.npz", x=x, label=np.arange(4))
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "x.npy", x)
    assert np.array_equal(load_samples("x.npz", tmp_path, SPECS, "evaluation").arrays["label"], np.arange(4))
    assert np.array_equal(load_samples("folder", tmp_path, SPECS, "evaluation").arrays["x"], x)
    with pytest.raises(DataError, match="does not exist"):
        load_samples("missing.npz2", tmp_path, SPECS, "evaluation")


def test_batches() -> None:
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    assert [len(b["x"]) for b in batches({"x": x}, SPECS, 2)] == [2, 2, 1]
    assert [len(b["x"]) for b in batches({"x": x}, (TensorSpec("x", (1, 2)),), 64)] == [1] * 5
    with pytest.raises(DataError, match="do not make whole batches of 2"):
        batches({"x": x}, (TensorSpec("x", (2, 2)),), 64)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("missing.py:f", "does not exist"),
        ("file.py:buidl", "did you mean 'build'"),
        ("file.py", "should be written as file.py:function"),
        ("broken.py:f", "cannot be imported \\(SyntaxError"),
    ],
)
def test_functions_that_are_not_there(reference: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("def build():\n    return 1\n")
    (tmp_path / "broken.py").write_text("def (\n")
    with pytest.raises(RecipeError, match=message):
        load_function(reference, tmp_path)


def test_files_a_function_reads_are_known(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    (tmp_path / "weights.bin").write_bytes(b"123")
    (tmp_path / "model.py").write_text(
        "import helper\nfrom pathlib import Path\ndef build():\n    return Path(__file__).with_name('weights.bin').read_bytes()\n"
    )
    with files_read(tmp_path) as trace:
        assert load_function("model.py:build", tmp_path)() == b"123"
    names = {Path(path).name for path in trace.read}
    assert names == {"helper.py", "weights.bin", "model.py"}
    assert not (tmp_path / "__pycache__").exists()


def test_what_a_function_imports_when_it_is_called_is_loaded_afresh(tmp_path: Path) -> None:
    """In one process, such as a notebook that builds twice; modules of the notebook's own are let be."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "metric.py").write_text("def score():\n    from parts import helper\n    return helper.VALUE\n")
    values = []
    for value in (1, 22):
        (tmp_path / "parts" / "helper.py").write_text(f"VALUE = {value}\n")
        values.append(load_function("metric.py:score", tmp_path)())
    assert values == [1, 22]

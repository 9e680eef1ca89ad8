"""Data that comes batch by batch: whole, or an error; never a smaller set in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.tensors import TensorSpec
from edgeflow.ingest.data import load_samples

SPEC = (TensorSpec("x", (-1, 2)),)
CODE = """
import numpy as np

def batch(k, names=("x",)):
    return {name: np.full((3, 2), k, np.float32) for name in names}

def whole():
    return (batch(k) for k in range(4))

def early():
    yield batch(0)
    yield batch(1)
    raise RuntimeError("the disk went away")

def used_up():
    return iter(())

def other_names():
    yield batch(0)
    yield batch(1, ("y",))

class Loader:
    def __iter__(self):
        return whole()

def in_a_tuple():
    return (Loader(),)
"""


def load(name: str, folder: Path) -> int:
    (folder / "data.py").write_text(CODE)
    return len(load_samples(f"data.py:{name}", folder, SPEC, "calibration").arrays["x"])


def test_batches_are_put_together(tmp_path: Path) -> None:
    assert load("whole", tmp_path) == 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("early", r"ended early, after 2 batches \(RuntimeError: the disk went away\)"),
        ("used_up", "gave no batch at all"),
        ("other_names", "batches should all hold x"),
        ("in_a_tuple", "'x' holds a Loader, and should be an array"),
    ],
)
def test_what_ends_early_is_an_error(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load(name, tmp_path)


X = np.arange(16, dtype=np.float32).reshape(8, 2)
Y = np.arange(8)
FORMS = """
import numpy as np
X = np.arange(16, dtype=np.float32).reshape(8, 2)
Y = np.arange(8)

class Tensor:
    def __init__(self, a): self.a = a
    def numpy(self): return self.a
    def __iter__(self): raise TypeError("a tensor is no list of batches")

class Loader:
    def __init__(self, *parts): self.parts = parts
    def __len__(self): return len(self.parts)
    def __iter__(self): return iter(self.parts)

class Dataset:
    def __init__(self, get): self.get = get
    def __len__(self): return 8
    def __getitem__(self, k): return self.get(k)

class Fails:
    def __iter__(self): raise RuntimeError("no worker")

def halves(make): return Loader(make(X[:5], Y[:5]), make(X[5:], Y[5:]))
def loader_of_arrays(): return halves(lambda x, y: x)
def loader_of_tensors(): return halves(lambda x, y: Tensor(x))
def loader_of_lists(): return halves(lambda x, y: [Tensor(x)])
def loader_of_pairs(): return halves(lambda x, y: [Tensor(x), Tensor(y)])
def loader_of_tuples(): return halves(lambda x, y: (x, y))
def loader_of_dicts(): return halves(lambda x, y: {"x": Tensor(x), "label": Tensor(y)})
def list_of_batches(): return list(loader_of_arrays())
def list_of_pairs(): return list(loader_of_pairs())
def list_of_dicts(): return list(loader_of_dicts())
def dataset_of_samples(): return Dataset(lambda k: X[k])
def dataset_of_pairs(): return Dataset(lambda k: (X[k], Y[k]))
def dataset_of_numbers(): return Dataset(lambda k: (Tensor(X[k]), int(Y[k])))
def dataset_of_dicts(): return Dataset(lambda k: {"x": X[k], "label": int(Y[k])})
def generator_of_samples(): return (x for x in X)
def tensor(): return Tensor(X)
def dict_of_tensors(): return {"x": Tensor(X), "label": Tensor(Y)}
def pair(): return X, Y
def list_of_samples(): return list(X)
def list_of_tensors(): return [Tensor(x) for x in X]
def array(): return X
"""


@pytest.mark.parametrize(
    "name", [line.split()[1].partition("(")[0] for line in FORMS.splitlines() if line.startswith("def ")][1:]
)
def test_every_form_that_data_come_in(name: str, tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(FORMS)
    arrays = load_samples(f"data.py:{name}", tmp_path, SPEC, "calibration").arrays
    assert np.array_equal(arrays["x"], X)
    assert "label" in arrays or not any(word in name for word in ("pair", "dict", "tuple", "number"))
    assert np.array_equal(arrays.get("label", Y), Y)


def test_several_inputs_come_in_the_recipes_order(tmp_path: Path) -> None:
    specs = (*SPEC, TensorSpec("z", (-1,), "int64"))
    (tmp_path / "data.py").write_text(FORMS + "\ndef three(): return Loader([X, Y, Y + 1])\ndef one(): return X\n")
    arrays = load_samples("data.py:three", tmp_path, specs, "evaluation").arrays
    assert np.array_equal(arrays["z"], Y)
    assert np.array_equal(arrays["label"], Y + 1)
    with pytest.raises(DataError, match="should be a dict of arrays by input name") as caught:
        load_samples("data.py:one", tmp_path, specs, "evaluation")
    assert "'x': array, 'z': array" in caught.value.try_


def test_a_loader_that_cannot_begin_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(FORMS + "\ndef fails(): return Fails()\n")
    with pytest.raises(DataError, match=r"ended early, after 0 batches \(RuntimeError: no worker\)"):
        load_samples("data.py:fails", tmp_path, SPEC, "evaluation")

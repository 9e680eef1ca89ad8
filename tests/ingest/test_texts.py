"""Texts as data: from functions, batches and files, and what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.tensors import TensorSpec
from edgeflow.core.tokenize import Tokenize
from edgeflow.ingest.data import Samples, load_samples
from edgeflow.ingest.pictures import Way
from edgeflow.ingest.texts import read_texts, texts_of

SPECS = (TensorSpec("ids", (-1, -1), "int64"), TensorSpec("mask", (-1, -1)))
RULES = Tokenize("vocab.txt", 8, padding="longest", mask="mask")


def load(folder: Path, data: str, classes: tuple[str, ...] = ("refund", "invoice")) -> Samples:
    """Samples of the function `given`, whose body is `data`; or of a file of that name."""
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n订\n单\n")
    source = data
    if not data.endswith((".tsv", ".txt")):
        (folder / "data.py").write_text(f"import numpy as np\ndef given():\n    return {data}\n")
        source = "data.py:given"
    way = Way(texts=texts_of({"ids": RULES}, classes, folder))
    return load_samples(source, folder, SPECS, "evaluation", {}, way)


@pytest.mark.parametrize(
    "data",
    [
        '{"ids": ["订单", "单"], "label": np.array([1, 0])}',
        '{"ids": np.array(["订单", "单"]), "label": np.array([1, 0])}',
        '[(["订单"], np.array([1])), (["单"], np.array([0]))]',
        '[{"ids": "订单", "label": 1}, {"ids": "单", "label": 0}]',
        'iter([("订单", 1), ("单".encode(), 0)])',
    ],
)
def test_texts_of_a_function(tmp_path: Path, data: str) -> None:
    found = load(tmp_path, data)
    assert found.arrays["ids"].tolist() == [[2, 4, 5, 3], [2, 5, 3, 0]]
    assert found.arrays["mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert found.arrays["label"].tolist() == [1, 0]
    assert len(found.texts) == 2


def test_a_file_of_texts(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("订单\tinvoice\r\n\n单\t0\n", encoding="utf-8")
    found = load(tmp_path, "t.tsv")
    assert found.arrays["label"].tolist() == [1, 0]
    assert found.texts == ("订单", "单")
    (tmp_path / "t.txt").write_text("订单\n单\n", encoding="utf-8")
    assert "label" not in load(tmp_path, "t.txt").arrays


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('{"ids": ["订", ""]}', "text 1 (''): text holds no word"),
        ('{"ids": ["订"], "mask": np.ones((1, 8), np.float32)}', "gives texts and 'mask' beside them"),
        (
            '{"ids": np.full((1, 3), 6), "mask": np.ones((1, 3), np.float32)}',
            "holds the id 6, and the ids of vocab.txt are 0 to 5",
        ),
        ('{"ids": np.full((1, 3), -1), "mask": np.ones((1, 3), np.float32)}', "holds the id -1"),
        (
            '{"ids": np.ones((1, 3), np.int32), "mask": np.ones((1, 3), np.float32)}',
            "'ids' is int32, and should be int64",
        ),
    ],
)
def test_data_that_cannot_be_used(tmp_path: Path, data: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, data)
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("订\tnone\n", "1 of 1 lines have no class"),
        ("\n \n", "holds no text"),
        (b"\xff\xfe", "cannot be read as texts"),
    ],
)
def test_files_that_hold_no_texts(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_texts(path, ("refund",), "data")
    assert said in caught.value.what


def test_arrays_stay_as_they_are(tmp_path: Path) -> None:
    found = load(tmp_path, '{"ids": np.full((2, 3), 5), "mask": np.ones((2, 3), np.float32)}')
    np.testing.assert_array_equal(found.arrays["ids"], np.full((2, 3), 5))
    assert found.texts == ()

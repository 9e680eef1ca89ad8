"""Programs of a pipeline run behind the fence, also where one of its models comes from a user's function."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.core import fence
from edgeflow.ingest.page_lists import Page
from edgeflow.pipelines import runs
from edgeflow.pipelines.models import export_model
from edgeflow.pipelines.recipe import Part, load_pipeline
from edgeflow.pipelines.runs import PageRead, Reference, Work
from edgeflow.project.recipe import Recipe
from tests.pipelines.shades import write_shades

pytestmark = [pytest.mark.build, pytest.mark.skipif(not fence.abi(), reason="this kernel has no Landlock")]


def tries_to_write(work: Work) -> list[PageRead]:
    """In the worker, in place of reading."""
    assert isinstance(work.side, Reference)
    said = tuple(path.joinpath("model.pdmodel").is_file() for path in work.side.exported.values())
    page = work.pages[0]
    try:
        page.file.with_name("stolen").write_text("x")
    except PermissionError:
        return [PageRead(labelled=("closed", page.name, str(said)))]
    return [PageRead(labelled=("open", page.name, str(said)))]


def function_runs(recipe: Recipe, folder: Path) -> None:
    """In the other worker: the user's function may write."""
    (recipe.folder / "log").write_text(folder.name)
    export_model(recipe, folder)


def test_a_function_beside_a_program_opens_no_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write_shades(tmp_path / "p", 1)
    pipeline = load_pipeline(home, home / "build")
    parts: dict[Part, Recipe] = {"recogniser": pipeline.parts["recogniser"]}
    monkeypatch.setattr(runs, "read_pages", tries_to_write)
    monkeypatch.setattr(runs, "export_model", function_runs)
    page = Page("p.png", home / "pages" / "0.png", ())
    work = Work(Reference(parts), None, True, (page,))  # type: ignore[arg-type]
    (found,) = runs._read(work, None, lambda done, count: None)
    assert found.labelled == ("closed", "p.png", "(True,)")
    assert (home / "log").read_text() == "recogniser" and not (home / "pages" / "stolen").exists()

"""The pipeline of shades, built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.pipelines.flow import BuiltPipeline, build_pipeline
from tests.pipelines.shades import write_shades


@pytest.fixture(scope="session")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shades(tmp_path_factory.mktemp("pipeline") / "shades")


@pytest.fixture(scope="session")
def built(shades: Path) -> list[BuiltPipeline]:
    return build_pipeline(shades, ["arm64", "kirin"])

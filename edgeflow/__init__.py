"""edgeflow: from a model trained with PaddlePaddle to a verified .nb on ARM and NPU devices.

    import edgeflow
    results = edgeflow.build("examples/digits", targets=["kirin", "arm64-int8"])
    results = edgeflow.build("PP-OCRv5_mobile_rec/inference.json", targets=["arm64"])
    verdict = edgeflow.verify("examples/digits/build/kirin/model.nb")

Nothing heavy is imported until a function needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeflow.core.settings import DriftLimits
    from edgeflow.flow.build import Say
    from edgeflow.flow.built import Built
    from edgeflow.nb.model import Model
    from edgeflow.pipelines.flow import BuiltPipeline
    from edgeflow.report.text_record import TextRecord
    from edgeflow.verify.judge import Verdict

__version__ = "0.1.0"
__all__ = ["build", "build_pipeline", "read", "verify", "verify_model", "verify_pipeline"]


def build(
    recipe: str | Path = ".",
    targets: Sequence[str] = (),
    *,
    build_dir: str | Path | None = None,
    data: str | Path | None = None,
    say: Say | None = None,
) -> list[Built]:
    """Build a recipe's model, or a model that has none, for each target; the same as `edgeflow build`.

    See edgeflow.flow.build.build.
    """
    from edgeflow.flow.build import build as run
    from edgeflow.flow.from_model import recipe_or_model

    given = None if data is None else Path(data)
    place = None if build_dir is None else Path(build_dir)
    found, place = recipe_or_model(Path(recipe), targets, given, place)
    return run(found, targets, build_dir=place, say=say)


def build_pipeline(
    recipe: str | Path = ".",
    targets: Sequence[str] = (),
    *,
    build_dir: str | Path | None = None,
    say: Say | None = None,
) -> list[BuiltPipeline]:
    """Build and judge a pipeline of several models for each target. See edgeflow.pipelines.flow.build_pipeline."""
    from edgeflow.pipelines.flow import build_pipeline as run

    return run(recipe, targets, build_dir=None if build_dir is None else Path(build_dir), say=say)


def verify_pipeline(
    folder: str | Path, *, on: str = "emulator", runtime: str | Path | None = None, limit_s: float = 300.0
) -> TextRecord:
    """Judge a built pipeline again, here or on a device; the same as `edgeflow verify FOLDER --on WHERE`.

    See edgeflow.pipelines.verify.verify_folder.
    """
    from edgeflow.deploy.runners import Where
    from edgeflow.pipelines.verify import verify_folder

    place = None if runtime is None else Path(runtime)
    return verify_folder(Path(folder), where=Where(on, place, limit_s))[0]


def verify_model(
    model: str | Path,
    *,
    reference: str | Path | None = None,
    limits: DriftLimits | None = None,
    metric: str | None = None,
) -> Verdict:
    """Judge a .nb against its reference; the same as `edgeflow verify`. See edgeflow.verify.stage.verify_file."""
    from edgeflow.verify.stage import Against, verify_file

    return verify_file(Path(model), Against(None if reference is None else Path(reference), limits, metric))[0]


if not TYPE_CHECKING:
    verify = verify_model  # until the room of the same name is imported, which then answers for it


def read(path: str | Path) -> Model:
    """Read a .nb file into frozen dataclasses. See edgeflow.nb.read."""
    from edgeflow.nb.read import read as run

    return run(path)

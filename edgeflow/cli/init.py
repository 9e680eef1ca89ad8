"""edgeflow init."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgeflow.cli.language import tr
from edgeflow.cli.printing import show, show_json


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--from", "model", type=click.Path(exists=True, path_type=Path), help="A model file or its folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the files that were written as JSON.")
def command(folder: Path, model: Path | None, as_json: bool) -> None:
    """Write a project to start from: edgeflow.toml and model.py, in FOLDER; or, from a model, a whole recipe for it.

    With --from: inputs and shapes, and what an inference.yml, inference_cls.yaml, infer_cfg.yml or deploy.yaml beside
    the model says of pre-processing, task and labels, each line with where it was read. A folder with the folders of a
    detector and a recogniser of text becomes a pipeline.

    Files that exist are left as they are, and the command stops.

    Example: edgeflow init mymodel, or edgeflow init --from PP-OCRv5_mobile_rec mymodel
    """
    from edgeflow.flow.from_model import write_project_from
    from edgeflow.pipelines.from_models import parts_in, write_pipeline_from
    from edgeflow.project.template import write_project

    if model is None:
        written = write_project(folder)
    elif parts := parts_in(model):
        written = write_pipeline_from(model, parts, folder)
    else:
        written = write_project_from(model, folder)
    if as_json:
        show_json([str(path) for path in written])
    else:
        show(*written)
    place = f"./{folder}" if str(folder).startswith("-") else str(folder)  # cd would take it for an option
    go = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(place)} && "
    show(f"{tr('next')}: {go}edgeflow build --target {'arm64-int8' if model is None else 'arm64'}", err=True)

"""What several commands take: a recipe, targets, a build folder, and a .nb by any of the names that people give it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.printing import from_here, show
from edgeflow.core.errors import EdgeflowError

F = TypeVar("F", bound=Callable[..., Any])

recipe_argument = click.argument("recipe", type=click.Path(path_type=Path), default=".")


def complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Targets that a shell may complete to, then chips."""
    from edgeflow.core.targets import load_target, names

    chips = sorted({"".join(chip.split()) for name in names() for chip in load_target(name).chips})
    return [word for word in (*names(), *chips) if word.lower().startswith(incomplete.lower())]


targets_option = click.option(
    "--target",
    "-t",
    "targets",
    multiple=True,
    shell_complete=complete_targets,
    help="A target or a chip, or a .toml; repeatable. Default: [project] targets of the recipe.",
)

target_option = click.option(
    "--target",
    "-t",
    shell_complete=complete_targets,
    help="A target or a chip, or a .toml. Default: [project] targets of the recipe.",
)

build_dir_option = click.option(
    "--build-dir", type=click.Path(file_okay=False, path_type=Path), help="Where results and cache go; default build/."
)

BUILDS = "edgeflow.build_dir"
"""Under this name a call keeps where the builds of a recipe lie."""


def _keep_builds(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    ctx.meta[BUILDS] = value


builds_option = click.option(
    "--build-dir",
    type=click.Path(file_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_keep_builds,
    help="Where the builds of a recipe lie; default build/.",
)
"""For commands that read a build: it is known before the model, which may be given by its recipe."""


class ModelFile(click.ParamType):  # type: ignore[type-arg]
    """A .nb, by its own path, its folder, its manifest, or the recipe that one build was made of."""

    name = "path"

    def __init__(self, programs: bool = False, pipelines: bool = False) -> None:
        """`programs`: a program, or its folder, stands for itself; `pipelines`: so does a built pipeline's folder."""
        self.programs, self.pipelines = programs, pipelines

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Files, as the shell knows them."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The .nb's path, which exists; what is said where there is none tells what would do."""
        path = Path(value)
        if self.programs and path.exists() and _is_program(path):
            return path
        if self.pipelines and (folder := pipeline_of(path)) is not None:
            return folder
        if path.is_file() and path.suffix not in (".json", ".toml"):
            return path
        try:
            found = models_of(path, None if ctx is None else ctx.meta.get(BUILDS))
        except EdgeflowError as err:
            remedy = f"; {tr('try')}: {told(err.try_)}" if err.try_ else ""
            self.fail(f"{told(err.what)}{remedy}", param, ctx)
        if len(found) != 1:
            self.fail(_why_none(value, found), param, ctx)
        show(f"{value}: {from_here(found[0])}", err=True)
        return found[0]


def pipeline_of(path: Path) -> Path | None:
    """The folder of a built pipeline that a path means: itself, its pipeline.json or report; None where it is none."""
    from edgeflow.project.places import PAGE, PIPELINE, REPORT

    folder = path.parent if path.name in (PIPELINE, REPORT, PAGE) else path
    return folder if (folder / PIPELINE).is_file() else None


def _is_program(path: Path) -> bool:
    """A model that no .nb was built of; a manifest or a report beside a .nb is none."""
    from edgeflow.flow.from_model import needs_recipe
    from edgeflow.project.places import CONTRACT, MANIFEST, MODEL, REPORT

    return path.name not in (MANIFEST, REPORT, CONTRACT) and not (path / MODEL).exists() and needs_recipe(path)


def _why_none(value: Any, found: list[Path]) -> str:
    if not Path(value).exists():
        return f"File {str(value)!r} does not exist."
    if found:
        return f"{str(value)!r} has several builds; give one of {', '.join(map(from_here, found))}"
    return f"{str(value)!r} holds no model.nb; give a .nb, its folder, or its manifest.json"


def models_of(path: Path, builds: Path | None = None) -> list[Path]:
    """The .nb files that a folder, a file of a build or a recipe stands for; those that [project] names come alone.

    Args:
        builds: where a recipe's builds lie; None: where they lie by default.

    Raises:
        RecipeError: the recipe cannot be read.
    """
    from edgeflow.project.places import CONTRACT, MANIFEST, MODEL, RECIPE, REPORT, BuildFolder, build_root

    if path.name in (MANIFEST, REPORT, CONTRACT):
        path = path.parent
    if path.is_dir():
        if (path / MODEL).is_file():
            return [path / MODEL]
        if not (path / RECIPE).is_file():
            return sorted(path.glob("*.nb")) or sorted(path.glob(f"*/{MODEL}"))
        path = path / RECIPE
    if path.suffix != ".toml" or not path.is_file():
        return []
    from edgeflow.core.targets import load_target
    from edgeflow.project.recipe import load_recipe

    loaded = load_recipe(path)
    root = build_root(path, builds)
    wanted = [BuildFolder(root / load_target(name).name).model for name in loaded.project.targets]
    return [model for model in wanted if model.is_file()] or sorted(root.glob(f"*/{MODEL}"))


def model_argument(
    name: str = "model", *, programs: bool = False, pipelines: bool = False, **more: Any
) -> Callable[[F], F]:
    """An argument that is a .nb by any of its names, or a program or a built pipeline where those are taken."""

    def add(function: F) -> F:
        known = {param.name for param in getattr(function, "__click_params__", ())}
        taken = function if "build_dir" in known else builds_option(function)
        return click.argument(name, type=ModelFile(programs, pipelines), **more)(taken)

    return add


def chosen_targets(recipe: Path, given: tuple[str, ...]) -> tuple[str, ...]:
    """The targets given, or those of the recipe's [project].

    Raises:
        RecipeError: neither names one, or there is no recipe.
    """
    from edgeflow.project.recipe import asked_targets, load_recipe

    return given or asked_targets(load_recipe(recipe), given)


def chosen_target(recipe: Path, given: str | None) -> str:
    """The target given, or the only one of the recipe's [project].

    Raises:
        RecipeError: neither names exactly one, or there is no recipe.
    """
    from edgeflow.project.recipe import load_recipe, one_target

    return given or one_target(load_recipe(recipe), given)

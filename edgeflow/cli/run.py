"""edgeflow run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeflow.cli.language import tr
from edgeflow.cli.options import ModelFile, builds_option
from edgeflow.cli.printing import say, show, show_json, show_page
from edgeflow.cli.runner_options import where_options

if TYPE_CHECKING:
    from edgeflow.deploy.answers import Answer, Reader
    from edgeflow.deploy.run import Written


@click.command("run")
@click.argument("files", nargs=-1, metavar="[MODEL] [PICTURES]...", type=click.Path())
@click.option(
    "--input", "-i", "inputs", multiple=True, metavar="NAME=FILE", help="A .npy, a picture, a .txt of ids, or a text."
)
@click.option(
    "--output-dir",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Outputs are written here as out_0.npy, out_1.npy …",
)
@click.option("--draw", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT.png", help="The answer, drawn.")
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many classes are named.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Least score of boxes and maps."
)
@click.option("--dump", is_flag=True, help="Also write every intermediate, into OUTPUT_DIR/dump/.")
@click.option(
    "--npu",
    type=click.Choice(["float32", "float16", "uint8"]),
    help="Arithmetic of NPU subgraphs: float16 for Kirin, uint8 for Verisilicon; default: the manifest's, or float32.",
)
@click.option(
    "--ideal", is_flag=True, help="Compute what the ops mean, also where the ARM runtime aborts or computes otherwise."
)
@where_options(many=False)
@builds_option
@click.option("--json", "as_json", is_flag=True, help="Print answers, names, dtypes, shapes and ranges as JSON.")
@click.pass_context
def command(ctx: click.Context, /, files: tuple[str, ...], **options: Any) -> None:
    """Execute MODEL.nb, on this machine or on a device, on arrays or on pictures.

    Pictures and texts are prepared as the contract beside MODEL says, and answers use its labels; of several pictures,
    or of a .txt with a text a line, a table is printed. Without MODEL, the build of the recipe in this folder is taken.

    \b
    Example: edgeflow run build/arm64/model.nb --input image=cat.jpg --draw out.png
             edgeflow run build/arm64/model.nb pictures/*.jpg
             edgeflow run model.nb --input image=in.npy --output-dir out
             edgeflow run model.nb --input input_ids="where is my order"
    """
    from edgeflow.ingest.pictures import SUFFIXES

    given = [name for name in files[1:] if Path(name).suffix.lower() not in SUFFIXES]
    if given:
        raise click.UsageError(f"{given[0]!r} is no picture ({', '.join(SUFFIXES)}); arrays go with --input")
    first = not files or Path(files[0]).suffix.lower() in SUFFIXES
    model = ModelFile().convert("." if first else files[0], None, ctx)
    pictures = [Path(name) for name in (files if first else files[1:])]
    if bool(pictures) == bool(options["inputs"]):
        raise click.UsageError("give either pictures, or --input NAME=FILE for each input")
    if options["dump"] and (pictures or options["output_dir"] is None):
        raise click.UsageError("--dump writes into --output-dir, which is missing")
    if options["draw"] and len(pictures) > 1:
        raise click.UsageError("--draw takes one picture")
    if options["dump"] and options["on"] != "emulator":
        raise click.UsageError(
            f"--dump needs the emulator, and --on is {options['on']}: runtimes do not hand out intermediates"
        )
    if options["ideal"] and options["on"] != "emulator":
        raise click.UsageError(f"--ideal needs the emulator, and --on is {options['on']}: runtimes compute as they do")
    _run(model, pictures, options)


def _run(model: Path, pictures: list[Path], options: Mapping[str, Any]) -> None:
    from edgeflow.cli.progress import working
    from edgeflow.core.progress import counted
    from edgeflow.deploy.answers import reader_of
    from edgeflow.deploy.runners import Where, open_runner
    from edgeflow.ingest.pictures import load_picture
    from edgeflow.project.manifest import npu_arithmetic

    where = Where(
        options["on"],
        options["runtime"],
        options["limit_s"],
        options["trust"],
        say=say,
        ideal=options["ideal"],
        context=options["context"],
    )
    rows: list[tuple[Path | str, Answer]] = []
    written: list[Written] = []
    with working("run"), open_runner(model, where, options["npu"] or npu_arithmetic(model)) as runner:
        if pictures:
            reader = reader_of(model, options["top"], options["threshold"])
            for path in counted(pictures, "pictures"):
                pixels = load_picture(path)
                answer = reader.answer(list(runner.infer(reader.feed(pixels)).values()), pixels)
                rows.append((path, answer))
        elif texts := _texts(model, options["inputs"]):
            if len(texts) > 1 and options["output_dir"]:
                raise click.UsageError("--output-dir takes the outputs of one text")
            rows, written = _answered(model, runner, texts, options)
        else:
            written, seen = _once(model, runner, options)
            if seen is not None:
                path, pixels, answer = seen
                rows.append((path, answer))
    if options["draw"]:
        if not rows or isinstance(rows[0][0], str):
            raise click.UsageError("--draw draws on a picture, and no input is one")
        from edgeflow.deploy.drawing import draw

        draw(options["draw"], pixels, answer)
        show(f"{tr('drawn')}: {options['draw']}", err=True)
    if rows:
        _show(rows, as_json=options["as_json"])
    elif options["as_json"]:
        show_json([tensor.as_table() for tensor in written])
    else:
        show(*map(str, written))


def _texts(model: Path, inputs: tuple[str, ...]) -> list[str]:
    """The texts of `--input NAME=TEXT`, where the contract makes NAME from one; none where arrays are given."""
    from edgeflow.core.errors import DataError
    from edgeflow.core.tensors import named
    from edgeflow.deploy.texts import given_texts
    from edgeflow.project.contract import load_contract
    from edgeflow.project.places import BuildFolder

    try:
        spec = load_contract(BuildFolder.of(model).contract).text
    except DataError:
        return []
    if spec is None or len(inputs) != 1:
        return []
    name, value = named(inputs[0], [spec.name])
    return given_texts(value) if name and not value.endswith(".npy") else []


def _answered(
    model: Path, runner: Any, texts: list[str], options: Mapping[str, Any]
) -> tuple[list[tuple[Path | str, Answer]], list[Written]]:
    """An answer for each text, and what was written of the only one."""
    from edgeflow.core.progress import counted
    from edgeflow.core.tensors import validate_fixed
    from edgeflow.deploy.answers import reader_of
    from edgeflow.deploy.run import write_dump, write_outputs
    from edgeflow.deploy.texts import text_feed, text_tokenizer

    reader = reader_of(model, options["top"], options["threshold"])
    made = text_tokenizer(model.parent, reader.contract)
    assert made is not None
    rows: list[tuple[Path | str, Answer]] = []
    written: list[Written] = []
    folder = options["output_dir"]
    for text in counted(texts, "texts"):
        feed = text_feed(made, text, reader.contract)
        validate_fixed({name: array.shape for name, array in feed.items()}, runner.inputs, "--input")
        outputs = runner.infer(feed)
        rows.append((text, reader.answer([array[:1] for array in outputs.values()])))
        if folder:
            written = write_outputs(list(outputs.items()), folder)
        if options["dump"]:
            written += write_dump(runner, feed, model, folder / "dump")
    return rows, written


def _once(
    model: Path, runner: Any, options: Mapping[str, Any]
) -> tuple[list[Written], tuple[Path, Any, Answer] | None]:
    """One run on the inputs given: what came out, and the answer for a picture among them."""
    from edgeflow.core.tensors import validate_fixed
    from edgeflow.deploy.answers import reader_of
    from edgeflow.deploy.run import held_to_contract, ids_of, parse_inputs, write_dump, write_outputs
    from edgeflow.ingest.pictures import load_picture

    seen: list[tuple[Path, Any, Reader]] = []

    def made(name: str, value: str) -> Mapping[str, Any]:
        path = Path(value)
        if path.suffix.lower() == ".txt":
            return {name: ids_of(path)}
        reader = reader_of(model, options["top"], options["threshold"])
        pixels = load_picture(path)
        seen.append((path, pixels, reader))
        return reader.feed(pixels)

    feed = parse_inputs(options["inputs"], [spec.name for spec in runner.inputs], made)
    validate_fixed({name: array.shape for name, array in feed.items()}, runner.inputs, "--input")
    validate_fixed({name: array.shape for name, array in feed.items()}, runner.inputs, "--input")
    held_to_contract(feed, model)
    outputs = runner.infer(feed)
    folder = options["output_dir"]
    written = write_outputs(list(outputs.items()), folder)
    if options["dump"]:
        written += write_dump(runner, feed, model, folder / "dump")
    if not seen:
        return written, None
    path, pixels, reader = seen[0]
    return written, (path, pixels, reader.answer(list(outputs.values()), pixels))


def _show(rows: list[tuple[Path | str, Answer]], *, as_json: bool) -> None:
    """Answers: all lines of one picture or text, or a table with the first words on each."""
    of_texts = isinstance(rows[0][0], str)
    if as_json:
        show_json([{"text" if of_texts else "picture": str(path), **answer.table} for path, answer in rows])
    elif len(rows) == 1:
        show(*rows[0][1].lines)
    else:
        from edgeflow.cli.tables import table

        show_page(
            table(
                (tr("text") if of_texts else tr("picture"), tr("answer")),
                [(str(path), _short(answer)) for path, answer in rows],
            )
        )


def _short(answer: Answer) -> str:
    if not answer.boxes:
        return " ".join(answer.lines[0].split())
    return f"{len(answer.boxes)}: {_counted(box.label for box in answer.boxes)}"


def _counted(labels: Iterable[str]) -> str:
    from collections import Counter

    return ", ".join(f"{count} {label}" for label, count in Counter(labels).most_common(4))

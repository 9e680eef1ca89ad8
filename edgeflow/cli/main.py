"""The group of commands. A command's module is imported when it is called, or listed by --help."""

from __future__ import annotations

import importlib
import io
import signal
import sys
import threading
from typing import Any

import click

from edgeflow.cli.help_text import Spoken, speak
from edgeflow.cli.language import told, tr
from edgeflow.cli.printing import MANNER, show, show_error, visible
from edgeflow.core.errors import EdgeflowError

COMMANDS = {
    "init": "init",
    "doctor": "doctor",
    "targets": "targets",
    "plan": "plan",
    "build": "build",
    "cache": "cache",
    "lock": "lock",
    "reproduce": "reproduce",
    "sensitivity": "sensitivity",
    "search": "search",
    "calibration": "calibration",
    "verify": "verify",
    "report": "report",
    "run": "run",
    "inspect": "inspect",
    "diff": "diff",
    "match": "match",
    "export": "export",
    "bench": "bench",
    "bisect": "bisect",
    "deploy": "deploy",
    "cross-compile": "cross_compile",
    "worker": "worker",
    "completion": "completion",
}


WHOLE = 1000
"""Letters of a command's first sentence: all of them."""


def with_manner(command: click.Command) -> None:
    """Give a command, and those below it, the options that say how it speaks."""
    if not any(option.name == "quiet" for option in command.params):
        command.params += _manner_options()
    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_manner(below)


def _manner_options() -> list[click.Parameter]:
    def told(_: click.Context, option: click.Parameter, value: bool) -> None:
        if value:
            setattr(MANNER, *{"quiet": ("quiet", True), "verbose": ("verbose", True)}.get(str(option.name), NO_COLOUR))

    texts = {
        ("--quiet", "-q"): "Neither progress nor notes: results and errors alone.",
        ("--verbose", "-v"): "The whole traceback of what goes wrong, and where logs lie.",
        ("--no-color",): "No colours; NO_COLOR=1 says the same.",
    }
    return [
        click.Option(names, is_flag=True, expose_value=False, is_eager=True, callback=told, help=text)
        for names, text in texts.items()
    ]


NO_COLOUR = ("colour", False)


def noted_interrupts() -> list[int]:
    """A list that Ctrl-C goes into, beside raising KeyboardInterrupt: a library that is being imported may make another
    error of it.
    """
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    if threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, note)
    return seen


class Lazy(click.Group):
    """Commands by name; errors of edgeflow become a message and an exit code in this one place."""

    context_class = Spoken

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"edgeflow.cli.{COMMANDS[cmd_name]}").command
        with_manner(command)
        speak(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with its whole first sentence, wrapped, not cut off."""
        listed = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, "" if c is None else c.get_short_help_str(WHOLE)) for name, c in listed])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as err:
            from edgeflow.core.errors import near

            if args and args[0] not in COMMANDS:
                raise click.UsageError(f"no command {args[0]!r}; {near(args[0], COMMANDS, 'commands')}", ctx) from err
            raise

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Each call begins in the plain manner."""
        MANNER.colour, MANNER.quiet, MANNER.verbose = True, False, False
        speak(self)
        return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # names in a file may be any bytes
        stopped = noted_interrupts()
        try:
            return super().invoke(ctx)
        except EdgeflowError as err:
            show_error(err)
            sys.exit(err.exit_code)
        except click.ClickException as err:
            vars(err)["message"] = told(err.message)  # click declares it final
            said = err.format_message()
            if all(visible(line) == line for line in said.split("\n")):
                raise
            show(f"Error: {said}", err=True)
            sys.exit(err.exit_code)
        except (KeyboardInterrupt, Exception) as err:
            if not isinstance(err, KeyboardInterrupt) and not stopped:
                raise
            show(f"edgeflow: {tr('stopped; finished stages are kept')}", err=True)
            sys.exit(130)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edgeflow")
def edgeflow() -> None:
    """From a trained PaddlePaddle model to a verified .nb for ARM and NPU devices."""


with_manner(edgeflow)

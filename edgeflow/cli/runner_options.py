"""The options by which verify, run and bench choose what executes a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeflow.cli.printing import show

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
HOSTS = ("emulator", "paddle-lite", "qemu")


def where(value: str) -> str:
    """Hold one word after --on to what there is; addresses are looked at more closely where they are used."""
    if value not in HOSTS and not value.startswith(("ssh://", "adb:")):
        from edgeflow.core.errors import near

        raise click.BadParameter(
            f"{value!r}, and should be emulator, paddle-lite, qemu, ssh://user@host[:port] or adb:SERIAL; "
            f"{near(value, HOSTS, 'on this machine')}"
        )
    return value


def where_or_pool(value: str) -> str:
    """The same, or the file of a pool of devices."""
    return value if in_pool(value) else where(value)


def in_pool(value: str) -> bool:
    """It names the file of a pool, maybe with tags behind a colon."""
    if ".toml" not in value:
        return False  # what reads pools is not needed then
    from edgeflow.deploy.pool import is_pool

    return is_pool(value)


def on_device(on: str, model: Path, work: Callable[[str], T]) -> T:
    """Do work on what --on names: of a pool, on any free device for the file's target."""
    if not in_pool(on):
        return work(on)
    from edgeflow.deploy.pool import chosen, on_any
    from edgeflow.deploy.runners import target_of

    return on_any(chosen(on, target_of(model)), work, lambda line: show(f"pool: {line}", err=True))


def where_options(*, many: bool, pools: bool = False) -> Callable[[F], F]:
    """--on, --runtime, --limit-s, --context and --trust; `many` lets --on be given for several devices, `pools` for any
    device of a pool.
    """

    def decorate(command: F) -> F:
        runtime = click.option(
            "--runtime",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help="Programs and libraries for the device or qemu, made by edgeflow cross-compile; default: "
            "build/device/<target>.",
        )
        on = click.option(
            "--on",
            type=where_or_pool if pools else where,
            default=("emulator",) if many else "emulator",
            multiple=many,
            show_default="emulator",
            metavar="WHERE",
            help="What executes MODEL: emulator, paddle-lite (its x86 runtime, float x86 files only), "
            "qemu (a device's programs, under qemu-user here), "
            f"ssh://user@host[:port] or adb:SERIAL"
            f"{', or POOL.toml[:TAG,…]: any free device of a pool' if pools else ''}."
            f"{' Give it again for more devices.' if many else ''}",
        )
        limit = click.option(
            "--limit-s",
            type=click.FloatRange(1, 86_400),
            default=300,
            show_default=True,
            metavar="SECONDS",
            help="How long one program may run on a device or under qemu.",
        )
        context = click.option(
            "--context",
            multiple=True,
            metavar="KEY=VALUE",
            help="What NNAdapter is told on the device beside what the build says; edgeflow targets NAME lists the "
            "keys. Repeatable.",
        )
        return on(runtime(limit(context(trust_option(command)))))

    return decorate


def trust_option(command: F) -> F:
    """--trust, for commands that would run what lies beside a .nb."""
    return click.option(
        "--trust",
        is_flag=True,
        help="Run the code that lies beside the file (a metric in Python, programs for a device), though it was not "
        "built on this machine.",
    )(command)

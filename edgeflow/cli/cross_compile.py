"""edgeflow cross-compile."""

from __future__ import annotations

from pathlib import Path

import click

from edgeflow.cli.options import ModelFile, complete_targets
from edgeflow.cli.printing import from_here, say, show

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("cross-compile")
@click.argument("target", shell_complete=complete_targets)
@click.option(
    "--paddle-lite", type=FOLDER, envvar="PADDLE_LITE_DIR", help="The unpacked library: holds cxx/include and cxx/lib."
)
@click.option("--model", type=ModelFile(), metavar="MODEL", help="A .nb that the library must be able to run.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="The runtime folder; default: build/device/TARGET."
)
@click.option("--ndk", type=FOLDER, help="The Android NDK; ANDROID_NDK if not given.")
@click.option("--install", is_flag=True, help="Install missing Debian packages; needs root.")
def command(
    target: str, paddle_lite: Path | None, model: Path | None, out: Path | None, ndk: Path | None, install: bool
) -> None:
    """Build the device programs for TARGET into a runtime folder: bin/, lib/ and runtime.json.

    Example: edgeflow cross-compile arm64-int8 --paddle-lite inference_lite_lib.armlinux.armv8.gcc.with_extra
    """
    from edgeflow.core.targets import load_target
    from edgeflow.deploy.cross import Job, cross_compile, sources

    profile = load_target(target)
    place = out or Path("build") / "device" / profile.name
    show(from_here(cross_compile(Job(profile, sources(), place, paddle_lite, model, ndk, install), say)))

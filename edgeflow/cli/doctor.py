"""edgeflow doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.printing import here, show, show_json


@click.command("doctor")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--all", "everything", is_flag=True, help="Also what is well.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(folder: Path, everything: bool, as_json: bool) -> None:
    """Say what is installed, which stages can run, what a build could stumble over, and the command that mends it.

    Looks at the machine, and at the recipe in FOLDER where there is one. Exit code 1: a build cannot succeed.

    Example: edgeflow doctor
    """
    from edgeflow.flow.doctor import diagnose, examine

    found, checks = diagnose(), examine(folder)
    if as_json:
        show_json({**asdict(found), "checks": [asdict(item) for item in checks]})
    else:
        for name, version in found.installed.items():
            show(f"{name:<18} {version}")
        stages = (*found.stages, "fence")
        for item in checks:
            if item.check in stages or item.severity != "ok" or everything:
                word = "" if item.severity == "ok" else f"{told(item.severity)}: "
                show(
                    f"{item.check:<18} {word}{told(item.what)}",
                    *([f"  {tr('fix')}: {here(item.fix)}"] if item.fix else []),
                )
    if any(item.severity == "error" for item in checks):
        raise SystemExit(1)

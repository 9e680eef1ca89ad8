"""edgeflow doctor."""

from __future__ import annotations

import click

from edgeflow.cli.printing import show, show_json


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    """Say what is installed, which stages can run, and what to install for the rest.

    Example: edgeflow doctor
    """
    from edgeflow.flow.doctor import diagnose

    found = diagnose()
    if as_json:
        show_json(found)
        return
    for name, version in found["installed"].items():
        show(f"{name:<18} {version}")
    for stage, problem in found["stages"].items():
        show(f"{stage:<18} {problem or 'can run'}")
    show(f"{'fence':<18} {found['fence']}")

"""edgeflow targets."""

from __future__ import annotations

import click


@click.command("targets")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the target profiles, or show the one called NAME.

    Example: edgeflow targets kirin
    """
    from dataclasses import asdict

    from edgeflow.core.targets import load_target, names, unsupported_chips
    from edgeflow.report.tables import table

    if name is None:
        profiles = [load_target(known) for known in names()]
        if as_json:
            import json

            click.echo(json.dumps([asdict(profile) for profile in profiles], indent=1))
            return
        click.echo(table(("target", "precision", "what it is"), [
            (p.name, p.precision.default, p.summary.ljust(max(len(q.summary) for q in profiles))) for p in profiles]))
        click.echo("\nnot on this stack:")
        for chip in unsupported_chips():
            click.echo(f"  {chip.name}: {chip.reason}; try --target {chip.alternative}")
        return
    profile = load_target(name)
    if as_json:
        import json

        click.echo(json.dumps(asdict(profile), indent=1))
        return
    from edgeflow.report.profile import profile_page

    click.echo(profile_page(profile))

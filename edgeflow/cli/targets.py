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

    from edgeflow.core.targets import load_target, names
    from edgeflow.report.tables import table

    if name is None:
        profiles = [load_target(known) for known in names()]
        if as_json:
            import json

            click.echo(json.dumps([asdict(profile) for profile in profiles], indent=1))
            return
        click.echo(table(("target", "precision", "what it is"), [
            (p.name, p.precision.default, p.summary.ljust(max(len(q.summary) for q in profiles))) for p in profiles]))
        return
    profile = load_target(name)
    if as_json:
        import json

        click.echo(json.dumps(asdict(profile), indent=1))
        return
    click.echo(f"{profile.name}: {profile.summary}")
    click.echo(f"source: {profile.source}")
    click.echo(f"opt: valid_targets = {profile.lite.valid_targets}{', fp16' if profile.lite.fp16 else ''}")
    click.echo(f"precision: {', '.join(profile.precision.allowed)} (default {profile.precision.default})")
    for refused, reason in profile.precision.refused.items():
        click.echo(f"  not {refused}: {reason}")
    if profile.precision.alternative:
        click.echo(f"  instead: --target {profile.precision.alternative}")
    if profile.chips:
        click.echo(f"chips: {', '.join(profile.chips)}")
    if profile.abi:
        click.echo(f"ABI: {profile.abi}")
    for note in profile.notes:
        click.echo(f"note: {note}")

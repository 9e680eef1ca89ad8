"""edgeflow completion."""

from __future__ import annotations

import click

from edgeflow.cli.printing import show_page


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes SHELL complete commands, options, targets, chips and paths.

    \b
    Example: edgeflow completion bash >> ~/.bashrc
             edgeflow completion zsh >> ~/.zshrc
             edgeflow completion fish > ~/.config/fish/completions/edgeflow.fish
    """
    from click.shell_completion import get_completion_class

    from edgeflow.cli.main import edgeflow

    made = get_completion_class(shell)
    assert made is not None
    found = made(edgeflow, {}, "edgeflow", "_EDGEFLOW_COMPLETE")
    # Not source(), which starts the shell to ask for its version.
    show_page((found.source_template % found.source_vars()).rstrip())

"""The command line, one module per command. stdout holds what was asked for; everything else goes to stderr."""

from __future__ import annotations

from typing import Annotated

import typer

from llmswitch._version import __version__

from . import batch, budgets, cache, chat, doctor, equivalents, explain, init, local, models, providers, serve
from ._terminal import warnings_shown

__all__ = ["app"]

# Pretty tracebacks would print local variables, and so keys and prompts.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(chat.chat)
app.command()(batch.batch)
app.command()(explain.explain)
app.command()(budgets.budgets)
app.command()(providers.providers)
app.command()(models.models)
app.command()(equivalents.equivalents)
app.command()(init.init)
app.command()(doctor.doctor)
app.add_typer(cache.app, name="cache")
app.add_typer(local.app, name="local")
app.add_typer(serve.app, name="serve")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"llmswitch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has done it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """One chat in front of many model vendors: asks the targets of a chain in turn until one answers."""
    ctx.with_resource(warnings_shown())

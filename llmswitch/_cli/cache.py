"""`llmswitch cache`: the answers that the configuration has kept on disk or in Redis."""

from __future__ import annotations

import typer

from llmswitch._between_calls import cache_of
from llmswitch._config_file import Loaded
from llmswitch._discovery import discover

from ._options import ConfigOption
from ._terminal import failures

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The answers that are kept to be given again.")


@app.callback()
def _of_several() -> None:
    """Without it a single command would have no name."""


@app.command()
def clear(
    config: ConfigOption = None,
) -> None:
    """Forget every answer on this disk, or under the prefix in Redis. What processes have in memory ends with them."""
    with failures():
        loaded = discover() if config is None else Loaded.from_file(config)
        kind = loaded.config.cache.kind
        cache = None if kind == "memory" else cache_of(loaded)
        if cache is not None:
            cache.answers.clear()
            cache.answers.close(wait=1)
    if kind is None:
        typer.echo(f"nothing is kept: {loaded.source} has no [cache] with a kind")
    elif cache is None:
        typer.echo("answers are kept in the memory of each process alone, and end with it")
    else:
        typer.echo(f"the cache is empty ({kind})")

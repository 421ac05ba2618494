"""`llmswitch serve`: the gateway, and the keys of its clients."""

from __future__ import annotations

from typing import Annotated

import typer

from llmswitch._config import ServerKey
from llmswitch._config_file import Loaded
from llmswitch._discovery import discover
from llmswitch._errors import ConfigError

from ._options import ConfigOption
from ._terminal import failures, stderr

__all__ = ["app"]

app = typer.Typer(help="Serve the chains over HTTP, to the SDKs that people already use.")


@app.callback(invoke_without_command=True)
def serve(
    ctx: typer.Context,
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port for clients.")] = None,
    admin_host: Annotated[str | None, typer.Option(help="The address of the administration.")] = None,
    admin_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port.")] = None,
) -> None:
    """Serve the chains of the configuration over HTTP until Ctrl-C. Every option is a setting of `[server]` as well."""
    if ctx.invoked_subcommand is not None:
        return
    given = {"host": host, "port": port, "admin_host": admin_host, "admin_port": admin_port}
    with failures():
        loaded = discover() if config is None else Loaded.from_file(config)
        settings = loaded.config.server.model_copy(
            update={name: value for name, value in given.items() if value is not None}
        )
        loaded = Loaded(loaded.config.model_copy(update={"server": settings}), loaded.source, loaded.trusted)
        _run(loaded)


def _run(loaded: Loaded) -> None:
    try:
        from llmswitch.doors.passage import DOORS
        from llmswitch.server.run import serve as run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "llmswitch":
            raise
        raise ConfigError(f"{missing.name} is missing: pip install 'llmswitch[server]'") from None
    console = stderr()

    def announce(public: str, admin: str) -> None:
        if not loaded.config.server.keys:
            console.print("there are no keys: every program on this machine may ask")
        console.print(f"listening on {public}, status on {admin}/status")

    run(loaded, DOORS, announce)
    console.print("ended")


@app.command()
def key(name: Annotated[str, typer.Argument(help="Whose key it is: letters, digits, dot, dash, underscore.")]) -> None:
    """Make a key. It is printed this once, on stdout; the lines for the configuration, with its hash, on stderr."""
    from llmswitch.server.keys import hashed, new_key

    made = new_key()
    try:
        entry = ServerKey(name=name, sha256=hashed(made))
    except ValueError:
        raise typer.BadParameter("a name has 1 to 64 letters, digits, dots, dashes and underscores") from None
    console = stderr()
    console.print("the key, which can't be shown again, is on stdout; these lines are for llmswitch.toml:")
    console.print(f'[[server.keys]]\nname = "{entry.name}"\nsha256 = "{entry.sha256}"')
    typer.echo(made)

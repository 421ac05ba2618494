"""The command line in this process, made once: typer makes it anew for each call, which takes longer than the call."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer.testing

from llmswitch._cli import app

__all__ = ["command", "invoke"]

command = cache(lambda: typer.main.get_command(app))

if hasattr(typer.testing, "_get_command"):  # where it has another name, it is made for each call as before
    typer.testing._get_command = lambda _app: command()


def invoke(arguments: list[str], stdin: str | None = None) -> Any:
    """The result of a call; it has `stdout`, `stderr` and `exit_code`."""
    return typer.testing.CliRunner().invoke(app, arguments, input=stdin)

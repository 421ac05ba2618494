"""`llmswitch local`: the embedded model's engine and weights on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from llmswitch._registry import provider
from llmswitch.providers.local_weights import WeightsError, WeightsMissing, find_weights, install_weights

from ._terminal import complain, failures, stderr

__all__ = ["app", "engine", "missing"]

app = typer.Typer(no_args_is_help=True, help="The embedded model on this machine: its engine and its weights.")

_ENGINE_COMMAND = "pip install 'llmswitch[local]'"
_WEIGHTS_COMMAND = "llmswitch local install"


@app.command()
def install() -> None:
    """Install the weights into the user's cache folder. Does nothing where they are on this machine already."""
    console = stderr()
    with failures(), _weights_errors(console):
        weights = find_weights()
        if weights is None:
            console.print("fetching the weights of the local model")
            with _progress(console) as progress:
                weights = install_weights(progress)
    typer.echo(f"the weights are at {weights} ({_size(weights)})")
    if engine() is None:
        console.print(f"the engine is not installed: {_ENGINE_COMMAND}")


@app.command()
def status() -> None:
    """Say whether the engine is installed, and where the weights are."""
    console = stderr()
    installed = engine()
    typer.echo(f"engine   {installed or f'not installed: {_ENGINE_COMMAND}'}")
    with failures(), _weights_errors(console):
        weights = find_weights()
    typer.echo(f"weights  {f'{weights} ({_size(weights)})' if weights else f'not installed: {_WEIGHTS_COMMAND}'}")


def engine() -> str | None:
    """The engine's package and version; `None` where it is not installed."""
    server = provider("local").server
    assert server is not None
    assert server.needs is not None
    if importlib.util.find_spec(server.needs) is None:
        return None
    try:
        return f"{server.needs} {version(server.needs)}"
    except PackageNotFoundError:  # a copy that no installer knows of
        return server.needs


def missing() -> list[str]:
    """The commands that have still to be run before the local model can answer."""
    try:
        weights = find_weights()
    except WeightsMissing:
        weights = None
    return [*([_ENGINE_COMMAND] if engine() is None else []), *([_WEIGHTS_COMMAND] if weights is None else [])]


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1_000_000:.0f} MB"


@contextmanager
def _weights_errors(console: Console) -> Iterator[None]:
    try:
        yield
    except WeightsError as error:
        complain(console, str(error))
        raise typer.Exit(1) from None


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """
    A bar on a terminal, a line for each stage elsewhere.

    It appears with the first report: before that pip draws a bar of its own, and two would fight over the line.
    """
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
    )
    tasks = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            if console.is_terminal:
                bar.start()
            else:
                console.print(stage)
            tasks[stage] = bar.add_task(stage, total=total)
        bar.update(tasks[stage], completed=done)

    try:
        yield report
    finally:
        if tasks and console.is_terminal:
            bar.stop()

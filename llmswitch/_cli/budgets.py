"""`llmswitch budgets`: the limits, budgets and grants of the configuration, and what is left of each."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from llmswitch._allowance_state import AllowanceState
from llmswitch._client import Client

from ._options import ConfigOption
from ._terminal import failures, stderr
from .chat import open_client
from .providers import print_table

__all__ = ["budgets"]


def budgets(
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    config: ConfigOption = None,
) -> None:
    """List the limits, budgets and grants: how much of each is spent, what is left, and when it begins anew."""
    with failures(), open_client(None, config) as client:
        states = _states(client)
        allowances = client._allowances  # noqa: SLF001
        if json_:
            print(json.dumps([_as_json(each) for each in states], indent=2))  # noqa: T201 - what was asked for
            return
        if states:
            print_table(_table(states))
        console = stderr()
        if not states:
            console.print("nothing is bounded: write [[budgets]], or limits of a provider, into the configuration")
        elif allowances is not None and not allowances.shared:
            console.print(
                "without a [store] every process counts in its own memory: this is what is set, and what others have "
                "spent is not known here"
            )
        elif any(each.spent is None for each in states):
            console.print("?: the store has not told")


def _states(client: Client) -> list[AllowanceState]:
    allowances, grants = client._allowances, client._grants  # noqa: SLF001
    if allowances is not None:
        allowances.look(client._setup.targets(), grants.allowances() if grants is not None else ()).wait()  # noqa: SLF001
    return client.allowances()


def _as_json(state: AllowanceState) -> dict[str, Any]:
    """One of them. Amounts are text, to stay exact; `null` where the store has not told."""
    return {
        "label": state.label,
        "kind": state.kind,
        "unit": state.unit,
        "limit": f"{state.limit:f}",
        "spent": None if state.spent is None else f"{state.spent:f}",
        "left": None if state.left is None else f"{state.left:f}",
        "ends": None if state.ends is None else state.ends.isoformat(),
    }


def _table(states: list[AllowanceState]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "what", "limit", "spent", "left", "until"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("limit", "spent", "left") else "left")
    for each in states:
        table.add_row(
            each.kind,
            Text(each.label),
            f"{each.limit:,f} {each.unit}",
            "?" if each.spent is None else f"{each.spent:,f}",
            Text("?" if each.left is None else f"{each.left:,f}", style="bold red" if each.left == 0 else ""),
            "-" if each.ends is None else f"{each.ends:%Y-%m-%d %H:%M %Z}",
        )
    return table

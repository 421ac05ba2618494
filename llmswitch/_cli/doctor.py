"""`llmswitch doctor`: what is in order, what is not, and what to do about it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from llmswitch._doctor.report import Check, Report, State

from ._options import ConfigOption
from ._terminal import failures, one_line, stderr
from .providers import print_table

__all__ = ["doctor"]

_STYLES: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}


def doctor(
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Make one tiny call to each provider, which costs a fraction of a cent, and try a key that its site "
            "refuses at the same vendor's other sites.",
        ),
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of a table.")] = False,
    providers: Annotated[
        list[str] | None, typer.Option("--provider", help="Only this provider; may be given again.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """
    Look at every provider in the configuration or the environment: key, site, host, clock, models, balance.

    What is sent without --live: to each provider's own site, with its key, the requests for its list of models and its
    balance, which cost nothing; where it has no such list, a request without the key that shows that somebody is there.

    The status is 1 where a line is red, else 0; 2 for wrong arguments.
    """
    from llmswitch._doctor.run import examine  # what sends requests is loaded by nobody else

    console = stderr()
    with failures(), console.status("asking") if console.is_terminal else nullcontext():
        report = examine(config, live=live, only=providers or ())
    if json_:
        print(json.dumps(report.as_json(), indent=2))  # noqa: T201 - what was asked for
    else:
        print_table(_table(report))
        console.print(_summary(report))
    if report.state == "fail":
        raise typer.Exit(1)


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("provider", "check", "", "found, and what to do"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "found, and what to do")
    for title, checks in [
        ("this machine", report.machine),
        *((each.provider, each.checks) for each in report.providers),
    ]:
        for number, check in enumerate(checks):
            last = number == len(checks) - 1
            table.add_row(Text(title if number == 0 else "", style="bold"), *_cells(check), end_section=last)
    return table


def _cells(check: Check) -> tuple[Text, Text, Text]:
    said = Text(one_line(check.said))
    if check.todo and check.state != "ok":
        said.append(f"\n-> {one_line(check.todo)}", style=_STYLES[check.state])
    return Text(check.name), Text(check.state, style=_STYLES[check.state]), said


def _summary(report: Report) -> str:
    red, yellow = report.count("fail"), report.count("warn")
    words = f"{red} red, {yellow} yellow"
    if red == 0 and yellow == 0:
        words = "nothing is wrong that can be seen from here"
    hint = "" if report.live or not report.providers else "; --live makes one tiny call to each provider as well"
    return words + hint

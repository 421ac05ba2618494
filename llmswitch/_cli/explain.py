"""`llmswitch explain`: who would be asked, in which order, and why each of the others not. Nothing is sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmswitch._catalog_words import tokens_in_words
from llmswitch._client import Client
from llmswitch._plan import Plan, PlannedTarget, in_short

from ._options import ConfigOption, MaxTokensOption, ModelOption, SystemOption, TagsOption, TimeoutOption
from ._terminal import complain, failures, plain, stderr, warn
from .chat import open_client, read_question
from .providers import print_table

__all__ = ["explain"]

_CONSULT = 1.0  # seconds that a store has to tell what other processes know of the targets

# What to do where nobody would be asked, by what stands in the way.
_ADVICE = {
    "CapabilityMismatch": "--degrade goes on without what a target lacks, -m names another one",
    "BudgetExceeded": "lower --max-tokens or raise the budget; `llmswitch budgets` shows what is left",
    "QuotaExhausted": 'wait until it begins anew; where it is a grant, on_exhausted = "pay" goes on at the usual price',
    "RateLimited": "wait, or add a target of another account to the chain",
    "Arrears": "pay the bill, then `client.reset(target)`",
    "AuthInvalid": "renew the key, then `client.reset(target)`",
    "DeadlineExceeded": "give it more time: --timeout",
}


def explain(
    question: Annotated[str, typer.Argument(help="What would be asked; - reads it from stdin.")],
    model: ModelOption = None,
    system: SystemOption = None,
    max_tokens: MaxTokensOption = None,
    timeout: TimeoutOption = None,
    stream: Annotated[bool, typer.Option("--stream", help="As a stream, which may take longer.")] = False,
    degrade: Annotated[bool, typer.Option("--degrade", help="Go on without what a target lacks.")] = False,
    tags: TagsOption = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    config: ConfigOption = None,
) -> None:
    """Say who would be asked, in which order, who would be passed over and why, and what it may cost. Ask nobody."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": read_question(question)})
    with failures(), open_client(model, config) as client:
        alone = not _consult(client)
        plan = client.explain(
            messages,
            stream=stream,
            max_tokens=max_tokens,
            timeout=timeout,
            degrade=degrade or None,
            tags=tags,
        )
        if json_:
            print(json.dumps(plan.to_dict(), indent=2))  # noqa: T201 - what was asked for
        else:
            _show(plan, alone=alone)
        if plan.first is None:
            _advise(plan)
            raise typer.Exit(1)


def _consult(client: Client) -> bool:
    """What other processes have met counts for this one's first call too, if there is a store that tells it."""
    return client._health.consult(client._setup.chain(None).targets, _CONSULT)  # noqa: SLF001


def _show(plan: Plan, *, alone: bool) -> None:
    width = None if sys.stdout.isatty() else 1000
    Console(width=width, markup=False, emoji=False, highlight=False).print(plan.heading, soft_wrap=True)
    print_table(_table(plan))
    console = stderr()
    for name, why in plan.left_out.items():
        console.print(f"left out: {name}: {why}")
    if alone:
        console.print(
            "as of a new process: without a [store] it does not know what others have met or spent", style="dim"
        )
    if plan.drill is not None:
        warn(console, f"a drill is on, and is not played here: {plan.drill}")


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("", "target", "what would become of it", "at most"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("", "target"))
    for target in plan.targets:
        place = f"\n{target.dialect}\n{target.site} ({target.jurisdiction})"
        table.add_row(
            str(target.position),
            Text.assemble((target.target, "bold"), (plain(place), "dim")),
            Text(plain("\n".join([target.said, *target.doubts])), style="" if target.would_try else "dim"),
            Text("\n".join(_numbers(target, stream=plan.stream))),
        )
    return table


def _numbers(target: PlannedTarget, *, stream: bool) -> Iterator[str]:
    known = target.input
    window = f", of {tokens_in_words(target.window)}" if target.window is not None else ""
    yield f"{known.input_tokens:,} tokens in ({known.low:,} to {known.high:,}{window})"
    yield f"{target.most_output:,} tokens out"
    if target.price_most is not None:
        yield f"{in_short(target.price_most)} (as of {target.price_checked})"
    else:
        yield "free" if target.own else "price not known"
    if target.seconds is not None:
        words = f", {target.first_token:g} s to the first word, {target.idle:g} s between words" if stream else ""
        yield f"{target.seconds:g} s{words}"


def _advise(plan: Plan) -> None:
    console = stderr()
    complain(console, f"nobody would be asked: {plan.error}")
    classes = dict.fromkeys(each.error for each in plan.targets if each.error is not None)
    said = [_ADVICE[name] for name in (plan.error, *classes) if name in _ADVICE]
    for advice in dict.fromkeys(said) or ("add another target to the chain, or name one with -m",):
        console.print(f"  {advice}")

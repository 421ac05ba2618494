"""`llmswitch equivalents`: the nearest models elsewhere, with what would be lost and what it would cost."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from llmswitch import _equivalents
from llmswitch._catalog import CatalogModel, find_model, today
from llmswitch._catalog_words import places_in_words, prices_in_words, tokens_in_words
from llmswitch._equivalents import Equivalent
from llmswitch._reference_rates import reference_rates
from llmswitch._registry import provider

from ._terminal import complain, failures, stderr
from .models import last_day
from .providers import print_table

__all__ = ["equivalents"]


def equivalents(
    target: Annotated[str, typer.Argument(help="provider:model; the catalog need not know the model.")],
    jurisdictions: Annotated[
        list[str] | None,
        typer.Option("--jurisdiction", help="Only sites that keep data there, such as cn; may be given again."),
    ] = None,
    providers: Annotated[
        list[str] | None, typer.Option("--provider", help="Only this provider; may be given again.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Find the nearest model at every other provider, what would be lost by going there, and what it would cost."""
    with failures():
        asked = find_model(target)
        found = _equivalents.equivalents(target, jurisdictions=jurisdictions or None, providers=providers or None)
        if json_:
            print(json.dumps([_as_json(one) for one in found], indent=2))  # noqa: T201 - what was asked for
            return
        print_table(_table(asked, found))
        if not found:
            complain(stderr(), "no other model is known there")
            raise typer.Exit(1)
        _say_how(asked)


def _as_json(one: Equivalent) -> dict[str, Any]:
    return {
        "target": one.target,
        "provider": one.provider,
        "model": one.model,
        "title": one.title,
        "tier": one.tier,
        "context": one.context,
        "max_output": one.max_output,
        "sites": dict(one.sites),
        "prices": [price.model_dump(mode="json") for price in one.prices],
        "lost": [{"field": loss.field, "message": loss.message} for loss in one.lost],
        "unknown": list(one.unknown),
        "retires": str(one.retires) if one.retires is not None else None,
        "checked": str(one.checked) if one.checked is not None else None,
    }


def _table(asked: CatalogModel, found: list[Equivalent]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("model", "tier", "context", "data goes to", "prices", "what would be lost"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "context")
    table.add_row(
        Text.assemble((asked.target, "bold"), last_day(asked, today())),
        Text(asked.tier or "-"),
        Text(tokens_in_words(asked.capabilities.context)),
        Text(places_in_words(asked.sites, provider(asked.provider).site)),
        Text("\n".join(prices_in_words(asked.prices)) or "-"),
        Text("(this is what the others are compared with)", style="dim"),
    )
    for one in found:
        lost = [loss.message for loss in one.lost]
        if one.unknown:
            lost.append(f"not known: {', '.join(one.unknown)}")
        if one.retires is not None:
            lost.append(f"retires {one.retires}")
        table.add_row(
            Text(one.target, style="bold"),
            Text(one.tier or "-"),
            Text(tokens_in_words(one.context)),
            Text(places_in_words(one.sites, provider(one.provider).site)),
            Text("\n".join(prices_in_words(one.prices)) or "-"),
            Text("\n".join(lost) or "nothing that is known"),
        )
    return table


def _say_how(asked: CatalogModel) -> None:
    console = stderr()
    if not asked.listed:
        console.print(f"{asked.target} is not in the catalog: what it can do is taken from its family's name")
    rates = reference_rates()
    console.print(
        "The nearest comes first. Prices: for a million tokens, in the vendor's own currency, never converted. To put "
        f"them in order across currencies, and for that alone: {rates.source}, of {rates.day}."
    )

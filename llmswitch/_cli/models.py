"""`llmswitch models`: every model that the catalog knows, with what it can do and what it costs. No key is needed."""

from __future__ import annotations

import json
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from llmswitch._catalog import CatalogModel, catalog, today
from llmswitch._catalog_words import abilities_in_words, prices_in_words, tokens_in_words
from llmswitch._nearest import nearest
from llmswitch._registry import provider

from ._terminal import complain, failures, stderr
from .providers import print_table

__all__ = ["last_day", "models"]


def models(
    pattern: Annotated[
        str, typer.Argument(help="A part of provider:model, or a pattern such as '*:glm-5*'; all where none is given.")
    ] = "",
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """List the known models: context, abilities, prices in the vendor's own currency, and when they were checked."""
    with failures():
        everything = catalog()
        found = [model for model in everything if _matches(model.target, pattern)]
        if json_:
            print(json.dumps([_as_json(model) for model in found], indent=2))  # noqa: T201 - what was asked for
        elif found:
            print_table(_table(found))
            stderr().print(
                "tools!: a call can be forced. Prices are for a million tokens, in the vendor's own currency."
            )
        if not found:
            complain(stderr(), f"no known model matches {pattern!r}{_hint(pattern, everything)}")
            raise typer.Exit(1)


def _as_json(model: CatalogModel) -> dict[str, Any]:
    """One model. Amounts of money are text, to stay exact; days are in ISO form."""
    able = model.capabilities
    return {
        "target": model.target,
        "provider": model.provider,
        "model": model.id,
        "dialect": model.dialect,
        "tier": model.tier,
        "context": able.context,
        "max_output": able.max_output,
        "sites": dict(model.sites),
        "capabilities": {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in able.model_dump(exclude={"context", "max_output"}).items()
        },
        "prices": [price.model_dump(mode="json") for price in model.prices],
        "default": model.is_default,
        "retires": str(model.retires) if model.retires is not None else None,
        "source": model.source,
        "checked": str(model.checked) if model.checked is not None else None,
    }


def last_day(model: CatalogModel, day: date) -> str:
    """A line that says until when the model is served, or since when it is not; empty where nothing is announced."""
    return "" if model.retires is None else f"\n  {'retired' if model.is_retired(day) else 'until'} {model.retires}"


def _spoken(model: CatalogModel) -> str:
    """A line with the dialect in which it is asked, where its provider has several."""
    return f"\n  by {model.dialect}" if len(provider(model.provider).spoken) > 1 else ""


def _matches(target: str, pattern: str) -> bool:
    target, pattern = target.lower(), pattern.lower()
    return fnmatchcase(target, pattern) if any(sign in pattern for sign in "*?[") else pattern in target


def _hint(pattern: str, everything: list[CatalogModel]) -> str:
    return nearest(pattern, [model.target for model in everything]) or nearest(
        pattern, [model.id for model in everything]
    )


def _table(found: list[CatalogModel]) -> Table:
    day = today()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("model", "tier", "context", "output", "abilities", "prices", "checked"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("context", "output", "checked"))
    for model in found:
        able = model.capabilities
        table.add_row(
            Text.assemble((model.target, "bold"), _spoken(model), last_day(model, day)),
            Text(model.tier or "-"),
            Text(tokens_in_words(able.context)),
            Text(tokens_in_words(able.max_output)),
            Text(abilities_in_words(able)),
            Text("\n".join(prices_in_words(model.prices)) or "-"),
            Text(str(model.checked or "-")),
        )
    return table

"""`llmswitch models`: every model that the catalog knows, with what it can do and what it costs. No key is needed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from llmswitch._catalog import CatalogModel, catalog
from llmswitch._catalog_words import abilities_in_words, prices_in_words, tokens_in_words
from llmswitch._nearest import nearest

from ._terminal import complain, failures, stderr
from .providers import print_table

__all__ = ["as_json", "models"]


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
            print(json.dumps([as_json(model) for model in found], indent=2))  # noqa: T201 - what was asked for
        elif found:
            print_table(_table(found))
            stderr().print(
                "tools!: a call can be forced. Prices are for a million tokens, in the vendor's own currency."
            )
        if not found:
            complain(stderr(), f"no known model matches {pattern!r}{_hint(pattern, everything)}")
            raise typer.Exit(1)


def as_json(model: CatalogModel) -> dict[str, Any]:
    """One model. Amounts of money are text, to stay exact; days are in ISO form."""
    able = model.capabilities
    return {
        "target": model.target,
        "provider": model.provider,
        "model": model.id,
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


def _matches(target: str, pattern: str) -> bool:
    target, pattern = target.lower(), pattern.lower()
    return fnmatchcase(target, pattern) if any(sign in pattern for sign in "*?[") else pattern in target


def _hint(pattern: str, everything: list[CatalogModel]) -> str:
    return nearest(pattern, [model.target for model in everything]) or nearest(
        pattern, [model.id for model in everything]
    )


def _table(found: list[CatalogModel]) -> Table:
    today = datetime.now(UTC).date()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("model", "tier", "context", "output", "abilities", "prices", "checked"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("context", "output", "checked"))
    for model in found:
        able = model.capabilities
        notes = []
        if model.retires is not None:
            notes.append(f"{'retired' if model.is_retired(today) else 'until'} {model.retires}")
        table.add_row(
            Text.assemble((model.target, "bold"), *(f"\n  {note}" for note in notes)),
            Text(model.tier or "-"),
            Text(tokens_in_words(able.context)),
            Text(tokens_in_words(able.max_output)),
            Text(abilities_in_words(able)),
            Text("\n".join(prices_in_words(model.prices)) or "-"),
            Text(str(model.checked or "-")),
        )
    return table

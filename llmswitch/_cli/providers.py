"""`llmswitch providers`: who can be asked, where, with which key. A key's value is never looked at, let alone shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmswitch._config import ProviderConfig
from llmswitch._discovery import discover
from llmswitch._endpoint import check_base_url
from llmswitch._endpoints import same_origin
from llmswitch._errors import ConfigError
from llmswitch._provider import ProviderSpec
from llmswitch._registry import chooses_dialect, provider, provider_names

from ._terminal import failures, stderr, warn

__all__ = ["is_set", "print_table", "providers", "sites_of"]

_OWN = "own"  # the site of an address that the configuration gives


@dataclass(slots=True)
class Site:
    """One address of a provider, and where the data goes that is sent there."""

    name: str
    jurisdiction: str
    base_url: str
    note: str = ""


@dataclass(slots=True)
class Key:
    """Where a key is looked for. `set` is `None` where only using it would tell. `sites`: which it is for."""

    source: str
    set: bool | None
    sites: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """One provider as it is shown. The first of `sites` is the one that is used."""

    name: str
    title: str
    dialect: str
    sites: list[Site]
    key: str
    keys: list[Key]
    default_model: str | None
    checked: date | None
    configured: bool
    retired: str | None = None


def providers(
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """List the providers: sites and jurisdictions, dialect, key variables and whether they are set, default model."""
    with failures():
        rows = list(_rows())
        if json_:
            print(json.dumps([asdict(row) for row in rows], default=str, indent=2))  # noqa: T201 - what was asked for
            return
        print_table(_table(rows))


def print_table(table: Table) -> None:
    """A table to stdout; nothing is cut where no terminal sets a width."""
    Console(width=None if sys.stdout.isatty() else 1000, markup=False, emoji=False).print(table)


def _rows() -> Iterator[Row]:
    loaded = discover()
    configured = loaded.config.providers
    for name in sorted({*provider_names(), *configured}):
        own = configured.get(name)
        where = f"{loaded.source}: providers.{name}"
        if own is not None and own.dialect is not None and not chooses_dialect(name, own.dialect):
            spec = ProviderSpec(name=name, dialect=own.dialect, key="optional")
        else:
            try:
                spec = provider(name)
            except ConfigError as problem:
                warn(stderr(), f"{where}: {problem}")
                continue
        yield _row(spec, own, where)


def _row(spec: ProviderSpec, own: ProviderConfig | None, where: str) -> Row:
    sites, keys = list(_sites(spec, own, where)), list(_keys(spec, own))
    return Row(
        name=spec.name,
        title=spec.title,
        dialect=(own.dialect if own is not None else None) or spec.dialect,
        sites=sites,
        key=spec.key,
        keys=keys,
        default_model=spec.default_model,
        checked=spec.checked,
        configured=own is not None,
        retired=spec.retired,
    )


def sites_of(spec: ProviderSpec, first: str | None = None) -> list[str]:
    """The names of a provider's sites, the one that is used first."""
    return sorted(spec.sites, key=lambda name: name != (first or spec.site))


def is_set(variable: str) -> bool:
    """Whether an environment variable holds anything."""
    return bool(os.environ.get(variable, "").strip())


def _sites(spec: ProviderSpec, own: ProviderConfig | None, where: str) -> Iterator[Site]:
    if own is not None and own.base_url is not None:
        url = check_base_url(own.base_url, where, allow_insecure=own.allow_insecure)
        yield Site(_OWN, own.jurisdiction or "unknown", url)
    elif spec.server is not None:
        yield Site("this machine", "local", "")
    for name in sites_of(spec, own.site if own is not None else None):
        site = spec.sites[name]
        yield Site(name, site.jurisdiction, site.base_url, site.note)


def _keys(spec: ProviderSpec, own: ProviderConfig | None) -> Iterator[Key]:
    reference = own.api_key if own is not None else None
    if reference is not None:
        if reference.env is not None:
            yield Key(reference.env, is_set(reference.env))
        else:
            yield Key(f"file {reference.file}" if reference.file is not None else "a command", None)
        return
    if own is not None and own.base_url is not None and not _is_of(spec, own):
        return  # a vendor's own key is not sent elsewhere
    found: dict[str, Key] = {}
    for name in sites_of(spec, own.site if own is not None else None):
        for variable in spec.sites[name].key_env:
            found.setdefault(variable, Key(variable, is_set(variable))).sites.append(name)
    yield from found.values()


def _is_of(spec: ProviderSpec, own: ProviderConfig) -> bool:
    """Whether the address in the configuration is still on the host of the vendor's site."""
    site = spec.sites.get(own.site or spec.site)
    return site is not None and same_origin(own.base_url or "", site.base_url)


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("provider", "sites (jurisdiction)", "dialect", "key variables", "default model", "checked"):
        most = 48 if heading == "provider" else None  # a note on what has ended is long
        table.add_column(heading, overflow="fold", no_wrap=heading == "checked", max_width=most)
    for row in rows:
        notes = [row.title, "in the configuration" if row.configured else "", row.retired or ""]
        table.add_row(
            Text.assemble((row.name, "bold"), *(f"\n{note}" for note in notes if note)),
            Text("\n".join(_site_words(site) for site in row.sites)),
            Text(row.dialect),
            _key_words(row),
            Text(row.default_model or "-"),
            Text(str(row.checked or "-")),
        )
    return table


def _site_words(site: Site) -> str:
    name = site.base_url if site.name == _OWN else site.name
    return f"{name} ({site.jurisdiction}){f' {site.note}' if site.note else ''}"


def _key_words(row: Row) -> Text:
    if not row.keys:
        return Text("none needed" if row.key == "none" else row.key, style="dim")
    lines = []
    for key in row.keys:
        elsewhere = key.sites and row.sites[0].name not in key.sites
        words = f"{key.source}{f' ({key.sites[0]})' if elsewhere else ''}"
        state = {True: ": set", False: ": not set", None: ""}[key.set]
        lines.append(Text(words + state, style="green" if key.set else "dim"))
    return Text("\n").join(lines)

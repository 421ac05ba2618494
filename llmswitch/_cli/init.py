"""`llmswitch init`: write a configuration for the keys that are in the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from llmswitch._provider import ProviderSpec
from llmswitch._registry import provider, provider_names
from llmswitch._version import __version__

from ._terminal import complain, failures, one_line, stderr
from .local import missing
from .providers import is_set, sites_of

__all__ = ["init"]

_FILE = Path("llmswitch.toml")
_FIRST_CALL = '"Say hello"'


@dataclass(slots=True, frozen=True)
class Found:
    """A provider whose key is in `variable`, for `site`."""

    spec: ProviderSpec
    site: str
    variable: str

    @property
    def target(self) -> str:
        """The provider's default model, as a chain names it."""
        return f"{self.spec.name}:{self.spec.default_model}"


def init(
    path: Annotated[Path, typer.Option(dir_okay=False, help="The file to write.")] = _FILE,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
) -> None:
    """Write a configuration with one chain of the providers whose keys are in the environment. No key is written."""
    console = stderr()
    with failures():
        specs = [provider(name) for name in provider_names()]
    found = list(_found(specs))
    local = next(spec for spec in specs if spec.server is not None)
    if path.name == "pyproject.toml":
        raise typer.BadParameter("init writes a file of its own; put its content under [tool.llmswitch] by hand")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write("\n".join(_lines(specs, found, local)) + "\n")
    except FileExistsError:
        complain(console, f"{path} exists; --force replaces it")
        raise typer.Exit(1) from None
    except OSError as problem:
        complain(console, f"{path} can't be written: {problem.strerror}")
        raise typer.Exit(1) from None
    _say_next(path, specs, found, local)


def _found(specs: list[ProviderSpec]) -> Iterator[Found]:
    """One entry for each key: a second provider with the same one would be the same account."""
    taken = set()
    for spec in _askable(specs):
        for site in sites_of(spec):
            variable = next((name for name in spec.sites[site].key_env if is_set(name)), None)
            if variable is not None:
                if variable not in taken:
                    taken.add(variable)
                    yield Found(spec, site, variable)
                break


def _askable(specs: list[ProviderSpec]) -> list[ProviderSpec]:
    """Those that a key is enough for."""
    return [spec for spec in specs if spec.sites and spec.default_model and not spec.retired and not spec.server]


def _lines(specs: list[ProviderSpec], found: list[Found], local: ProviderSpec) -> Iterator[str]:
    yield f"# Written by `llmswitch init` {__version__}. There is no key in here: keys stay where they are."
    yield ""
    yield 'default = "main"  # the chain that is used where none is named'
    yield ""
    yield "[chains.main]"
    yield "targets = [  # tried in this order until one answers"
    own = f'"{local.name}:{local.default_model}",  # {one_line(local.title)}'
    for each in found:
        place = f"site {each.site}, {each.spec.sites[each.site].jurisdiction}; key in {each.variable}"
        yield f"    {json.dumps(each.target)},  # {one_line(each.spec.title)}: {place}"
    if found:
        yield f"    # {own}; only where you want it as the last resort"
    else:
        yield "    # No key was found in the environment."
        yield f"    {own}; answers on this machine"
    yield "]"
    yield "# timeout = 60              # seconds for the whole chain"
    yield "# first_token_timeout = 30  # seconds to the first piece of an answer"
    for each in found:
        if each.site != each.spec.site:
            yield ""
            yield f"[providers.{each.spec.name}]"
            yield f"site = {json.dumps(each.site)}  # the key in {each.variable} is for this site"
    if not found:
        yield ""
        yield "# With one of these variables set, `llmswitch init --force` writes a chain of vendors:"
        yield from (f"#   {line}" for line in _wanted(specs))
    yield from _examples(specs, found, local)


def _wanted(specs: list[ProviderSpec]) -> list[str]:
    """A line for each vendor: the best variable of each of its sites."""
    lines = []
    for spec in _askable(specs):
        variables = dict.fromkeys(spec.sites[site].key_env[0] for site in sites_of(spec) if spec.sites[site].key_env)
        if variables:
            lines.append(f"{' or '.join(variables)}: {one_line(spec.title)}")
    return lines


def _examples(specs: list[ProviderSpec], found: list[Found], local: ProviderSpec) -> Iterator[str]:
    """Commented examples, of providers that have no table yet: TOML allows a table once."""
    taken = {each.spec.name for each in found if each.site != each.spec.site}
    example = max(
        (spec for spec in _askable(specs)),
        key=lambda spec: (spec.name not in taken, len(spec.sites) > 1),
        default=local,
    )
    sites = sites_of(example)
    yield ""
    yield "# Examples: take the # away from the lines of one."
    yield ""
    yield f"# Another of a vendor's sites ({', '.join(sites)}), and where its key is:"
    yield f"# [providers.{example.name}]"
    yield f"# site = {json.dumps(sites[1] if len(sites) > 1 else example.site)}"
    yield '# api_key = { env = "MY_KEY" }              # or one of these:'
    yield '# api_key = { file = "/run/secrets/my-key" }'
    yield '# api_key = { command = ["pass", "my-key"] }  # only in a file named by --config or LLMSWITCH_CONFIG,'
    yield "#                                             # or in your own configuration folder"
    yield ""
    yield "# A server of your own, which a chain then names as my-server:MODEL:"
    yield "# [providers.my-server]"
    yield f"# dialect = {json.dumps(local.dialect)}"
    yield '# base_url = "http://10.0.0.5:8000/v1"'
    yield '# api_key = { env = "MY_SERVER_KEY" }  # where it asks for one'


def _say_next(path: Path, specs: list[ProviderSpec], found: list[Found], local: ProviderSpec) -> None:
    named = "" if path == _FILE and not os.environ.get("LLMSWITCH_CONFIG") else f"--config {path} "
    if found:
        typer.echo(f"wrote {path}, with the chain {', '.join(each.target for each in found)}")
        if len(found) == 1:
            typer.echo("There is one key, so there is nothing to fall back on: a second provider's key changes that.")
    else:
        typer.echo(f"wrote {path}. No key is set, so its chain holds {local.name}:{local.default_model} alone:")
        typer.echo(
            f"{one_line(local.title)}; expect mistakes. For a real one set a key and run this again with --force:"
        )
        for line in _wanted(specs):
            typer.echo(f"  {line}")
    steps = [f"llmswitch doctor {named}".rstrip()] if found else missing()
    steps.append(f"llmswitch chat {named}{_FIRST_CALL}")
    typer.echo("next: " + "\n      ".join(steps))

"""The names in a configuration: that each leads somewhere, before anybody asks, and which targets are named there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from ._config import ChainConfig, Config, TargetConfig
from ._config_file import Loaded
from ._endpoints import Endpoints
from ._errors import ConfigError
from ._provider import ProviderSpec
from ._registry import chooses_dialect, dialect
from ._target import split_target

__all__ = ["check_names", "check_spoken", "named_targets", "targets_of"]

SpecOf: TypeAlias = Callable[[str, str], ProviderSpec]
"""The provider of that name, which stands in that place. Raises `ConfigError`, which names the place."""


def targets_of(chain: ChainConfig) -> list[str]:
    """The names of its targets, in their order."""
    return [entry.target for _, entry in chain.entries]


def named_targets(config: Config, own: ChainConfig | None) -> frozenset[str]:
    """
    Every `provider:model` that stands in the configuration, in the environment, or in the client's `own` chain.

    A provider alone is not among them: it stands for its default model.
    """
    chains = [*config.chains.values(), *([own] if own is not None else [])]
    lists = [*config.aliases.values(), config.default or "", os.environ.get("LLMSWITCH_MODEL", "")]
    names = [
        *(name for chain in chains for name in targets_of(chain)),
        *(name.strip() for given in lists for name in given.split(",")),
        *(name for key in config.server.keys for name in key.models or ()),
    ]
    return frozenset(name for name in names if ":" in name)


def check_names(loaded: Loaded, endpoints: Endpoints, spec_of: SpecOf) -> None:
    """Every name leads somewhere. Keys are looked for when a chain is first used. Raises `ConfigError`."""
    config, source = loaded.config, loaded.source
    for name, own in config.providers.items():
        if own.dialect is not None and not chooses_dialect(name, own.dialect):
            dialect(own.dialect)
            if own.base_url is None:
                raise ConfigError(f"{source}: providers.{name}: base_url is needed with dialect")
        endpoints.check(spec_of(name, f"{source}: providers.{name}"), own)
    for name, chain in config.chains.items():
        if ":" in name:
            raise ConfigError(f"{source}: chains.{name}: a chain's name can't hold a colon")
        _check_chain(name, chain, loaded, spec_of)
    for name, wanted in config.aliases.items():
        where = f"{source}: aliases.{name}"
        if name in config.chains:
            raise ConfigError(f"{where}: a chain has that name too")
        _check_leads(wanted, where, config, spec_of)
    if config.default is not None:
        _check_leads(config.default, f"{source}: default", config, spec_of)
    if config.passthrough is not None:
        from ._passthrough import check_passthrough

        check_passthrough(loaded)


def _check_leads(wanted: str, where: str, config: Config, spec_of: SpecOf) -> None:
    if wanted not in config.chains:
        for part in wanted.split(","):
            spec_of(split_target(part.strip())[0], where)


def _check_chain(name: str, chain: ChainConfig, loaded: Loaded, spec_of: SpecOf) -> None:
    """A chain that nobody uses yet is looked at too: its mistake is not left for the day on which it is needed."""
    config, where = loaded.config, f"{loaded.source}: chains.{name}"
    if chain.cache and config.cache.kind is None:
        raise ConfigError(
            f'{where}: cache = true needs to know where: set kind = "memory", "disk" or "redis" in [cache]'
        )
    seen = set()
    for _, entry in chain.entries:
        wanted = entry.target
        if wanted in config.chains:
            raise ConfigError(
                f"{where}: {wanted} is a chain; a chain's targets are provider:model{_circle(name, config)}"
            )
        provider_name, model = split_target(wanted)
        spec = spec_of(provider_name, f"{where}: {wanted}")
        check_spoken(spec, entry)
        target = f"{provider_name}:{model or spec.default_model}"
        if target in seen:
            raise ConfigError(f"{where}: {target} is named twice")
        seen.add(target)


def _circle(name: str, config: Config) -> str:
    """Where the chains that a chain names lead back to it: how."""
    way = [name]
    while way[-1] in config.chains and len(way) <= len(config.chains):
        following = [each for each in targets_of(config.chains[way[-1]]) if each in config.chains]
        if not following:
            return ""
        way.append(following[0])
        if way[-1] == name:
            return f" ({' -> '.join(way)} goes round in a circle)"
    return ""


def check_spoken(spec: ProviderSpec, config: TargetConfig) -> None:
    """A target's own dialect is one of its provider's. Raises `ConfigError`."""
    if config.dialect is not None and config.dialect not in spec.spoken:
        raise ConfigError(
            f"{config.target}: {spec.name} can't be asked in the dialect {config.dialect!r}; it has: "
            f"{', '.join(sorted(spec.spoken))}"
        )

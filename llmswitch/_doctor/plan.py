"""Whom to look at: every provider that the configuration names, and every one whose key is in the environment."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from llmswitch._config import Config, ProviderConfig, TargetConfig
from llmswitch._config_file import Loaded
from llmswitch._endpoints import has_key
from llmswitch._errors import ConfigError
from llmswitch._nearest import nearest
from llmswitch._provider import ProviderSpec
from llmswitch._registry import provider, provider_names
from llmswitch._setup import Setup
from llmswitch._target import Target, split_target

__all__ = ["Subject", "plan"]

_NO_MODEL = "-"  # a target has to name one, for a provider of which no chain asks any


@dataclass(slots=True)
class Subject:
    """
    One provider to look at. `targets`: those of the chains; where there are none, `target` still says where it is and
    whose account. `problem`: why there is no target. `outside`: where data would go, though the policy keeps it from
    there; then its key is not looked for. `doubts`: what was warned of while the key was read.
    """

    spec: ProviderSpec
    own: ProviderConfig
    target: Target | None = None
    targets: list[Target] = field(default_factory=list)
    problem: ConfigError | None = None
    outside: str | None = None
    doubts: list[str] = field(default_factory=list)


def plan(loaded: Loaded, setup: Setup, only: Collection[str] = ()) -> list[Subject]:
    """
    The providers, those of the configuration first. `only`: these alone, whether or not they would be looked at
    otherwise. Raises `ConfigError` where one of `only` is none.
    """
    config = loaded.config
    entries: dict[str, list[TargetConfig]] = {}
    for entry in _entries(config):
        entries.setdefault(split_target(entry.target)[0], []).append(entry)
    named = dict.fromkeys([*entries, *config.providers])
    known = dict.fromkeys([*named, *(name for name in _in_environment() if name not in named)])
    for name in only:
        if name not in known and name not in provider_names():
            raise ConfigError(f"no provider is named {name!r}{nearest(name, {*known, *provider_names()})}")
    chosen = [name for name in known if not only or name in only] + [name for name in only if name not in known]
    if not chosen:
        chosen = [spec.name for spec in map(provider, provider_names()) if spec.server is not None]
    return [_subject(setup, config, name, entries.get(name, [])) for name in chosen]


def _entries(config: Config) -> Iterator[TargetConfig]:
    """Every target that a call may get to without naming it itself."""
    for chain in config.chains.values():
        yield from (entry for _, entry in chain.entries)
    for wanted in (config.default, os.environ.get("LLMSWITCH_MODEL"), *config.aliases.values()):
        if wanted and wanted not in config.chains and wanted not in config.aliases:
            yield from (TargetConfig(target=part.strip()) for part in wanted.split(","))


def _in_environment() -> Iterator[str]:
    """Those that a chain would be made of where nothing is configured."""
    for spec in map(provider, provider_names()):
        if spec.key == "required" and spec.default_model is not None and not spec.retired and has_key(spec):
            yield spec.name


def _subject(setup: Setup, config: Config, name: str, entries: list[TargetConfig]) -> Subject:
    own = config.providers.get(name) or ProviderConfig()
    try:
        spec = setup.spec(name)
    except ConfigError as problem:
        return Subject(ProviderSpec(name=name, dialect=""), own, problem=problem)
    subject = Subject(spec, own)
    wanted = entries or [TargetConfig(target=f"{name}:{spec.default_model or _NO_MODEL}")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            places = [setup.place_outside(entry) for entry in wanted]
            subject.outside = next((at.jurisdiction for at in places if at is not None), None)
            targets = [setup.target(entry) for entry, at in zip(wanted, places, strict=True) if at is None]
        except ConfigError as problem:
            subject.problem = problem
        else:
            subject.target = next(iter(targets), None)
            named = {target.name: target for target in targets if target.model != _NO_MODEL}
            subject.targets = list(named.values())
    subject.doubts = [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
    return subject

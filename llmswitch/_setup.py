"""Makes chains of targets out of a configuration: which provider, which site, which key, which adapter."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ._adapter import ModelIdentity
from ._chain import Chain, Group
from ._config import ChainConfig, Config, GroupConfig, ProviderConfig, TargetConfig
from ._config_file import Loaded
from ._config_names import check_names, check_spoken, named_targets, targets_of
from ._endpoints import Endpoints, Location, closed_key, has_key
from ._errors import ConfigError, InvalidRequest, KeyMissing
from ._made_up import Remembered
from ._nearest import nearest
from ._policy import Policy
from ._provider import ProviderSpec
from ._registry import chooses_dialect, is_provider, provider, provider_names
from ._speaking import as_its_author, make_adapter, spoken_by
from ._target import Target, split_target

if TYPE_CHECKING:
    from ._drill import Drill
    from ._passthrough import Passthrough

__all__ = ["Setup"]

SESSION = 3600.0
"""Seconds after its last call for which a session is remembered, where the chain does not say."""


class Setup:
    """
    A configuration in use. Chains and targets are made when first named, then kept; a number of those it does not name.

    Safe to share between threads.
    """

    def __init__(self, loaded: Loaded, inline: str | Sequence[str] | None = None) -> None:
        self._loaded = loaded
        self._config: Config = loaded.config
        self._lock = threading.RLock()
        self._chains: Remembered[str, Chain] = Remembered()
        self._targets: Remembered[str, Target] = Remembered()
        self._endpoints = Endpoints(loaded)
        self._specs: dict[str, ProviderSpec] = {}
        self._excluded: Remembered[str, str] = Remembered()
        self._given = inline
        self._inline = self._inline_chain(inline) if inline is not None else None
        self._named = named_targets(self._config, self._inline[1] if self._inline is not None else None)
        check_names(loaded, self._endpoints, self.spec)

    # What a call names

    def chain(self, model: str | None) -> Chain:
        """
        The chain for `model=`: a chain of the configuration, `provider:model`, or a provider with a default model.

        `None` is the client's own chain. Raises `ConfigError` where the name, or a key that it needs, is missing, and
        `InvalidRequest` for what is no name.
        """
        name: object = "" if model is None else model
        if not isinstance(name, str):
            said = "model must be the name of a chain, or 'provider:model'; several are a chain of the configuration"
            raise InvalidRequest(f"{said}, or of Client([...])", field="model")
        found = self._chains.get(name)
        if found is None:
            with self._lock:
                found = self._chains.get(name)
                if found is None:
                    found = self._make(model)
                    named = not name or name in self._config.chains or name in self._config.aliases
                    self._chains.keep(name, found, named=named)
        return found

    def followed(self, model: str | None) -> tuple[str, ...]:
        """The names that lead from `model=` to its chain, an alias among them; none where nobody has named one."""
        if model is None and self._inline is not None:
            model = self._given if isinstance(self._given, str) else None
        elif model is None:
            model = os.environ.get("LLMSWITCH_MODEL") or self._config.default
        if model is None:
            return ()
        alias = self._config.aliases.get(model)
        return (model,) if alias is None else (model, alias)

    def _make(self, model: str | None) -> Chain:
        if model is None and self._inline is not None:
            return self._chain(self._inline[0], self._inline[1])
        names = self.followed(model)
        if not names:
            return self._without_config()
        model = names[-1]
        if model in self._config.chains:
            return self._chain(model, self._config.chains[model])
        if "," in model:
            return self._chain("inline", ChainConfig.of(*(part.strip() for part in model.split(","))))
        return self._chain(model, ChainConfig.of(model))

    def _inline_chain(self, given: str | Sequence[str]) -> tuple[str, ChainConfig]:
        if isinstance(given, str):
            given = self._config.aliases.get(given, given)
        names = [part.strip() for part in given.split(",")] if isinstance(given, str) else list(given)
        if not names:
            raise ConfigError("the chain is empty: name at least one target, such as 'provider:model'")
        if len(names) == 1 and names[0] in self._config.chains:
            return names[0], self._config.chains[names[0]]
        try:
            return "inline", ChainConfig.of(*names)
        except ValidationError:
            raise ConfigError("the chain is a list of targets, each a text such as 'provider:model'") from None

    def _chain(self, name: str, config: ChainConfig) -> Chain:
        where = f"chains.{name}" if name in self._config.chains else "the chain"
        targets: list[Target] = []
        members: dict[int, dict[Target, float]] = {}
        left_out: dict[str, str] = {}
        abroad: dict[str, Location] = {}
        for step, own in config.entries:
            place = self.place_outside(own)
            if place is not None:  # before its key is looked for: who may not be asked needs none
                abroad[self._full_name(own)] = place
                continue
            try:
                target = self._target(own)
            except KeyMissing as problem:
                provider_name = split_target(own.target)[0]
                if not self._provider_config(provider_name).optional:
                    raise
                left_out[self._full_name(own)] = problem.message
                continue
            if any(target.name == other.name and target.endpoint is other.endpoint for other in targets):
                raise ConfigError(f"{where}: {target.name} is named twice")
            targets.append(target)
            members.setdefault(step, {})[target] = own.weight or 1.0
        if not targets:
            reasons = [*left_out.values(), *([self._forbidden(abroad)] if abroad else [])]
            raise ConfigError(f"{where} has nobody left to ask: {'; '.join(reasons)}")
        if config.on_stream_failure == "continue":
            _check_continues(targets, where)
        for excluded, at in abroad.items():
            self._excluded.keep(excluded, at.jurisdiction, named=excluded in self._named)
        groups = tuple(
            Group(f"{name}|{step}", given.by, tuple(found), tuple(found.values()))
            for step, found in members.items()
            if isinstance(given := config.targets[step], GroupConfig) and len(found) > 1
        )
        sticky = (SESSION if config.sticky is True else config.sticky or None) if groups else None
        left_out.update({name: f"{self._allowed()}, and it is in: {at.jurisdiction}" for name, at in abroad.items()})
        policy = Policy.from_config(config)
        return Chain(name, tuple(targets), policy, config.degrade, groups, sticky, left_out, config.cache)

    def place_outside(self, config: TargetConfig) -> Location | None:
        """Where a target is, if that is none of the places where data may go. Raises `ConfigError`."""
        places = self._config.policy.jurisdictions
        if places is None:
            return None
        spec = self._spec_of(config)
        own = self._provider_config(spec.name)
        at = self._endpoints.location(spec, own)
        further = spec.sent_on_to(split_target(config.target)[1] or spec.default_model or "")
        if further is not None and further not in places:
            return at._replace(jurisdiction=further)
        if at.jurisdiction in places or "unknown" in places:
            at = self._endpoints.with_the_way(spec, own, at)
        return None if at.jurisdiction in places else at

    def _forbidden(self, abroad: Mapping[str, Location]) -> str:
        """Why none of these may be asked, and what could be done about it."""
        places = self._config.policy.jurisdictions or ()
        said = f"{self._allowed()}, and "
        said += ", ".join(f"{target} is in: {at.jurisdiction}" for target, at in abroad.items())
        for target, at in abroad.items():
            name = split_target(target)[0]
            nearer = [site for site, spec in self.spec(name).sites.items() if spec.jurisdiction in places]
            if at.jurisdiction == "unknown":
                said += f'; where you know it, say it: jurisdiction = "…" under [providers.{name}]'
            elif nearer:
                said += f"; {name} has an allowed site: site = {nearer[0]!r} under [providers.{name}]"
        return said

    def _allowed(self) -> str:
        return f"policy.jurisdictions allows {', '.join(self._config.policy.jurisdictions or ())} alone"

    def _full_name(self, config: TargetConfig) -> str:
        provider_name, model = split_target(config.target)
        model = model or self.spec(provider_name).default_model or ""
        return f"{provider_name}:{model}" if model else provider_name

    def excluded(self) -> dict[str, str]:
        """The targets that no chain asks because of the policy, each with the place where its data would have gone."""
        with self._lock:
            return dict(self._excluded)

    def _without_config(self) -> Chain:
        """Nothing was configured: the vendors whose keys are in the environment, or the local model, or advice."""
        names, wanted, local, closed = [], [], None, ""
        for name in provider_names():
            spec = provider(name)
            if spec.server is not None:
                local = spec
            if spec.default_model is None or spec.retired:
                continue
            variables = [key for site in spec.sites.values() for key in site.key_env]
            if spec.auth is None or not spec.auth.general:  # a key of a whole cloud puts nobody into a chain
                wanted += variables[:1]
            closed += closed_key(spec)
            if spec.key == "required" and has_key(spec):
                names.append(name)
        if not names and local is not None and self._can_start(local):
            assert local.server is not None
            warnings.warn(local.server.warning, UserWarning, stacklevel=2)
            names.append(local.name)
        if not names:
            raise ConfigError(
                f"no provider is configured: set a key ({', '.join(dict.fromkeys(wanted))}), or write an "
                "llmswitch.toml (`llmswitch init` helps), or `pip install 'llmswitch[local]'` for a toy model on this "
                f"machine{closed}"
            )
        return self._chain("environment", ChainConfig.of(*names))

    @staticmethod
    def _can_start(spec: ProviderSpec) -> bool:
        assert spec.server is not None
        from importlib.util import find_spec

        return spec.server.needs is None or find_spec(spec.server.needs) is not None

    def targets(self) -> list[Target]:
        """Every target that was made so far, each once."""
        with self._lock:
            return list({target.scope("target"): target for target in self._targets.values()}.values())

    def target(self, wanted: str | TargetConfig) -> Target:
        """The target of that name, or of that entry of a chain, made if need be. Raises `ConfigError`."""
        with self._lock:
            return self._target(TargetConfig.model_construct(target=wanted) if isinstance(wanted, str) else wanted)

    # One target

    def _spec_of(self, config: TargetConfig) -> ProviderSpec:
        if config.target in self._config.chains:
            raise ConfigError(f"{config.target} is a chain; a chain's targets are provider:model")
        return self.spec(split_target(config.target)[0], of=config.target)

    def _target(self, config: TargetConfig) -> Target:
        spec = self._spec_of(config)
        model = split_target(config.target)[1] or spec.default_model or ""
        if not model:
            raise ConfigError(f"{config.target!r} names no model: write {spec.name}:MODEL")
        key = repr(config.model_copy(update={"weight": None}))  # which is no setting of the target's own
        found = self._targets.get(key)
        if found is None:
            found = self._new_target(spec, model, config)
            self._targets.keep(key, found, named=found.named)
        return found

    def _new_target(self, spec: ProviderSpec, model: str, config: TargetConfig) -> Target:
        own = self._provider_config(spec.name)
        endpoint = self._endpoints.get(spec, own)
        identity = ModelIdentity(spec.name, endpoint.account, model)
        where = f"{self._loaded.source}: providers.{spec.name}"
        if config.dialect is not None:
            check_spoken(spec, config)
            own = own.model_copy(update={"dialect": config.dialect})
        return Target(
            provider=spec.name,
            model=model,
            adapter=make_adapter(spec, own, identity, where),
            endpoint=endpoint,
            spec=spec,
            price=spec.price(model, endpoint.site),
            settings=_settings(config),
            first_token_timeout=config.first_token_timeout,
            idle_timeout=config.idle_timeout,
            rate_headers=spec.rate_headers if own.rate_headers is None else own.rate_headers,
            dialect=spoken_by(spec, own, model),
            named=f"{spec.name}:{model}" in self._named or model == spec.default_model,
        )

    def spec(self, name: str, of: str = "") -> ProviderSpec:
        """The provider of that name, from the configuration or built in. Raises `ConfigError` where there is none."""
        found = self._specs.get(name)
        if found is None:
            own = self._config.providers.get(name)
            if own is not None and own.dialect is not None and not chooses_dialect(name, own.dialect):
                found = ProviderSpec(
                    name=name, dialect=own.dialect, title=name, key="optional", **as_its_author(own.dialect)
                )
            elif not name or not is_provider(name):
                known = {*self._config.chains, *self._config.providers, *provider_names()} - {name}
                raise ConfigError(
                    f"{of + ': ' if of else ''}no chain and no provider is named {name!r}{nearest(name, known)}; "
                    "a target is provider:model, and `llmswitch providers` lists the providers"
                )
            else:
                found = provider(name)
            if found.retired:
                raise ConfigError(f"{of or name}: {found.retired}")
            self._specs[name] = found
        return found

    def _provider_config(self, name: str) -> ProviderConfig:
        return self._config.providers.get(name) or ProviderConfig.model_construct()

    # What can be checked before anybody asks

    def check(self) -> None:
        """Make the chain that calls without `model=` use, where one was named. Raises `ConfigError`."""
        named = self._inline or self._config.default or os.environ.get("LLMSWITCH_MODEL")
        if named or not (self._config.chains or self._config.providers):
            self.chain(None)

    def drill(self) -> Drill | None:
        """The outage that is rehearsed: `$LLMSWITCH_DRILL`, or `[drill]`. Raises `ConfigError`."""
        given = os.environ.get("LLMSWITCH_DRILL")
        if not (given or self._config.drill):
            return None
        from ._drill import Drill

        where = "LLMSWITCH_DRILL" if given else f"{self._loaded.source}: drill"
        return Drill.read(given or self._config.drill, self._knows, where)

    def read_drill(self, faults: Mapping[str, str]) -> Drill | None:
        """A drill that begins while calls go on; `None` where no fault is named. Raises `ConfigError`."""
        from ._drill import Drill

        return Drill.read(faults, self._knows, "drill")

    def _knows(self, name: str) -> bool:
        return name in self._config.providers or is_provider(name)

    def check_extra(self, extra: Mapping[str, object]) -> None:
        """Every name in `extra=` is a provider. Raises `InvalidRequest`."""
        for name in extra:
            if not self._knows(name):
                raise InvalidRequest(
                    f"extra: no provider is named {name!r}{nearest(name, provider_names())}", field="extra"
                )

    def named(self, name: str) -> str:
        """
        The name that a program gave as the library takes it. Raises `InvalidRequest` for one that leads nowhere, where
        no alias `*` stands for it.
        """
        config = self._config
        known = name in config.chains or name in config.aliases or ":" in name or "," in name
        if known and name != "*":
            return name
        other = config.aliases.get("*")
        if other is None:
            names = ", ".join(self.names()) or "none"
            raise InvalidRequest(
                f"model: {name[:80]!r} names no chain, no alias and no provider:model (there are: {names}); "
                "[aliases] in the configuration makes it lead somewhere",
                field="model",
            )
        return other

    def passthrough(self) -> Passthrough | None:
        """Where requests go that no chain can answer, if anywhere. Raises `ConfigError`, for a missing key as well."""
        from ._passthrough import read_passthrough

        return read_passthrough(self._loaded)

    def names(self) -> list[str]:
        """What a program may give as a model: chains, aliases, and the targets of chains."""
        config = self._config
        targets = [target for chain in config.chains.values() for target in targets_of(chain)]
        return list(dict.fromkeys([*config.chains, *(name for name in config.aliases if name != "*"), *targets]))


def _settings(config: TargetConfig) -> dict[str, Any]:
    """What a target sets in place of the caller's."""
    given = {name: getattr(config, name) for name in ("max_tokens", "temperature", "top_p", "reasoning")}
    return {name: value for name, value in given.items() if value is not None}


def _check_continues(targets: Sequence[Target], where: str) -> None:
    """A chain that is to go on with broken answers has somebody who does that."""
    if not any(target.adapter.capabilities.prefill for target in targets):
        names = ", ".join(target.name for target in targets)
        raise ConfigError(
            f'{where}: on_stream_failure = "continue" needs a target that goes on with an unfinished answer '
            f'(capabilities.prefill), which none of {names} does; choose "raise" or "restart", or name another one'
        )

"""Every model that the provider files know, with what it can do and what it costs. Read when first asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ._adapter import ModelIdentity
from ._capabilities import Capabilities
from ._config import ProviderConfig
from ._errors import ConfigError
from ._nearest import nearest
from ._prices import Price
from ._provider import ModelTier, ProviderSpec
from ._registry import provider, provider_names
from ._speaking import make_adapter
from ._target import split_target

__all__ = ["CatalogModel", "catalog", "find_model", "models_of", "today"]


@dataclass(slots=True, frozen=True)
class CatalogModel:
    """
    One model at one provider, as it is without any configuration.

    `dialect`: the one in which it is asked. `tier`: its place in the vendor's line when it came out. `retires`: the day
    from which it is no longer served. `sites`: the vendor's, each with its jurisdiction. `prices`: one for each site
    where it differs, in the vendor's own currency. `source` and `checked`: where these facts are from, and when the
    oldest of them was looked up. `listed`: whether the provider's file names the model, or only a family that it is one
    of.
    """

    provider: str
    id: str
    title: str
    dialect: str
    capabilities: Capabilities
    tier: ModelTier | None
    retires: date | None
    sites: Mapping[str, str]
    prices: tuple[Price, ...]
    source: str
    checked: date | None
    is_default: bool
    listed: bool = True

    @property
    def target(self) -> str:
        """`provider:model`."""
        return f"{self.provider}:{self.id}"

    def is_retired(self, day: date) -> bool:
        """Whether the vendor no longer serves it on that day."""
        return self.retires is not None and self.retires <= day


def today() -> date:
    """The day by which models are told to be retired."""
    return datetime.now(UTC).date()


def catalog(providers: Collection[str] | None = None) -> list[CatalogModel]:
    """The known models of these providers, or of all that are not closed. Raises `ConfigError` for an unknown name."""
    return [model for name in (provider_names() if providers is None else providers) for model in models_of(name)]


def models_of(name: str) -> tuple[CatalogModel, ...]:
    """
    The models that a provider's file names: its default, those with a table of their own, those with a price.

    Empty for a provider that its vendor has closed. Raises `ConfigError` where there is no such provider.
    """
    spec = provider(name)
    if spec.retired:
        return ()
    return tuple(_model(spec, model) for model in sorted(_named(spec)))


def find_model(target: str) -> CatalogModel:
    """
    The model of `provider:model`, or a provider's default. One that the file does not name has what its family has.

    Raises `ConfigError` where there is no such provider, or it has no default.
    """
    name, model = split_target(target)
    if name not in provider_names():
        owner = next((known for known in catalog() if known.id == target), None)
        hint = f" (did you mean {owner.target!r}?)" if owner is not None else nearest(name, provider_names())
        raise ConfigError(f"no provider is named {name!r}{hint}; a target is provider:model")
    spec = provider(name)
    if spec.retired:
        raise ConfigError(f"{name}: {spec.retired}")
    model = model or spec.default_model or ""
    if not model:
        raise ConfigError(f"{target!r} names no model: write {name}:MODEL")
    return _model(spec, model)


def _named(spec: ProviderSpec) -> set[str]:
    default = {spec.default_model} if spec.default_model else set()
    return default | {entry.id for entry in spec.models} | {price.model for price in spec.prices}


def _sites(spec: ProviderSpec) -> dict[str, str]:
    """The site that is used by default comes first."""
    if spec.server is not None:
        return {"this machine": "local"}
    names = sorted(spec.sites, key=lambda name: name != spec.site)
    return {name: spec.sites[name].jurisdiction for name in names}


def _model(spec: ProviderSpec, model: str) -> CatalogModel:
    adapter = make_adapter(spec, ProviderConfig(), ModelIdentity(spec.name, "", model), f"providers.{spec.name}")
    prices = tuple(price for price in spec.prices if price.model == model)
    entries = [entry for entry in spec.models if entry.id == model]
    sources = [*(entry.source for entry in entries), *(price.source for price in prices)]
    dates = [*(entry.checked for entry in entries), *(price.checked for price in prices)]
    return CatalogModel(
        provider=spec.name,
        id=model,
        title=spec.title,
        dialect=spec.dialect_of(model),
        capabilities=adapter.capabilities,
        tier=spec.tier(model),
        retires=spec.retires(model),
        sites=_sites(spec),
        prices=prices,
        source="; ".join(dict.fromkeys(filter(None, sources))),
        checked=min(filter(None, dates), default=spec.checked),
        is_default=model == spec.default_model,
        listed=model in _named(spec),
    )

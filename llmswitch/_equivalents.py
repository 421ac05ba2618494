"""The nearest model at every vendor, with what would be lost by going there and what it would cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from math import log2
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from ._catalog import CatalogModel, catalog, find_model, today
from ._errors import ConfigError
from ._losses import Loss, losses
from ._nearest import nearest
from ._prices import Price
from ._provider import ModelTier
from ._reference_rates import reference_rates
from ._registry import provider, provider_names
from ._strict import Place

__all__ = ["Equivalent", "equivalents"]

_TIERS: tuple[ModelTier, ...] = get_args(ModelTier)
_TIER_STEP = 3.0  # as much as images
_UNKNOWN = 0.5  # what is not known may be well or not


@dataclass(slots=True, frozen=True)
class Equivalent:
    """
    The model of one provider that comes nearest to another's.

    `sites`: those where it may be asked, each with its jurisdiction. `prices`: per million tokens, in the vendor's own
    currency, at those sites; empty where none is known. `lost`: what the first model can do and this one can't, the
    weightiest first. `unknown`: what could not be compared. `retires`: the day from which it is no longer served.
    `checked`: when the oldest of these facts was looked up.
    """

    target: str
    provider: str
    model: str
    title: str
    tier: ModelTier | None
    context: int | None
    max_output: int | None
    sites: Mapping[str, str]
    prices: tuple[Price, ...]
    lost: tuple[Loss, ...]
    unknown: tuple[str, ...]
    retires: date | None
    checked: date | None


def equivalents(
    target: str,
    *,
    jurisdictions: str | Collection[str] | None = None,
    providers: str | Collection[str] | None = None,
) -> list[Equivalent]:
    """
    The nearest known model at every other provider, the nearest of all first. No key is needed, and nothing is sent.

    `target`: `provider:model`; the model need not be in the catalog. `jurisdictions`: only sites that keep data there.
    `providers`: only these, the target's own and the embedded model too where they are named. Models that are no longer
    served are left out. Raises `ConfigError` for a provider or a place that there is none of.
    """
    asked = find_model(target)
    places = _places(jurisdictions)
    near = [
        min(found, key=lambda one: (one.distance, *one.tie))
        for name in _names(providers, asked)
        if (found := _candidates(asked, name, places))
    ]
    return [one.equivalent for one in sorted(near, key=lambda one: (one.distance, one.equivalent.target))]


@dataclass(slots=True, frozen=True)
class _Candidate:
    equivalent: Equivalent
    distance: float
    tie: tuple[bool, int, int]  # of equals of one vendor: its default, the larger window, the name without a date


def _candidates(asked: CatalogModel, name: str, places: frozenset[str] | None) -> list[_Candidate]:
    day = today()
    found = []
    for model in reversed(catalog([name])):  # of equals the later name is most often the newer model
        sites = {site: place for site, place in model.sites.items() if places is None or place in places}
        if sites and model.target != asked.target and not model.is_retired(day):
            found.append(_compare(asked, model, sites))
    return found


def _compare(asked: CatalogModel, model: CatalogModel, sites: Mapping[str, str]) -> _Candidate:
    prices = tuple(price for price in model.prices if price.site is None or price.site in sites)
    lost = [*_tier_lost(asked.tier, model.tier), *losses(asked.capabilities, model.capabilities)]
    able = model.capabilities
    facts = {"tier": model.tier, "context": able.context, "max_output": able.max_output}
    unknown = tuple(what for what, value in facts.items() if value is None)
    distance = sum(loss.weight for loss in lost) + _UNKNOWN * len(unknown)
    distance += _tier_gained(asked.tier, model.tier) + _dearer(_amount(asked.prices, asked), _amount(prices, model))
    equivalent = Equivalent(
        target=model.target,
        provider=model.provider,
        model=model.id,
        title=model.title,
        tier=model.tier,
        context=able.context,
        max_output=able.max_output,
        sites=sites,
        prices=prices,
        lost=tuple(sorted(lost, key=lambda loss: -loss.weight)),
        unknown=unknown if prices else (*unknown, "price"),
        retires=model.retires,
        checked=model.checked,
    )
    return _Candidate(equivalent, round(distance, 3), (not model.is_default, -(able.context or 0), len(model.id)))


def _tier_lost(had: ModelTier | None, given: ModelTier | None) -> list[Loss]:
    steps = _steps(had, given)
    return [Loss("tier", f"a {given} model in place of a {had} one", _TIER_STEP * steps)] if steps > 0 else []


def _tier_gained(had: ModelTier | None, given: ModelTier | None) -> float:
    """A greater model is no loss, but it is farther away: it costs more and takes longer."""
    return _TIER_STEP * max(0, -_steps(had, given))


def _steps(had: ModelTier | None, given: ModelTier | None) -> int:
    return 0 if had is None or given is None else _TIERS.index(given) - _TIERS.index(had)


def _amount(prices: tuple[Price, ...], model: CatalogModel) -> float | None:
    """What four million tokens cost, three in and one out, in the currency of the ranking; `None` where not known."""
    usual = provider(model.provider).site
    for price in sorted(prices, key=lambda price: price.site not in (None, usual)):
        rate = reference_rates().per_euro.get(price.currency)
        if rate is not None:
            return float((3 * price.input + price.output) / rate)
    return None


def _dearer(before: float | None, after: float | None) -> float:
    """Each doubling of the price counts, and each halving a little: what costs much less is seldom the like."""
    if after is None:
        return _UNKNOWN
    if before is None:
        return 0.0
    doublings = log2((after or before / 16) / before) if before else 4.0 * (after > 0)
    return min(3.0, 0.75 * doublings) if doublings > 0 else min(1.5, -0.25 * doublings)


def _places(given: str | Collection[str] | None) -> frozenset[str] | None:
    if given is None:
        return None
    names = (given,) if isinstance(given, str) else tuple(given)
    try:
        return frozenset(TypeAdapter(tuple[Place, ...]).validate_python(names))
    except ValidationError as problem:
        said = problem.errors(include_input=False, include_url=False, include_context=False)[0]["msg"]
        raise ConfigError(f"jurisdictions: {said.removeprefix('Value error, ')}") from None


def _names(given: str | Collection[str] | None, asked: CatalogModel) -> list[str]:
    if given is None:
        return [name for name in provider_names() if name != asked.provider and not provider(name).server]
    names = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    for name in names:
        if name not in provider_names():
            raise ConfigError(f"providers: no provider is named {name!r}{nearest(name, provider_names())}")
    return names

"""One target of a chain, `provider:model`, with everything about it that can be prepared before the first call."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ._adapter import Adapter
from ._cooldown import Scope
from ._endpoint import Endpoint
from ._prices import Price
from ._provider import ProviderSpec
from ._rate_headers import RateHeaders
from ._registry import error_rules
from ._reply import Cost, Usage

if TYPE_CHECKING:
    from ._classify import ErrorRules

__all__ = ["Target", "split_target"]

_MILLION = Decimal(1_000_000)


@dataclass(slots=True, eq=False)
class Target:
    """
    A model at an endpoint. `settings` stand in place of the caller's; timeouts are seconds, `None` the chain's.
    `dialect`: the name of the one that it is asked in. `named`: by a configuration; else only by who asked for it.
    """

    provider: str
    model: str
    adapter: Adapter
    endpoint: Endpoint
    spec: ProviderSpec
    price: Price | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    rate_headers: tuple[RateHeaders, ...] = ()
    dialect: str = ""
    named: bool = True
    _scopes: dict[str, str] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)

    def scope(self, scope: Scope) -> str:
        """The key under which health is kept at that scope. It holds no secret."""
        if not self._scopes:
            endpoint = f"{self.endpoint.origin}|{self.endpoint.proxy.scope if self.endpoint.proxy is not None else ''}"
            account = f"{endpoint}|{self.endpoint.account}"
            self._scopes.update(endpoint=endpoint, account=account, target=f"{account}|{self.model}")
        return self._scopes[scope]

    @property
    def scope_hashes(self) -> Mapping[str, str]:
        """A hash for each scope, since its key names hosts and proxies: for the trail of attempts."""
        if not self._hashes:
            for scope in ("endpoint", "account", "target"):
                self._hashes[scope] = hashlib.sha256(self.scope(scope).encode()).hexdigest()[:12]
        return self._hashes

    @property
    def name(self) -> str:
        """`provider:model`."""
        return f"{self.provider}:{self.model}"

    @property
    def rules(self) -> ErrorRules:
        """How this vendor's failures are classified. Read when the first one happens, for all of his models."""
        found = self.endpoint.rules
        if found is None:
            found = self.endpoint.rules = error_rules(self.spec)
        return found

    def cost(self, usage: Usage, at: datetime | None = None) -> Cost | None:
        """What the usage costs by the catalog, at that moment (now); `None` where price or usage is not known."""
        price = self.price
        if price is None or usage.input_tokens is None or usage.output_tokens is None:
            return None
        rates = price.rates(usage.input_tokens, at or datetime.now(UTC))
        if rates is None:
            return None
        cached = usage.cached_tokens or 0
        written = usage.cache_write_tokens or 0
        plain = usage.input_tokens - cached - written
        thinking = rates.output_thinking if usage.reasoning_tokens else None
        amount = (
            plain * rates.input
            + cached * (rates.input if rates.cached is None else rates.cached)
            + written * (rates.input if rates.cache_write is None else rates.cache_write)
            + usage.output_tokens * (rates.output if thinking is None else thinking)
        )
        return Cost(amount / _MILLION, price.currency)

    @property
    def other_sites(self) -> str:
        """What to set where the key is one of another site of this vendor's; empty where no other takes other keys."""
        here, sites = self.endpoint.site, self.spec.sites
        site = sites.get(here)
        if site is None or not self.endpoint.base_url.startswith(site.base_url):
            return ""
        others = [name for name, other in sites.items() if (other.account or name) != (site.account or here)]
        if not others:
            return ""
        also = f" (or {', '.join(others[1:])})" if others[1:] else ""
        return (
            f'a key of another site does not work at site "{here}"; if yours is of that site, set '
            f'site = "{others[0]}"{also} under [providers.{self.provider}]'
        )

    def __repr__(self) -> str:
        return f"Target({self.name})"


def split_target(name: str) -> tuple[str, str]:
    """`provider:model` at the first colon; the model is empty where there is none."""
    provider, _, model = name.partition(":")
    return provider, model

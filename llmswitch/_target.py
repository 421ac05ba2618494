"""One target of a chain, `provider:model`, with everything about it that can be prepared before the first call."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ._adapter import Adapter
from ._classify import ErrorRules
from ._cooldown import Scope
from ._endpoint import Endpoint
from ._provider import Price, ProviderSpec
from ._registry import error_rules
from ._reply import Cost, Usage

__all__ = ["Target", "split_target"]

_MILLION = Decimal(1_000_000)


@dataclass(slots=True, eq=False)
class Target:
    """A model at an endpoint. `settings` stand in place of the caller's; timeouts are seconds, `None` the chain's."""

    provider: str
    model: str
    adapter: Adapter
    endpoint: Endpoint
    spec: ProviderSpec
    price: Price | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    _rules: ErrorRules | None = None
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
        """How this vendor's failures are classified. Read when the first one happens."""
        if self._rules is None:
            self._rules = error_rules(self.spec)
        return self._rules

    def cost(self, usage: Usage) -> Cost | None:
        """What the usage costs by the catalog; `None` where the price or the usage is not known."""
        price = self.price
        if price is None or usage.input_tokens is None or usage.output_tokens is None:
            return None
        cached = usage.cached_tokens or 0
        written = usage.cache_write_tokens or 0
        plain = usage.input_tokens - cached - written
        amount = (
            plain * price.input
            + cached * (price.input if price.cached is None else price.cached)
            + written * (price.input if price.cache_write is None else price.cache_write)
            + usage.output_tokens * price.output
        )
        return Cost(amount / _MILLION, price.currency)

    def __repr__(self) -> str:
        return f"Target({self.name})"


def split_target(name: str) -> tuple[str, str]:
    """`provider:model` at the first colon; the model is empty where there is none."""
    provider, _, model = name.partition(":")
    return provider, model

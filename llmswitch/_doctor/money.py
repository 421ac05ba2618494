"""What is left: of the money, where the vendor tells, and of the tokens that he gave away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from llmswitch import _errors
from llmswitch._grants import label_of
from llmswitch._limits import GrantConfig
from llmswitch._provider import BalanceSpec
from llmswitch._window import zone_of

from .asking import Heard
from .models import pointed
from .report import Check

__all__ = ["balance_check", "balance_spec", "grant_checks"]

_SOON = 14  # days
_CONSOLE = "top the account up in the vendor's console"


def balance_spec(spec: BalanceSpec | None, site: str) -> BalanceSpec | None:
    """Where this site tells a balance; `None` where it does not."""
    return spec if spec is not None and (not spec.currency or site in spec.currency) else None


def balance_check(spec: BalanceSpec, site: str, heard: Heard) -> Check:
    """What the vendor says is left."""
    if isinstance(heard.error, (_errors.Arrears, _errors.QuotaExhausted)):
        return Check("balance", "fail", heard.error.message, _CONSOLE)
    entries = pointed(heard.body, spec.each) if spec.each else [heard.body]
    if heard.error is not None or not isinstance(entries, list):
        said = f": {heard.error.message}" if heard.error is not None else ""
        return Check("balance", "skipped", f"the vendor does not tell this key{said}", "look at the vendor's console")
    found = [_amount(spec, site, entry) for entry in entries]
    amounts = [each for each in found if each is not None]
    if not amounts and any(_is_null(spec, entry) for entry in entries):
        return Check("balance", "ok", f"no bound is set on {spec.of}", facts={"balances": []})
    if not amounts:
        return Check("balance", "skipped", "what came tells no balance", "look at the vendor's console")
    words = ", ".join(f"{amount:f} {currency}".strip() for amount, currency in amounts)
    facts = {"balances": [{"amount": f"{amount:f}", "currency": currency} for amount, currency in amounts]}
    if max(amount for amount, _ in amounts) <= 0:
        return Check("balance", "fail", f"{words} left of {spec.of}", _CONSOLE, facts)
    return Check("balance", "ok", f"{words} left of {spec.of}", facts=facts)


def _is_null(spec: BalanceSpec, entry: Any) -> bool:
    """Whether the amount is there, and is none."""
    above, _, name = spec.amount.rpartition("/")
    holder = pointed(entry, above)
    return isinstance(holder, dict) and holder.get(name, "") is None


def _amount(spec: BalanceSpec, site: str, entry: Any) -> tuple[Decimal, str] | None:
    given = pointed(entry, spec.amount)
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        return None
    told = pointed(entry, spec.currency_at) if spec.currency_at else spec.currency.get(site, "")
    return (amount, told if isinstance(told, str) else "") if amount.is_finite() else None


def grant_checks(provider: str, grants: tuple[GrantConfig, ...], spent: Mapping[str, int]) -> Iterator[Check]:
    """A line for each grant of the configuration. `spent`: what was used of each, by its label, where that is known."""
    for given in grants:
        zone = zone_of(given.zone)
        left_days = (given.expires - datetime.now(zone).date()).days
        used = spent.get(label_of(provider, given))
        left = None if used is None else max(0, given.tokens - used)
        facts = {"tokens": given.tokens, "left": left, "expires": str(given.expires), "days": left_days}
        much = f"{given.tokens:,} tokens" if left is None else f"{left:,} of {given.tokens:,} tokens left"
        name = f"{much} for {', '.join(given.models)}"
        if left_days < 0:
            todo = "take it out of the configuration, or put the new one there"
            yield Check("grant", "fail", f"{name}: over since {given.expires + timedelta(days=1)}", todo, facts)
        elif left == 0:
            later = (
                "the provider is not asked any more"
                if given.on_exhausted == "stop"
                else "the vendor's price is paid now"
            )
            yield Check("grant", "warn", f"{name}: used up; {later}", "nothing, or another provider's grant", facts)
        elif left_days <= _SOON:
            yield Check(
                "grant", "warn", f"{name}, until {given.expires}: {left_days} days", "use it, or renew it", facts
            )
        else:
            yield Check("grant", "ok", f"{name}, until {given.expires}", facts=facts)

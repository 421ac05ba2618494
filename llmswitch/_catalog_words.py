"""The facts of the catalog in words, as its tables and pages have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ._capabilities import Capabilities
from ._prices import PeakHours, Price, Rates

__all__ = ["abilities_in_words", "places_in_words", "price_in_words", "prices_in_words", "tokens_in_words"]

_ABILITIES = {
    "images": "images",
    "documents": "documents",
    "audio": "audio",
    "tools": "tools",
    "json_object": "JSON",
    "json_schema": "schema",
}


def tokens_in_words(count: int | None) -> str:
    """`131072` as `131k`, `1048576` as `1.05M`; `-` where it is not known."""
    if count is None:
        return "-"
    if count < 1000:
        return str(count)
    return f"{count / 1000:.3g}k" if count < 999_500 else f"{count / 1_000_000:.3g}M"


def abilities_in_words(able: Capabilities) -> str:
    """What it takes and gives, in a few words; `tools!`: a tool call can be forced."""
    forced = bool(able.tool_choice & {"required", "named"})
    words = [
        word + ("!" if field == "tools" and forced else "")
        for field, word in _ABILITIES.items()
        if getattr(able, field)
    ]
    if able.reasoning or able.thinks_unasked:
        words.append("reasoning" if "off" in able.reasoning or not able.thinks_unasked else "reasoning (always)")
    return ", ".join(words)


def prices_in_words(prices: Iterable[Price]) -> list[str]:
    """A line for each price, with its site."""
    return [f"{price_in_words(price)}{f' ({price.site})' if price.site else ''}" for price in prices]


def price_in_words(price: Price) -> str:
    """`CNY 8 in, 28 out`, and what it is beyond a length, at busy hours, and for answers that were thought over."""
    if price.input == price.output == 0:
        said = "free"
    else:
        said = f"{price.currency} {_rates(price)}"
    steps = [f"over {tokens_in_words(tier.over)}: {_rates(tier)}" for tier in price.tiers]
    if price.peak is not None:
        steps.append(f"{_hours(price.peak)}: {_rates(price.peak)}")
    if price.up_to is not None:
        steps.append(f"over {tokens_in_words(price.up_to)}: not known")
    return "; ".join([said, *steps])


def places_in_words(sites: Mapping[str, str], usual: str) -> str:
    """`cn, sg (intl)`: where data may go, each place with the site to set where that is not the usual one."""
    found: dict[str, str] = {}
    for site, place in sorted(sites.items(), key=lambda pair: pair[0] != usual):
        found.setdefault(place, site)
    return ", ".join(place if site in (usual, place) else f"{place} ({site})" for place, site in found.items())


def _rates(rates: Rates) -> str:
    thinking = f" ({_number(rates.output_thinking)} with thinking)" if rates.output_thinking is not None else ""
    return f"{_number(rates.input)} in, {_number(rates.output)} out{thinking}"


def _number(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _hours(peak: PeakHours) -> str:
    spans = ", ".join(f"{start:%H:%M}-{end:%H:%M}" for start, end in peak.hours)
    days = "" if len(peak.days) == 7 else " on weekdays" if peak.days == (1, 2, 3, 4, 5) else " on some days"
    return f"{spans} UTC{days}"

"""What a model costs at a site: by tokens, by the size of the prompt, and by the hour."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from ._strict import Strict

__all__ = ["PeakHours", "Price", "Rates", "Tier"]


class Rates(Strict):
    """
    Per million tokens. What is not known is absent, never 0.

    `output_thinking`: every token that came out, where an answer that was thought over costs more.
    """

    input: Decimal
    output: Decimal
    output_thinking: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None


class Tier(Rates):
    """The rates of a request with more than `over` tokens of input: they hold for all of its tokens."""

    over: Annotated[int, Field(gt=0)]


class PeakHours(Rates):
    """
    The rates at busy hours. `hours` are spans of UTC, each from its first time up to its second; `days` as in ISO
    (1 is Monday). A vendor's public holidays are not known here, so on them the dearer rate is named.
    """

    hours: Annotated[tuple[tuple[time, time], ...], Field(min_length=1)]
    days: tuple[Annotated[int, Field(ge=1, le=7)], ...] = (1, 2, 3, 4, 5, 6, 7)

    def holds(self, at: datetime) -> bool:
        """Whether that moment is a busy one."""
        moment = at.astimezone(UTC)
        return moment.isoweekday() in self.days and any(start <= moment.time() < end for start, end in self.hours)


class Price(Rates):
    """
    A model's price, in the vendor's own currency; by the length of the input or by the hour where it differs.

    `up_to`: tokens of input beyond which the price is not known here.
    """

    model: str
    site: str | None = None
    currency: str
    tiers: tuple[Tier, ...] = ()
    up_to: int | None = None
    peak: PeakHours | None = None
    source: str
    checked: date

    def rates(self, input_tokens: int, at: datetime) -> Rates | None:
        """What holds for a request of that length at that moment; `None` where it is not known."""
        if self.up_to is not None and input_tokens > self.up_to:
            return None
        if self.peak is not None and self.peak.holds(at):
            return self.peak
        reached = [tier for tier in self.tiers if input_tokens > tier.over]
        return max(reached, key=lambda tier: tier.over) if reached else self

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """The most that a request of so many tokens may cost: at whatever hour, cached or not, thought over or not."""
        each: list[Rates] = [self, *(tier for tier in self.tiers if input_tokens > tier.over)]
        if self.peak is not None:
            each.append(self.peak)
        return max(
            input_tokens * max(rates.input, rates.cached or rates.input, rates.cache_write or rates.input)
            + output_tokens * max(rates.output, rates.output_thinking or rates.output)
            for rates in each
        ) / Decimal(1_000_000)

"""The schema of what bounds calls: limits of a vendor's account, budgets of one's own, tokens that are given away."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, model_validator

from ._nearest import nearest
from ._strict import Strict

__all__ = ["LARGEST", "BudgetConfig", "GrantConfig", "KeyBudget", "RateConfig"]

LARGEST = 10**13  # of tokens, or of millionths of a currency: so much a store counts exactly
_MONEY = r"(\d{1,9}(?:\.\d{1,6})?) ([A-Z]{3})"


def _known_zone(name: str) -> str:
    from ._window import zone_of

    try:
        zone_of(name)
    except ValueError as problem:
        from zoneinfo import available_timezones

        near = nearest(name, available_timezones())
        raise ValueError(
            f"{problem}{near or '; if this machine has no data about zones: pip install tzdata'}"
        ) from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
Count = Annotated[int, Field(ge=1, le=LARGEST, strict=True)]


class RateConfig(Strict):
    """
    What an account may send, as its vendor says. Minutes slide; a day begins at midnight in `zone`.

    Tokens are those of the prompt and of the answer together.
    """

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_day: Count | None = None
    zone: Zone = "UTC"

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return any(limit is not None for name, limit in self if name != "zone")


class KeyBudget(Strict):
    """
    A limit of one's own: `limit` is money, such as `"5.00 USD"`, or `tokens` a number of tokens; `per` which stretch of
    the calendar in `zone`, or `"ever"`.

    `fail_open`: where processes share a store that can't be reached, calls go on without the budget.
    """

    limit: str | None = None
    tokens: Count | None = None
    per: Literal["minute", "hour", "day", "month", "ever"]
    zone: Zone = "UTC"
    fail_open: StrictBool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.limit is None) == (self.tokens is None):
            raise ValueError("give exactly one of limit and tokens")
        _ = self.amount
        return self

    @property
    def amount(self) -> tuple[int, str]:
        """How much, and of what: tokens, or millionths of a currency."""
        if self.limit is None:
            return self.tokens or 0, "tokens"
        found = re.fullmatch(_MONEY, self.limit)
        millionths = round(Decimal(found[1]) * 1_000_000) if found is not None else 0
        if found is None or not 1 <= millionths <= LARGEST:
            raise ValueError('limit is an amount of money and its currency, such as "5.00 USD"')
        return millionths, found[2]


class BudgetConfig(KeyBudget):
    """The same for calls to one `provider`, through one `chain`, or with one `tag`; without any of these for all."""

    provider: Annotated[str, Field(min_length=1)] | None = None
    chain: Annotated[str, Field(min_length=1)] | None = None
    tag: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        if sum(scope is not None for scope in (self.provider, self.chain, self.tag)) > 1:
            raise ValueError("give at most one of provider, chain and tag")
        return self


class GrantConfig(Strict):
    """
    Tokens that the vendor gives away, for the models whose names match, until the day `expires` is over in `zone`.

    `on_exhausted`: when they are used up or over, `pay` goes on at the vendor's price; `stop` asks the provider no
    more, so that it can't cost money.
    """

    tokens: Count
    expires: date
    zone: Zone = "UTC"
    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    on_exhausted: Literal["pay", "stop"] = "pay"

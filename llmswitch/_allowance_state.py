"""How much of an allowance is used, as it is shown to a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from ._allowance import Allowance
from ._counters import Counters
from ._window import FOREVER, Calendar, Sliding, Until, steady, zone_of

__all__ = ["RATES", "AllowanceState", "shown", "state_of"]

RATES = ("requests", "tokens")

_KINDS: dict[str, Literal["limit", "budget"]] = {"rate": "limit", "budget": "budget"}


@dataclass(slots=True, frozen=True)
class AllowanceState:
    """
    One limit, budget or grant, as far as it was used. `unit`: `requests`, `tokens`, or a currency. `spent` has what
    calls under way have reserved, and is all of it where the vendor said so; `None` where the store has not told yet.

    `kind`: a `limit` is the vendor's, a `budget` your own, a `grant` what a vendor gives away. `ends`: when its window
    is over, in its own zone; `None` for one that slides, or never ends.
    """

    label: str
    unit: str
    limit: Decimal
    spent: Decimal | None
    kind: Literal["limit", "budget", "grant"] = "budget"
    ends: datetime | None = None

    @property
    def left(self) -> Decimal | None:
        """What is left of it, never less than nothing; `None` where it is not known."""
        return None if self.spent is None else max(Decimal(0), self.limit - self.spent)


def state_of(allowance: Allowance, counters: Counters) -> AllowanceState:
    """How much of it is used, as far as that is known here."""
    seen, now = counters.seen(allowance), steady()
    spent = None if seen is None else shown(allowance, allowance.limit if seen.closed > now else seen.spent)
    kind = "grant" if isinstance(allowance.window, Until) else _KINDS[allowance.kind]
    return AllowanceState(
        allowance.label, allowance.unit, shown(allowance, allowance.limit), spent, kind, _ends(allowance, now)
    )


def shown(allowance: Allowance, amount: int) -> Decimal:
    """An amount in the unit of the allowance."""
    return Decimal(amount) if allowance.unit in RATES else Decimal(amount) / 1_000_000


def _ends(allowance: Allowance, now: int) -> datetime | None:
    window = allowance.window
    if isinstance(window, Sliding):
        return None
    span = window.span(now)
    end = span[1] if span is not None else window.end if isinstance(window, Until) else FOREVER
    if end >= FOREVER:
        return None
    zone = zone_of(window.zone) if isinstance(window, Calendar) else UTC
    return datetime.fromtimestamp(end / 1000, zone)

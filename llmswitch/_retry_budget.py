"""The retry budget of one account: repetitions are paid for, so that an outage is not answered by a storm of them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RetryBudget"]


@dataclass(slots=True, eq=False, repr=False)
class RetryBudget:
    """A bucket of tokens: a repetition costs some, a success gives them back, a clean success gives one."""

    capacity: float = 500.0
    transient: float = 14.0
    throttled: float = 5.0
    tokens: float = 500.0

    def can(self, *, throttled: bool) -> bool:
        """Whether there is enough for one more repetition."""
        return self.tokens >= (self.throttled if throttled else self.transient)

    @property
    def calm(self) -> bool:
        """Whether at least half of it is there."""
        return self.tokens >= self.capacity / 2

    def take(self, *, throttled: bool) -> float:
        """Pay for a repetition; what was paid, to be given back if it succeeds."""
        cost = min(self.throttled if throttled else self.transient, self.tokens)
        self.tokens -= cost
        return cost

    def succeeded(self, paid: float) -> None:
        """A call was answered, after repetitions that cost `paid` (0: without any)."""
        self.tokens = min(self.capacity, self.tokens + (paid or 1.0))

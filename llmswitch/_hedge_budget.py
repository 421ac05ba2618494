"""How many calls may be hedged."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HedgeBudget"]


@dataclass(slots=True, eq=False, repr=False)
class HedgeBudget:
    """A bucket: each answer gives a twentieth of a hedge, so that one call in twenty is hedged at the most."""

    share: float = 0.05
    capacity: float = 5.0
    tokens: float = 0.0

    def answered(self) -> None:
        """There was one more answer."""
        self.tokens = min(self.capacity, self.tokens + self.share)

    def take(self) -> bool:
        """Whether there is a hedge left; it is used up."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

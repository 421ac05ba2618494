"""How long answers usually take to begin, and how many calls may be hedged."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

__all__ = ["HedgeBudget"]

_KEPT = 100  # answers of each target
_ENOUGH = 20  # before that nothing is usual


@dataclass(slots=True)
class HedgeBudget:
    """A bucket: each answer gives a twentieth of a hedge, so that one call in twenty is hedged at the most."""

    share: float = 0.05
    capacity: float = 5.0
    tokens: float = 0.0
    _begun: dict[tuple[str, bool], deque[float]] = field(default_factory=dict)

    def answered(self, key: str, seconds: float, *, stream: bool) -> None:
        """An answer's first word came after so many seconds."""
        self.tokens = min(self.capacity, self.tokens + self.share)
        self._begun.setdefault((key, stream), deque(maxlen=_KEPT)).append(seconds)

    def usual(self, key: str, *, stream: bool) -> float | None:
        """Seconds within which 95 of 100 answers begin; `None` where too few are known."""
        known = self._begun.get((key, stream), ())
        return sorted(known)[int(0.95 * len(known))] if len(known) >= _ENOUGH else None

    def take(self) -> bool:
        """Whether there is a hedge left; it is used up."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

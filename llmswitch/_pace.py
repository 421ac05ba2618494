"""
How many calls of a batch may be in flight: a few at first, more while nobody throttles, half where somebody does. When
the next one may begin at a target, its `rates` say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ._rates import Rates

__all__ = ["Pace"]

_FIRST = 4  # calls in flight at the beginning


@dataclass(slots=True)
class Pace:
    """
    Pure bookkeeping; times are the caller's clock's. At most `most` in flight.

    Until the first throttling each answer makes room for one more, after that each round of answers does. Throttling
    halves the room once for all calls that were in flight when it came: they are one event, not many.
    """

    most: int
    room: float = field(init=False)
    flying: int = 0
    until: float = -math.inf
    rates: Rates = field(default_factory=Rates)
    _steep: bool = True
    _halved: float = -math.inf

    def __post_init__(self) -> None:
        self.room = float(min(_FIRST, self.most))

    def open(self, now: float) -> bool:
        """Whether one more call may begin."""
        return now >= self.until and self.flying < int(self.room)

    def began(self) -> None:
        """A call begins."""
        self.flying += 1

    def ended(self, began: float, now: float, *, answered: bool, throttled: bool) -> None:
        """The call that began then has ended. Where half of the room was free, an answer proves nothing for more."""
        used = self.flying * 2 >= self.room
        self.flying -= 1
        if throttled:
            if began >= self._halved:
                self.room, self._halved, self._steep = max(1.0, self.room / 2), now, False
        elif answered and used:
            self.room = min(float(self.most), self.room + (1.0 if self._steep else 1.0 / self.room))

    def hold(self, until: float) -> None:
        """Nobody begins before then: one wait for all."""
        self.until = max(self.until, until)

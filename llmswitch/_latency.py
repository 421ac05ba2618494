"""How long targets take to begin their answers: what is usual, for hedges; and what it was of late, for the fastest."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["HALF_LIFE", "UNSURE", "Latencies", "Pace"]

_KEPT = 100  # answers of each target
_ENOUGH = 20  # before that nothing is usual
HALF_LIFE = 120.0
"""Seconds after which an answer counts half as much in what was measured of late."""
_MOST = 10.0  # answers that what was measured rests on, however many there were: so that it follows a change
UNSURE = 3.0
"""Answers, older ones counted less, below which a measurement is no more than a hint."""


class Pace(NamedTuple):
    """Seconds to the first word of late, and how many answers that rests on."""

    seconds: float
    answers: float


@dataclass(slots=True, eq=False, repr=False)
class _Record:
    begun: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    mean: float = 0.0
    answers: float = 0.0
    at: float = 0.0

    def left(self, now: float) -> float:
        return float(self.answers * 0.5 ** (max(0.0, now - self.at) / HALF_LIFE))

    def count(self, seconds: float, now: float) -> None:
        left = self.left(now)
        self.mean += (seconds - self.mean) / (left + 1)
        self.answers, self.at = min(_MOST, left + 1), now


class Latencies:
    """Of each target, apart for streams and for whole answers. `now`: seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], _Record] = {}

    def answered(self, key: str, seconds: float, now: float, *, stream: bool) -> None:
        """An answer's first word came after so many seconds."""
        record = self._of(key, stream=stream)
        record.begun.append(seconds)
        record.count(seconds, now)

    def waited(self, key: str, seconds: float, now: float, *, stream: bool) -> None:
        """No answer came of it, and that was as bad as so many seconds."""
        self._of(key, stream=stream).count(seconds, now)

    def usual(self, key: str, *, stream: bool) -> float | None:
        """Seconds within which 95 of 100 answers begin; `None` where too few are known."""
        record = self._known.get((key, stream))
        known = record.begun if record is not None else ()
        return sorted(known)[int(0.95 * len(known))] if len(known) >= _ENOUGH else None

    def pace(self, key: str, now: float, *, stream: bool) -> Pace | None:
        """What it was of late; `None` where nothing was ever measured."""
        record = self._known.get((key, stream))
        return None if record is None or not record.answers else Pace(record.mean, record.left(now))

    def forget(self, key: str) -> None:
        """Know nothing of this target any longer."""
        for stream in (False, True):
            self._known.pop((key, stream), None)

    def _of(self, key: str, *, stream: bool) -> _Record:
        found = self._known.get((key, stream))
        if found is None:
            found = self._known[key, stream] = _Record()
        return found

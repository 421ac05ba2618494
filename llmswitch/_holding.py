"""What is kept from the caller at the beginning of a stream, while the answer may still be left for another target."""

from __future__ import annotations

from ._events import ChatEvent, ReasoningDelta, TextDelta

__all__ = ["Holding"]

_MOST = 1024 * 1024  # characters of thinking that are kept; more is handed over
_PACED = 16  # tokens by which a stream's pace is judged


class Holding:
    """
    `reasoning`: the model's thinking is kept until something else comes, so that a stream that dies while it thinks is
    seen by nobody. `pace`: so many tokens a second have to come; the first 16 are kept, and tell.

    Tokens are counted by events or by four characters, whichever are more: a guess in the vendor's favour.
    """

    __slots__ = ("_characters", "_events", "_paced_by", "_reasoning", "_tokens", "pace")

    def __init__(self, *, reasoning: bool, pace: float | None) -> None:
        self.pace = pace
        self._reasoning = reasoning
        self._events: list[ChatEvent] = []
        self._characters = 0
        self._tokens = 0.0
        self._paced_by: float | None = None

    def take(self, events: list[ChatEvent], now: float) -> list[ChatEvent]:
        """Keep these; what is to be handed over now, which is nothing yet or all of it."""
        if self.pace is not None and self._paced_by is None:
            self._paced_by = now + _PACED / self.pace
        self._events.extend(events)
        for event in events:
            characters = len(event.text) if isinstance(event, (TextDelta, ReasoningDelta)) else 0
            self._characters += characters
            self._tokens += max(1.0, characters / 4)
            self._reasoning = self._reasoning and isinstance(event, ReasoningDelta)
        self._reasoning = self._reasoning and self._characters <= _MOST
        if self._reasoning or (self._paced_by is not None and self._tokens < _PACED):
            return []
        return self.rest()

    def rest(self) -> list[ChatEvent]:
        """All that is kept, which is handed over."""
        events, self._events = self._events, []
        return events

    def by(self) -> float | None:
        """When there have to be enough tokens; `None` where there are, or nobody counts."""
        return self._paced_by if self._tokens < _PACED else None

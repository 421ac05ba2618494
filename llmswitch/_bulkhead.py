"""
How many calls of this process may be in flight at one place, and who waits for a turn.

Pure bookkeeping: the caller holds the lock, and whoever waits is told by a function that must not block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Bulkhead", "Turn"]


class Turn:
    """
    A place in the queue. `granted`: a place in flight is kept for it, until that is used or given back.

    Whoever waits sets `wake`, looks at `granted`, then waits to be woken. `wake` says whether anybody is still there.
    """

    __slots__ = ("granted", "wake")

    def __init__(self) -> None:
        self.granted = False
        self.wake: Callable[[], bool] | None = None


@dataclass(slots=True, eq=False, repr=False)
class Bulkhead:
    """First come, first served. `flying` counts calls, those turns included that were granted and not used yet."""

    limit: int
    flying: int = 0
    queue: deque[Turn] = field(default_factory=deque)

    @property
    def full(self) -> bool:
        """Whether a call that comes now has to wait, be it only behind the others who do."""
        return self.flying >= self.limit

    def admits(self, turn: Turn | None = None) -> bool:
        """Whether a call may begin: it has a place that was kept for it, or there is room."""
        return (turn is not None and turn.granted) or not self.full

    def enter(self, turn: Turn | None = None) -> bool:
        """A call begins, with the place that its turn has kept for it if there is one; whether it may."""
        if turn is not None and turn.granted:
            turn.granted = False
            return True
        if self.full:
            return False
        self.flying += 1
        return True

    def leave(self) -> None:
        """A call has ended: its place is the next one's in the queue."""
        while self.queue and self.flying <= self.limit:
            turn = self.queue.popleft()
            turn.granted = True
            if turn.wake is None or turn.wake():
                return
            turn.granted = False
        self.flying = max(0, self.flying - 1)  # in a forked child a call of the parent's may end

    def wait(self) -> Turn:
        """A place in the queue."""
        turn = Turn()
        self.queue.append(turn)
        return turn

    def give_up(self, turn: Turn) -> None:
        """Wait no more; a place that was kept for it is the next one's."""
        turn.wake = None
        if turn.granted:
            turn.granted = False
            self.leave()
        else:
            try:
                self.queue.remove(turn)
            except ValueError:
                pass  # it was used

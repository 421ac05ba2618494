"""Two lanes that stop in the same turn: one wins, and nothing of the other stays open."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from llmswitch._events import TextDelta
from llmswitch._racing import race_in_tasks, race_in_threads
from llmswitch._wire import Lane, Race, Read


class Driver:
    """Waits with the other one, and notes what becomes of its answer."""

    def __init__(self, together: Any) -> None:
        self.abandoned = self.closed = False
        self._together = together

    def perform(self, _action: object) -> Any:
        return self._together.wait()

    def abandon(self) -> None:
        self.abandoned = True

    def close(self) -> None:
        self.closed = True


def lane() -> Lane:
    """One that has something for the caller as soon as the other has."""
    yield Read(0.0)
    yield [TextDelta("a word")]


def test_in_tasks() -> None:
    """The loser's answer is let go of, although there is no task any more that could be cancelled."""

    async def run() -> list[Driver]:
        made: list[Any] = []
        together = asyncio.Barrier(2)

        def make() -> Any:
            made.append(Driver(together))
            return made[-1]

        raced, winner = await race_in_tasks(Race(lane(), lane, 0.0, lambda _: True, lambda _: None), make)
        await asyncio.sleep(0)
        assert winner is made[raced.winner]
        return [made[raced.winner], made[1 - raced.winner]]

    assert [False, True] == [driver.abandoned for driver in asyncio.run(run())]


def test_in_threads() -> None:
    """The same for a thread that has ended before it is told."""
    made: list[Any] = []
    together = threading.Barrier(2)

    def make() -> Any:
        made.append(Driver(together))
        return made[-1]

    def lost(_number: int) -> None:
        by = time.monotonic() + 5
        while any(thread.name == "llmswitch-hedge" for thread in threading.enumerate()) and time.monotonic() < by:
            time.sleep(0.001)

    raced, winner = race_in_threads(Race(lane(), lane, 0.0, lambda _: True, lost), make)
    assert winner is made[raced.winner]
    assert [False, True] == [made[number].closed for number in (raced.winner, 1 - raced.winner)]

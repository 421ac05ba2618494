"""Carries out a race: two lanes side by side, in tasks or in threads, until one has something for the caller."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from ._events import ChatEvent
from ._wire import Lane, Outcome, Race, Raced

if TYPE_CHECKING:
    from ._async_drive import AsyncDriver
    from ._drive import SyncDriver

__all__ = ["race_in_tasks", "race_in_threads"]

_Task: TypeAlias = asyncio.Task[tuple[list[ChatEvent] | None, Any]]


class _Ended:
    """What is known of the lanes that have stopped, for a winner to be found among them."""

    def __init__(self, race: Race) -> None:
        self._race = race
        self._results: dict[int, Any] = {}

    def stopped(self, number: int, events: list[ChatEvent] | None, result: Any, lanes: int) -> Raced | None:
        """How the race ended, if it has."""
        if events is not None:
            return Raced(number, events, self._results)
        self._results[number] = result
        if self._race.settles(result) or len(self._results) == lanes:
            return Raced(number, None, self._results)
        return None

    def has(self, number: int) -> bool:
        return number in self._results


# In tasks


async def race_in_tasks(race: Race, make: Callable[[], AsyncDriver]) -> tuple[Raced, AsyncDriver]:
    """How the race ended, and the driver that has the winner's answer."""
    drivers: list[AsyncDriver] = []
    lanes: list[Lane] = []
    tasks: list[_Task] = []

    def begin(lane: Lane) -> None:
        drivers.append(make())
        lanes.append(lane)
        tasks.append(asyncio.ensure_future(_run_in_task(lane, drivers[-1])))

    begin(race.first)
    raced: Raced | None = None
    try:
        raced = await _until_decided(race, tasks, begin)
        return raced, drivers[raced.winner]
    except BaseException:  # the caller leaves: whoever has something for him has it in vain
        raced = None
        raise
    finally:
        for number, task in enumerate(tasks):
            if raced is None or number != raced.winner:
                task.add_done_callback(partial(_left, lanes[number], drivers[number]))


def _left(lane: Lane, driver: AsyncDriver, task: _Task) -> None:
    """Nobody wants what a lane came to, maybe in the turn in which another won. To wait here could be cancelled."""
    if not task.cancelled():
        task.exception()  # or the loop would complain that nobody asked for it
    lane.close()
    driver.abandon()


async def _until_decided(race: Race, tasks: list[_Task], begin: Callable[[Lane], None]) -> Raced:
    """How the race ended; whoever lost is over by then, or has been told to be."""
    raced, ended = None, _Ended(race)
    try:
        await asyncio.wait(tasks, timeout=max(0.0, race.after - monotonic()))
        if not tasks[0].done():
            lane = race.second()
            if lane is not None:
                begin(lane)
        while raced is None:
            running = [task for number, task in enumerate(tasks) if not ended.has(number)]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for number, task in enumerate(tasks):  # of two that stopped in the same turn the first one counts
                if raced is None and task.done() and not ended.has(number):
                    raced = ended.stopped(number, *task.result(), len(tasks))
        return raced
    finally:
        losers = [n for n in range(len(tasks)) if not ended.has(n) and (raced is None or n != raced.winner)]
        for number in losers:
            if raced is not None:
                race.lost(number)
            tasks[number].cancel()
        if losers:
            await asyncio.wait([tasks[number] for number in losers])


async def _run_in_task(lane: Lane, driver: AsyncDriver) -> tuple[list[ChatEvent] | None, Any]:
    outcome: Outcome = None
    try:
        while True:
            action = lane.send(outcome)
            if type(action) is list:
                return action, None
            outcome = await driver.perform(action)
    except StopIteration as stop:
        return None, stop.value
    except BaseException:
        lane.close()
        await driver.aclose()
        raise


# In threads


class _Runner:
    """One lane in a thread of its own."""

    def __init__(self, number: int, lane: Lane, driver: SyncDriver, stopped: SimpleQueue[int]) -> None:
        self.driver = driver
        self.events: list[ChatEvent] | None = None
        self.result: Any = None
        self.problem: BaseException | None = None
        self._number, self._lane, self._stopped = number, lane, stopped
        self._turning = threading.Lock()
        self._over = self._left = False
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run,), name="llmswitch-hedge", daemon=True).start()

    def _run(self) -> None:
        outcome: Outcome = None
        try:
            while not self.driver.abandoned:
                action = self._lane.send(outcome)
                if type(action) is list:
                    self.events = action
                    return
                outcome = self.driver.perform(action)
        except StopIteration as stop:
            self.result = stop.value
        except BaseException as problem:  # noqa: BLE001 - it is raised by who waits
            self.problem = problem
        finally:
            with self._turning:
                self._over, left = True, self._left
            if left:
                self._let_go()
            self._stopped.put(self._number)

    def leave(self) -> None:
        """Nobody wants what the lane comes to, or has come to."""
        self.driver.abandon()
        with self._turning:
            self._left, over = True, self._over
        if over:
            self._let_go()

    def _let_go(self) -> None:
        self._lane.close()
        self.driver.close()


def race_in_threads(race: Race, make: Callable[[], SyncDriver]) -> tuple[Raced, SyncDriver]:
    """How the race ended, and the driver that has the winner's answer."""
    stopped: SimpleQueue[int] = SimpleQueue()
    runners = [_Runner(0, race.first, make(), stopped)]
    raced, ended = None, _Ended(race)
    try:
        number = _first_to_stop(stopped, max(0.0, race.after - monotonic()))
        if number is None:
            lane = race.second()
            if lane is not None:
                runners.append(_Runner(1, lane, make(), stopped))
        while raced is None:
            runner = runners[stopped.get() if number is None else number]
            number = None
            if runner.problem is not None:
                raise runner.problem
            raced = ended.stopped(runners.index(runner), runner.events, runner.result, len(runners))
        return raced, runners[raced.winner].driver
    finally:
        for number, runner in enumerate(runners):
            if not ended.has(number) and (raced is None or number != raced.winner):
                if raced is not None:
                    race.lost(number)
                runner.leave()


def _first_to_stop(stopped: SimpleQueue[int], seconds: float) -> int | None:
    try:
        return stopped.get(timeout=seconds)
    except Empty:
        return None

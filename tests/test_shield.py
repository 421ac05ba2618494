"""What a cancellation may interrupt: waits for the network, and nothing that would lose a connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import anyio
import pytest

from llmswitch._network import Clock
from llmswitch._shield import shielded
from tests.rows import rows

Work = Callable[[list[str]], Awaitable[Any]]


async def outcome(
    work: Work, *, cancels: int = 0, closing: bool = False, ends: bool = False, apart: int = 1
) -> tuple[Any, list[str]]:
    """What comes of the work where its task is cancelled so often, or its client closed; and what it noted."""
    noted: list[str] = []
    clock = Clock()

    async def run() -> Any:
        return await shielded(work(noted), clock, closing=closing)  # type: ignore[arg-type]

    task = asyncio.create_task(run())
    await asyncio.sleep(0.01)
    for _ in range(cancels):
        task.cancel("enough")
        for _ in range(apart):
            await asyncio.sleep(0)
    if ends:
        clock.end()
    try:
        return await task, noted
    except (Exception, asyncio.CancelledError) as problem:
        return problem, noted


def of(work: Work, **more: Any) -> tuple[Any, list[str]]:
    return asyncio.run(outcome(work, **more))


async def waiting(noted: list[str]) -> str:
    """Waits, and then closes what it has open, which takes turns and waits of its own."""
    try:
        await asyncio.sleep(30)
    finally:
        noted.append("interrupted")
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        noted.append("closed")
    return "done"


async def turning(noted: list[str]) -> str:
    """Is between two waits, where it must not be interrupted."""
    for _ in range(2000):
        await asyncio.sleep(0)
    noted.append("turned")
    await asyncio.sleep(30)
    return "done"


async def at_once(noted: list[str]) -> str:
    await asyncio.sleep(0.02)
    return "done"


def busy() -> None:
    """What others do in the loop meanwhile."""
    time.sleep(0.005)


def test_undisturbed() -> None:
    """Work that nobody cancels comes to what it would have come to."""
    assert ("done", []) == of(at_once)


def test_an_error_of_its_own() -> None:
    """What work raises comes out."""

    async def failing(noted: list[str]) -> None:
        await asyncio.sleep(0.01)
        raise KeyError("its own")

    assert isinstance(of(failing)[0], KeyError)


@rows("apart", [0, 1, 5])
@rows("cancels", [1, 2, 3])
def test_a_wait_is_interrupted_and_its_closing_is_not(cancels: int, apart: int) -> None:
    """The first cancellation ends the wait; no other one reaches what is closed after it."""
    result, noted = of(waiting, cancels=cancels, apart=apart)
    assert isinstance(result, asyncio.CancelledError)
    assert ["interrupted", "closed"] == noted


def test_between_two_waits_it_is_held_back() -> None:
    """A cancellation between two waits comes at the second one."""
    started = time.monotonic()
    result, noted = of(turning, cancels=1)
    assert isinstance(result, asyncio.CancelledError)
    assert ["turned"] == noted
    assert time.monotonic() - started < 5


def test_a_wait_that_was_just_over() -> None:
    """A cancellation in the turn in which a wait has ended takes nothing away; the next wait is interrupted."""

    async def main() -> tuple[Any, list[str]]:
        noted: list[str] = []
        came: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            noted.append(await came)
            await asyncio.sleep(30)

        async def run() -> None:
            await shielded(work(), Clock())

        task = asyncio.create_task(run())
        await asyncio.sleep(0.01)
        came.set_result("a connection")
        task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0], noted

    result, noted = asyncio.run(main())
    assert isinstance(result, asyncio.CancelledError)
    assert ["a connection"] == noted


def test_the_librarys_own_locks() -> None:
    """A wait for another task of the library, in the middle of its work, is not interrupted; the next wait is."""

    async def main() -> tuple[list[str], int]:
        noted: list[str] = []
        clock, lock = Clock(), asyncio.Lock()

        async def work() -> None:
            clock.open = False
            async with lock:
                noted.append("closed")
            clock.open = True
            await asyncio.sleep(30)

        async def run() -> None:
            await shielded(work(), clock)

        await lock.acquire()
        task = asyncio.create_task(run())
        await asyncio.sleep(0.01)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert [] == noted
        lock.release()
        with pytest.raises(asyncio.CancelledError):
            await task
        return noted, task.cancelling()

    assert (["closed"], 3) == asyncio.run(main())


def test_what_swallows_it_is_cancelled_all_the_same() -> None:
    """Work that turns the cancellation into an error, or into a result, does not hide it."""

    async def swallowing(noted: list[str]) -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            noted.append("swallowed")
        return "done"

    async def turning_it(noted: list[str]) -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise OSError("something else") from None
        return "done"

    for work in (swallowing, turning_it):
        result, _ = of(work, cancels=1)
        assert isinstance(result, asyncio.CancelledError)
        assert ("enough",) == result.args
        assert result.__context__ is None, "it would hold the frames of the HTTP library"


@pytest.mark.parametrize("timer", ["asyncio", "anyio"])
def test_a_timer_of_the_librarys_own_is_no_cancellation(timer: str) -> None:
    """A timer beneath, which cancels its own task and takes that back, is a timeout and nothing else."""

    async def timed(noted: list[str]) -> str:
        try:
            if timer == "asyncio":
                async with asyncio.timeout(0.02):
                    await asyncio.sleep(30)
            else:
                with anyio.fail_after(0.02):
                    await asyncio.sleep(30)
        except TimeoutError:
            noted.append("timed out")
        await asyncio.sleep(0.02)
        return "done"

    assert ("done", ["timed out"]) == of(timed)
    with patch("llmswitch._shield._SECONDS", 0.01):
        assert ("done", ["timed out"]) == of(timed), "what comes after it is not limited as a closing is"


def test_the_callers_timer() -> None:
    """A timer of the caller's own ends as one."""

    async def main() -> list[str]:
        noted: list[str] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await shielded(waiting(noted), Clock())
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.02):
                await shielded(waiting(noted), Clock())
        task = asyncio.current_task()
        assert task is not None
        assert 0 == task.cancelling()
        return noted

    assert ["interrupted", "closed"] * 2 == asyncio.run(main())


def test_closing_is_not_interrupted() -> None:
    """What closes is done before the cancellation comes out, whatever it waits for."""

    async def closing(noted: list[str]) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        noted.append("closed")

    result, noted = of(closing, cancels=3, closing=True)
    assert isinstance(result, asyncio.CancelledError)
    assert ["closed"] == noted


@pytest.mark.parametrize("cancels", [0, 1])
def test_closing_takes_two_seconds_at_most(cancels: int) -> None:
    """What does not end by then is ended, and that is no cancellation where there was none."""

    async def endless(noted: list[str]) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            noted.append("ended")

    with patch("llmswitch._shield._SECONDS", 0.1):
        started = time.monotonic()
        result, noted = of(endless, cancels=cancels, closing=True)
    assert (result is None) if not cancels else isinstance(result, asyncio.CancelledError)
    assert ["ended"] == noted
    assert 0.1 <= time.monotonic() - started < 2


@pytest.mark.parametrize("closing", [False, True])
def test_turns_of_the_loop_are_not_counted(closing: bool) -> None:
    """Closing that only takes turns of the loop is done, however long a busy loop takes for them."""

    async def turning_on(noted: list[str]) -> None:
        try:
            await asyncio.sleep(0 if closing else 30)
        finally:
            for _ in range(10):
                busy()
                await asyncio.sleep(0)
            noted.append("closed")

    with patch("llmswitch._shield._SECONDS", 0.01):
        _, noted = of(turning_on, cancels=2, closing=closing)
    assert ["closed"] == noted


def test_what_closes_after_a_cancellation_takes_two_seconds_at_most() -> None:
    """So is what goes on after a cancellation."""

    async def stubborn(noted: list[str]) -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                noted.append("not yet")

    with patch("llmswitch._shield._SECONDS", 0.1):
        started = time.monotonic()
        result, noted = of(stubborn, cancels=1)
    assert isinstance(result, asyncio.CancelledError)
    assert ["not yet"] * 3 == noted
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("work", [waiting, turning])
def test_a_client_that_is_closed(work: Work) -> None:
    """The wait ends, and it is no cancellation."""
    started = time.monotonic()
    result, noted = of(work, ends=True)
    assert result is None
    assert noted[-1] in ("closed", "turned")
    assert time.monotonic() - started < 5


def test_closed_and_cancelled() -> None:
    """Where both happen it is a cancellation."""
    assert isinstance(of(waiting, ends=True, cancels=1)[0], asyncio.CancelledError)


@pytest.mark.parametrize("closing", [False, True])
def test_thrown_away(closing: bool) -> None:
    """A coroutine that is thrown away in the middle of a wait throws its work away."""
    noted: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            noted.append("ended")

    async def main() -> None:
        inner: Any = shielded(work(), Clock(), closing=closing)
        inner.send(None)
        inner.close()

    asyncio.run(main())
    assert ["ended"] == noted

"""Calls that are abandoned at any moment: nothing they held is lost, and the next call is as if they had not been."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from llmswitch import AsyncClient, Client
from llmswitch._errors import LLMSwitchError
from llmswitch._events import TextDelta
from llmswitch._wire import Exchange
from llmswitch.testing import FakeVendor
from tests.everyday import many
from tests.health.simulator import World
from tests.health.test_chain_simulation import always, committed
from tests.health.vendors import AFTER, BEFORE, Weather
from tests.health.virtual import PROMPT, chain, configuration, keys
from tests.rows import rows

NAMES = ("a-x:m", "a-y:m", "b-x:m", "z-x:always")


@pytest.fixture(autouse=True)
def _collected_between_the_calls() -> Iterator[None]:
    """Health's lock can't stand the collector (test_health.py shows it), so it runs where a test says so."""
    gc.disable()
    yield
    gc.enable()


# The exchange by itself


def _close(steps: Exchange) -> None:
    """What a sync stream does, and what the end of a frame does."""
    steps.close()


def _throw(kind: type[BaseException]) -> Callable[[Exchange], None]:
    """What a driver does that is interrupted."""

    def leave(steps: Exchange) -> None:
        with pytest.raises(kind) as caught:
            steps.throw(kind("made up"))
        assert kind is caught.type

    return leave


LEAVES: dict[str, Callable[[Exchange], None]] = {
    "closed": _close,
    "cancelled": _throw(asyncio.CancelledError),
    "interrupted": _throw(KeyboardInterrupt),
}


def stormy(seed: int) -> World:
    """A chain whose targets keep falling ill, but for the last one."""
    rng = random.Random(seed)
    kinds = [*BEFORE, *AFTER]
    ill = {name: Weather.drawn(rng, 1000.0, 5000.0, kinds, well_for=20.0) for name in NAMES[:-1]}
    return World(chain(*NAMES), {**ill, NAMES[-1]: always("well")}, seed=seed)


def abandon(cancellations: int, how: str) -> None:
    """So many calls that are left after a random number of actions, each followed by one that is not."""
    done = 0
    for seed in range(cancellations):
        world = stormy(seed)
        rng = random.Random(seed)
        for _ in range(min(100, cancellations - done)):
            world.call(stream=rng.random() < 0.5, leave=LEAVES[how], leave_after=rng.randrange(25))
            done += 1
            assert 0 == world.in_flight()
            for target, shown in zip(NAMES, world.health.show(world.chain.targets), strict=True):
                assert target == shown.target
                if shown.state == "half_open":
                    refusal = world.health.refusal(world.chain.targets[NAMES.index(target)])
                    assert refusal is None, "a lease is held by nobody"
            following = world.call(stream=rng.random() < 0.5)
            assert following.reply is not None or committed(following)
            world.clock.tick(rng.uniform(0.0, 5.0))
        if done == cancellations:
            return


@rows("how", LEAVES)
def test_an_exchange_may_be_left_at_any_action(how: str) -> None:
    """At whatever action a call is left: nothing is in flight, no probe's lease is held, the next call is answered."""
    abandon(100, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", LEAVES)
def test_an_exchange_may_be_left_thousands_of_times(how: str) -> None:
    """The same for 1,800 calls in all."""
    abandon(many(600), how)


def test_a_cancelled_call_says_nothing_against_its_target() -> None:
    """A hundred calls that were left while a target was silent do not open its breaker."""
    world = World(chain("a-x:m"), {"a-x:m": always("silent")})
    for number in range(100):
        world.call(leave=_close, leave_after=1 + number % 2)
    assert ["ok"] == [shown.state for shown in world.health.show(world.chain.targets)]


def test_an_exchange_that_never_began_holds_nothing() -> None:
    """Nothing is admitted before the first action is asked for."""
    world = World(chain("a-x:m"), {"a-x:m": always("well")})
    world.call(leave=_close, leave_after=0)
    assert 0 == world.in_flight()
    assert [] == world.served


# The async client, in one loop


class Body(httpx.AsyncByteStream):
    """Comes piece by piece, with a turn of the loop or some before each; `open` counts those that were not closed."""

    def __init__(self, pieces: Sequence[bytes], turns: Callable[[], int], open_: Counter[str], *, breaks: bool) -> None:
        self._pieces, self._turns, self._open, self._breaks = pieces, turns, open_, breaks
        self._open["bodies"] += 1

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await turn(self._turns())
            yield piece
        if self._breaks:
            raise httpx.ReadError("made up")

    async def aclose(self) -> None:
        self._open["bodies"] -= 1


async def turn(times: int) -> None:
    """Let others go on so many times."""
    for _ in range(times):
        await asyncio.sleep(0)


class Vendor(FakeVendor):
    """Takes its time, and fails one request in four, save at the host that always answers."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(lambda _request: httpx.Response(500))
        self.open: Counter[str] = Counter()
        self._rng = rng

    def _turns(self) -> int:
        return self._rng.randrange(4)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await turn(self._turns())
        luck = 1.0 if request.url.host == "z.local" else self._rng.random()
        if luck < 0.05:
            raise httpx.ConnectError("made up")
        if luck < 0.15:
            body = Body([b'{"error": {"message": "it went wrong"}}'], self._turns, self.open, breaks=False)
            return httpx.Response(500, headers={"content-type": "application/json"}, stream=body)
        streamed = b'"stream":true' in request.content.replace(b" ", b"")
        pieces = _SSE if streamed else _JSON
        body = Body(pieces[: 1 if luck < 0.25 else None], self._turns, self.open, breaks=luck < 0.25)
        kind = "text/event-stream" if streamed else "application/json"
        return httpx.Response(200, headers={"content-type": kind}, stream=body)


_SSE = [
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello, "}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"world."},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
_JSON = [
    b'{"choices":[{"index":0,"message":{"role":"assistant",',
    b'"content":"Hello, world."},"finish_reason":"stop"}]}',
]


def client_of(vendor: Vendor) -> AsyncClient:
    with patch.dict(os.environ, keys(NAMES)):
        return AsyncClient.from_config(configuration(NAMES), http_client=vendor)


async def ask(client: AsyncClient, how: int) -> str:
    """A whole answer, a stream, or a stream that is left after its first word."""
    if how == 0:
        return (await client.chat(PROMPT)).text
    text = ""
    async with client.stream(PROMPT) as stream:
        async for event in stream:
            text += event.text if isinstance(event, TextDelta) else ""
            if how == 2 and text:
                return "Hello, world."
    return text


async def wave(client: AsyncClient, rng: random.Random, size: int) -> Counter[str]:
    """Calls at once, each cancelled at a turn of its own, some of them twice; what became of them."""
    tasks = [asyncio.create_task(ask(client, number % 3)) for number in range(size)]
    ends: dict[int, list[asyncio.Task[str]]] = {}
    for task in tasks:
        at = rng.randrange(20)
        ends.setdefault(at, []).append(task)
        if rng.random() < 0.3:
            ends.setdefault(at + rng.randrange(3), []).append(task)
    for now in range(23):
        for task in ends.get(now, ()):
            task.cancel()
        await turn(1)
    found: Counter[str] = Counter()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(end, (str, asyncio.CancelledError, LLMSwitchError)), repr(end)
        assert not isinstance(end, str) or end == "Hello, world."
        found["cancelled" if isinstance(end, asyncio.CancelledError) else type(end).__name__] += 1
    return found


async def storm(cancellations: int, seed: int) -> None:
    """Waves of calls until so many were cancelled; after each, the books are even and the next call is answered."""
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    while found["cancelled"] < cancellations:
        vendor = Vendor(rng)
        client = client_of(vendor)
        for _ in range(10):
            found += await wave(client, rng, 200)
            await turn(5)  # the loop itself holds what it has just run
            gc.collect()
            assert [0] * len(NAMES) == [shown.in_flight for shown in client.health()]
            assert +vendor.open == Counter(), "answers were left open"
            for how in range(3):
                assert "Hello, world." == await patient(client, how)
            if found["cancelled"] >= cancellations:
                break
    assert found["str"] > cancellations // 20, "too few got through for this to mean anything"


async def patient(client: AsyncClient, how: int) -> str:
    """A call that is not cancelled. A stream may break after its first word, which is said; then it is asked again."""
    for _ in range(20):
        try:
            return await ask(client, how)
        except LLMSwitchError as error:
            if how == 0 or getattr(error, "partial", None) is None:
                raise
    raise AssertionError("twenty streams in a row broke")


@pytest.fixture
def _waits_are_turns() -> Iterator[None]:
    """A wait between attempts is a few turns of the loop, in which it can be cancelled."""

    async def sleep(_seconds: float) -> None:
        await turn(3)

    with patch("llmswitch._async_drive.async_sleep", sleep):
        yield


@pytest.mark.usefixtures("_waits_are_turns")
def test_tasks_may_be_cancelled_at_any_turn() -> None:
    """Nothing is in flight afterwards and no answer is open, however many calls were cancelled, once or twice."""
    asyncio.run(storm(100, seed=5))


@pytest.mark.slow
@pytest.mark.usefixtures("_waits_are_turns")
@pytest.mark.parametrize("seed", range(3))
def test_tasks_may_be_cancelled_thousands_of_times(seed: int) -> None:
    """The same for 360 cancellations in all."""
    asyncio.run(storm(many(120), seed=seed))


# What is held by an exception that is kept


def test_an_interrupted_call_hands_back_at_once() -> None:
    """What interrupted a sync call may be kept by whoever caught it; the admission is not kept with it."""

    def interrupted(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    with patch.dict(os.environ, keys(NAMES)):
        client = Client.from_config(configuration(NAMES), http_client=FakeVendor(interrupted))
    with pytest.raises(KeyboardInterrupt) as kept:
        client.chat(PROMPT)
    assert 0 == sum(shown.in_flight for shown in client.health())
    assert kept.value is not None


def test_a_cancelled_call_hands_back_at_once() -> None:
    """The same for a task that was cancelled, as `gather` keeps it."""

    async def cancelled() -> tuple[Any, int]:
        client = client_of(Vendor(random.Random(1)))
        task = asyncio.create_task(client.chat(PROMPT))
        await turn(1)
        task.cancel()
        kept = await asyncio.gather(task, return_exceptions=True)
        return kept, sum(shown.in_flight for shown in client.health())

    kept, left = asyncio.run(cancelled())
    assert isinstance(kept[0], asyncio.CancelledError)
    assert 0 == left


@pytest.mark.parametrize("how", [0, 1], ids=["whole", "stream"])
def test_a_second_cancellation_does_not_interrupt_the_closing(how: int) -> None:
    """An answer that is being closed is closed, though the call is cancelled once more meanwhile."""

    class SlowToClose(Body):
        async def aclose(self) -> None:
            await turn(4)
            await super().aclose()

    class SlowVendor(Vendor):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            body = SlowToClose(_SSE if how else _JSON, lambda: 1000, self.open, breaks=False)
            return httpx.Response(200, stream=body)

    async def cancelled_twice() -> Counter[str]:
        vendor = SlowVendor(random.Random(1))
        client = client_of(vendor)
        task = asyncio.create_task(ask(client, how))
        await turn(5)
        assert 1 == vendor.open["bodies"]
        for _ in range(2):
            task.cancel()
            await turn(2)
        await asyncio.wait([task])
        assert task.cancelled()
        await turn(20)
        return vendor.open

    assert 0 == asyncio.run(cancelled_twice())["bodies"]

"""Row 108: two requests for one call, over real sockets."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from llmswitch import AsyncClient
from llmswitch.testing.fault_server import Hang, ReadRequest, Received, Respond
from tests.faults.bench import (
    HEALTHY,
    NOTHING,
    PATIENT,
    PROMPT,
    WAYS,
    Bench,
    Script,
    Way,
    adjust,
    answering,
    in_use,
    refusing,
)

SOON = 0.05


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hedge goes out after 50 ms."""
    monkeypatch.setattr("llmswitch._hedging.SHORTEST", SOON)


LIMITS: dict[str, Any] = {**PATIENT, "hedge": True, "hedge_after": 1}


def open_chain(bench: Bench, script: Script, other: Script | None = None) -> None:
    """T1 and T2, with hedges left, which go out early."""
    bench.t1, bench.t2 = bench.serve(script), bench.serve(other or answering())
    bench.client = bench.client_of(bench.config(bench.t1.url, bench.t2.url, limits=LIMITS))
    adjust(bench.client, hedge_after=SOON)
    bench.client._health._hedging.tokens = 5.0


def hedge_threads() -> list[threading.Thread]:
    """The threads of losers that are not over yet."""
    threads = [thread for thread in threading.enumerate() if thread.name == "llmswitch-hedge"]
    for thread in threads:
        thread.join(1.0)
    return [thread for thread in threads if thread.is_alive()]


def late(seconds: float, script: Script | None = None) -> Script:
    """Answers as this script does, after a while; by default in words of its own."""
    step = (script or answering("the answer of T1"))[1]
    assert isinstance(step, Respond)

    def slowly(request: Received) -> bytes:
        threading.Event().wait(seconds)
        return step.answer(request)

    return [ReadRequest(), Respond(slowly)]


def test_row_108_the_second_overtakes(bench: Bench) -> None:
    """T1 hangs, T2 answers: one answer, one trail of two, and the connection to T1 is closed at once."""
    open_chain(bench, [ReadRequest(), Hang()])
    outcome = bench.ask()
    assert HEALTHY == outcome.text
    assert [("first", "hedge"), ("hedge", None)] == [(each.kind, each.cancelled_by) for each in outcome.attempts]
    assert [True, False] == [each.possibly_billed for each in outcome.attempts]
    assert outcome.seconds < 1.0
    bench.settle()
    assert bench.t1.wait_closed()
    assert [] == hedge_threads()
    assert NOTHING == in_use(bench.client)
    assert [0, 0] == [shown.in_flight for shown in bench.client.health()]


def test_row_108_the_first_wins_late(bench: Bench) -> None:
    """T1 answers while T2 still thinks: its words alone, and T2 is closed."""
    open_chain(bench, late(0.2), [ReadRequest(), Hang()])
    outcome = bench.ask()
    assert "the answer of T1" == outcome.text
    assert [("t1:m", None), ("t2:m", "hedge")] == [(each.target, each.cancelled_by) for each in outcome.attempts]
    bench.settle()
    assert bench.t2.wait_closed()


def test_row_108_both_fail(bench: Bench) -> None:
    """Both refuse: one combined error with both."""
    open_chain(bench, late(0.2, refusing(503)), refusing(529))
    outcome = bench.ask()
    assert outcome.error is not None
    assert "AllTargetsFailed" == type(outcome.error).__name__
    assert ["first", "hedge"] == [each.kind for each in outcome.attempts][:2]


def test_row_108_the_caller_leaves() -> None:
    """A call that is cancelled in the middle of a race leaves nothing behind at either of the two."""
    with ExitStack() as stack:
        bench = Bench(Way(sync=False, stream=False), stack)
        open_chain(bench, [ReadRequest(), Hang()], [ReadRequest(), Hang()])
        client = bench.client
        assert isinstance(client, AsyncClient)

        async def main() -> None:
            task = asyncio.create_task(client.chat(PROMPT))
            assert await asyncio.to_thread(bench.t2.wait_for_requests, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        bench.run(main())
        bench.settle()
        assert bench.t1.wait_closed()
        assert bench.t2.wait_closed()
        assert [0, 0] == [shown.in_flight for shown in client.health()]
        assert NOTHING == in_use(client)


@pytest.mark.parametrize("way", [way for way in WAYS if way.sync], ids=str)
def test_row_108_threads_end(way: Way) -> None:
    """The thread of a loser ends with the call, though its server says nothing more."""
    with ExitStack() as stack:
        bench = Bench(way, stack)
        open_chain(bench, [ReadRequest(), Hang()])
        for _ in range(3):
            bench.ask()
        assert [] == hedge_threads()

"""Counters in the memory of a process: several allowances together or not at all, from many threads, each once."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading

import pytest

from llmswitch._allowance import Denied, Want
from llmswitch._counters import MemoryCounters, Reservation
from llmswitch._window import Calendar
from tests.allowance.play import allowance, rate

BUDGET, RATE, MONTH = allowance(), rate(limit=5), allowance("m", 100, Calendar("month"))


@pytest.fixture
def counters(clock):
    """Counters on a clock that is made up."""
    return MemoryCounters(clock)


def spent(counters, *limits):
    return [counters.seen(limit).spent for limit in limits]


def test_all_or_nothing(counters):
    """Where one allowance has no room nothing is taken of the others, and the one that lasts longest is named."""
    wants = [Want(RATE, 1), Want(BUDGET, 4), Want(MONTH, 4)]
    for _ in range(2):
        assert isinstance(counters.ask(wants, 900).wait(), Reservation)
    denied = counters.ask(wants, 900).wait()
    assert isinstance(denied, Denied)
    assert BUDGET == denied.want.allowance
    assert [2, 8, 8] == spent(counters, RATE, BUDGET, MONTH)
    full = [Want(RATE, 4), Want(BUDGET, 4)]
    assert 12 * 3600 == counters.ask(full, 900).wait().seconds


def test_never_is_longer_than_anything(counters):
    """Of several that have no room the one that never will is named, whatever its place."""
    never, full = Want(allowance("n", 3), 5), [Want(BUDGET, 10)]
    counters.ask(full, 900).wait()
    for wants in ([never, *full], [*full, never]):
        assert None is counters.ask(wants, 900).wait().seconds


def test_settled_once(counters):
    """Whoever settles first has settled; the others change nothing."""
    reservation = counters.ask([Want(BUDGET, 8)], 900).wait()
    counters.settle(reservation, (3,))
    counters.settle(reservation, (8,))
    counters.settle(reservation, (0,))
    assert [3] == spent(counters, BUDGET)


def test_to_settle_takes_no_lock(counters):
    """An abandoned call is ended by the garbage collector, which may run while the lock is held."""
    reservation = counters.ask([Want(BUDGET, 8)], 900).wait()

    class Abandoned:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            counters.settle(reservation, (1,))

    Abandoned()
    with counters._lock:
        gc.collect()
    assert [1] == spent(counters, BUDGET)


def test_shut_and_opened(counters, clock):
    """What the vendor says is used up gives out nothing until his time, or until it is opened by hand."""
    counters.shut(RATE, 30.0)
    assert 30.0 == counters.ask([Want(RATE, 1)], 900).wait().seconds
    counters.shut(RATE, 0)
    assert isinstance(counters.ask([Want(RATE, 1)], 900).wait(), Reservation)
    counters.shut(BUDGET, None)
    clock.tick(12 * 3600 - 1)
    assert 1.0 == counters.ask([Want(BUDGET, 1)], 900).wait().seconds
    clock.tick(1)
    assert isinstance(counters.ask([Want(BUDGET, 1)], 900).wait(), Reservation)


def test_a_thousand_calls_at_once(counters):
    """Row 106 in one process: of 1,000 calls at once on a budget for 10 exactly 10 are admitted."""
    admitted, barrier = [], threading.Barrier(50)

    def calls():
        barrier.wait()
        for _ in range(20):
            answer = counters.ask([Want(BUDGET, 1), Want(MONTH, 1)], 900).wait()
            if isinstance(answer, Reservation):
                admitted.append(answer)
                counters.settle(answer, (1, 1))

    threads = [threading.Thread(target=calls) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 10 == len(admitted)
    assert [10, 10] == spent(counters, BUDGET, MONTH)


def test_threads_that_settle_and_release(counters):
    """However calls of many threads mix, what is counted in the end is the sum of what they came to."""
    wide = allowance("w", 10**9)
    sums = []

    def calls(seed):
        chance, total = random.Random(seed), 0
        for _ in range(200):
            reservation = counters.ask([Want(wide, 50), Want(wide, 1)], 900).wait()
            actual = chance.randint(0, 70)
            total += actual + 1
            counters.settle(reservation, (actual, 1))
        sums.append(total)

    threads = [threading.Thread(target=calls, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(sums)] == spent(counters, wide)


def test_awaited_without_a_loop_turn(counters):
    """In memory there is nothing to wait for: the answer is there at once, with or without a loop."""

    async def ask():
        return await counters.ask([Want(BUDGET, 1)], 900).awaited()

    assert isinstance(asyncio.run(ask()), Reservation)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork(counters):
    """What was spent stays spent; what is in flight is the parent's, and its end means nothing to the child."""
    kept = counters.ask([Want(BUDGET, 3)], 900).wait()
    counters.settle(kept, (3,))
    flying = counters.ask([Want(BUDGET, 5)], 900).wait()
    counters.after_fork()
    assert [3] == spent(counters, BUDGET)
    counters.settle(flying, (5,))
    assert [3] == spent(counters, BUDGET)
    child = counters.ask([Want(BUDGET, 7)], 900).wait()
    assert isinstance(child, Reservation)
    counters.settle(child, (1,))
    assert [4] == spent(counters, BUDGET)

"""The thread that asks the store for all calls of a process: when it runs, when it ends, and who waits for it."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest

from llmswitch import _shared_counters
from llmswitch._allowance import Denied, Want
from llmswitch._allowances import Allowances
from llmswitch._config_file import Loaded
from llmswitch._counters import Reservation
from llmswitch._shared_counters import SharedCounters
from tests.allowance.play import MemoryCounterStore, allowance, rate

BUDGET, RATE = allowance(), rate()


class Slow(MemoryCounterStore):
    """Takes as long as the test says, or fails after a fifth of a second."""

    seconds = 0.0

    def carry_out(self, *orders, **given):
        time.sleep(min(self.seconds, 0.2))
        if self.seconds > 0.2:
            raise TimeoutError
        return super().carry_out(*orders, **given)


@pytest.fixture
def shared():
    """A store on the real clock."""
    store = Slow(None)
    store.clock = type("Now", (), {"now": property(lambda _: round(time.time() * 1000))})()
    return store


@pytest.fixture
def counting(shared):
    """Starts counters that share; what is started is stopped."""
    made = []

    def started():
        made.append(SharedCounters(lambda name: shared))
        return made[-1]

    yield started
    shared.seconds, shared.broken = 0.0, None
    for each in made:
        each.close(wait=1.0)
    made.clear()
    until(lambda: not threads())


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "llmswitch-counters"]


def until(true, seconds=3.0):
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.005)


def test_there_is_no_thread_before_there_is_a_call(counting):
    """Making a client starts nothing, so that a server may fork after it."""
    counters = counting()
    assert [] == threads()
    assert isinstance(counters.ask([Want(BUDGET, 1)], 900).wait(), Reservation)
    assert 1 == len(threads())


def test_a_call_waits_for_the_answer_of_a_budget(counting, shared):
    """An answer that takes a tenth of a second is waited for where a budget is at stake, and is exact."""
    shared.seconds = 0.1
    one, two = counting(), counting()
    answers = [each.ask([Want(BUDGET, 4)], 900).wait() for each in (one, two, one, two)]
    assert [True, True, False, False] == [isinstance(answer, Reservation) for answer in answers]


def test_a_call_does_not_wait_long_for_a_rate(counting, shared):
    """Where only a rate is at stake a call goes on after a twentieth of a second, and is counted all the same."""
    counters = counting()
    counters.ask([Want(RATE, 1)], 900).wait()
    shared.seconds = 0.15
    began = time.monotonic()
    assert isinstance(counters.ask([Want(RATE, 2)], 900).wait(), Reservation)
    assert time.monotonic() - began < 0.12
    shared.seconds = 0.0
    until(lambda: shared.seen(RATE).spent == 3)


def test_threads_and_tasks_at_once(counting, shared):
    """Row 106, threads and tasks of one process on one store: a budget for 10 admits 10."""
    counters, admitted = counting(), []

    def call():
        answer = counters.ask([Want(BUDGET, 1)], 900).wait()
        admitted.append(isinstance(answer, Reservation))

    async def tasks():
        async def call():
            answer = await counters.ask([Want(BUDGET, 1)], 900).awaited()
            admitted.append(isinstance(answer, Reservation))

        await asyncio.gather(*(call() for _ in range(100)))

    workers = [threading.Thread(target=call) for _ in range(50)]
    workers += [threading.Thread(target=lambda: asyncio.run(tasks())) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert (250, 10) == (len(admitted), sum(admitted))


def test_a_slow_process_goes_on_waiting(counting, shared, monkeypatch):
    """While the store answers, a call under a budget waits its turn: its share is for a store that is gone."""
    monkeypatch.setattr(_shared_counters, "BATCH", 1)
    shared.seconds = 0.12
    one, wide = counting(), allowance("w", 100)
    answers = []

    def call():
        answers.append(one.ask([Want(wide, 20)], 900).wait())

    calls = [threading.Thread(target=call) for _ in range(6)]
    for each in calls:
        each.start()
    for each in calls:
        each.join()
    assert 5 == sum(isinstance(answer, Reservation) for answer in answers)
    assert {False} == {answer.local for answer in answers if isinstance(answer, Reservation)}
    assert {False} == {answer.alone for answer in answers if isinstance(answer, Denied)}


def test_silence_is_noticed_in_time(counting, shared):
    """A store that does not answer costs the calls under a budget half a second together; then nobody waits."""
    counters = counting()
    counters.ask([Want(BUDGET, 1)], 900).wait()
    shared.seconds = 1.0
    began = time.monotonic()
    assert isinstance(counters.ask([Want(BUDGET, 4)], 900).wait(), Reservation)
    assert time.monotonic() - began <= 0.6
    began = time.monotonic()
    for _ in range(100):
        counters.ask([Want(BUDGET, 1)], 900).wait()
    assert time.monotonic() - began <= 0.1


def test_it_ends_when_closed_and_begins_again(counting, shared):
    """Closing tells what is still to be told; the next call counts again."""
    counters = counting()
    answer = counters.ask([Want(BUDGET, 5)], 900).wait()
    counters.settle(answer, (2,))
    counters.close(wait=1.0)
    assert [] == threads()
    assert (2, 0) == (shared.seen(BUDGET).settled, shared.seen(BUDGET).open)
    assert {} == shared.processes
    assert isinstance(counters.ask([Want(BUDGET, 9)], 900).wait(), Denied)
    assert 1 == len(threads())


def test_who_asks_while_it_is_closed_is_answered(counting, shared):
    """Closing while calls go on makes none of them wait for nobody, nor be answered without the store."""
    counters, wide, answers = counting(), allowance("w", 10_000), []

    def calls():
        answers.extend(counters.ask([Want(wide, 1)], 900).wait() for _ in range(60))

    workers = [threading.Thread(target=calls) for _ in range(4)]
    began = time.monotonic()
    for each in workers:
        each.start()
    while any(each.is_alive() for each in workers):
        counters.close()
        time.sleep(0.001)
    assert time.monotonic() - began < 5
    assert [False] * 240 == [answer.local for answer in answers]
    assert 240 == shared.seen(wide).spent
    assert len(threads()) <= 2


def test_it_ends_with_its_allowances(shared):
    """A client that is forgotten leaves no thread behind."""
    config = Loaded.from_mapping({"budgets": [{"tokens": 5, "per": "day"}]})
    counters = SharedCounters(lambda name: shared)
    allowances = Allowances.from_config(config, counters=counters)
    counters.ask([Want(BUDGET, 1)], 900).wait()
    assert 1 == len(threads())
    del allowances
    gc.collect()
    until(lambda: not threads())


def test_a_thread_that_cannot_be_had_harms_no_call(counting, monkeypatch):
    """Where no thread can be started a call is answered without the store, and the next one tries again."""
    counters = counting()

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", refuse)
        assert isinstance(counters.ask([Want(RATE, 1)], 900).wait(), Reservation)
        assert isinstance(counters.ask([Want(BUDGET, 1)], 900).wait(), Denied)
    assert isinstance(counters.ask([Want(BUDGET, 1)], 900).wait(), Reservation)
    assert 1 == len(threads())


def test_settling_is_told_soon_and_together(counting, shared):
    """What nobody waits for is gathered for a moment: a hundred ends are a few rounds."""
    wide, counters = allowance("w", 1000), counting()
    answers = [counters.ask([Want(wide, 2)], 900) for _ in range(100)]
    reservations = [each.wait() for each in answers]
    before = shared.calls
    for each in reservations:
        counters.settle(each, (1,))
        time.sleep(0.001)
    until(lambda: shared.seen(wide).spent == 100)
    assert shared.calls - before <= 10


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own_thread(shared):
    """The child knows what was known, starts a thread with its first call, and ends no call of its parent's."""
    counters = SharedCounters(lambda name: shared)
    allowances = Allowances([], {}, counters)
    answer = counters.ask([Want(BUDGET, 3)], 900).wait()
    child = os.fork()
    if child == 0:
        counters.settle(answer, (0,))
        alone = not threads()
        granted = isinstance(counters.ask([Want(BUDGET, 7)], 900).wait(), Reservation)
        mine = shared.seen(BUDGET).spent == 10 and len(threads()) == 1
        os._exit(0 if alone and granted and mine else 1)
    assert 0 == os.waitpid(child, 0)[1]
    assert 1 == len(threads())
    allowances.close(wait=1.0)
    assert [] == threads()

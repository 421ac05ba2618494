"""Processes that count together: exactly while the store answers, by shares while it does not, and merged after."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from time import monotonic

import pytest

from llmswitch import _outage, _question
from llmswitch._allowance import Charge, Denied, Want
from llmswitch._counters import Reservation
from llmswitch._outage import FAILURES, PAUSE
from llmswitch._redis_counters import ALIVE, GRACE
from llmswitch._shared_counters import BEAT, DEAF, SILENCE
from llmswitch._window import DAY, Calendar
from tests.allowance.play import allowance, rate

BUDGET, RATE = allowance(limit=40), rate(limit=40)
DAILY = rate("d", 40, Calendar("day"))


def beaten(*processes):
    """Each has said that it is there, and heard of the others."""
    for _ in range(2):
        for each in processes:
            each.counters._beaten = float("-inf")
            each.turn()


def gone(store, *processes):
    """The store goes, and each process notices."""
    store.broken = OSError("gone")
    for each in processes:
        each.ask(Want(BUDGET, 0))
        each.turns(FAILURES)
        assert each.counters.outage.gone


def back(store, clock, *processes):
    """The store comes back, and each process notices."""
    store.broken = None
    clock.tick(PAUSE)
    for each in processes:
        each.turns()
        assert not each.counters.outage.gone


# While it answers


def test_processes_count_as_one(process):
    """However the calls of three processes mix, together they get what the budget has."""
    fleet = [process() for _ in range(3)]
    admitted = sum(isinstance(fleet[n % 3].spends(BUDGET, 3), Reservation) for n in range(30))
    assert 13 == admitted


def test_many_questions_are_one_round(process, store):
    """All calls of a process that ask at the same time are answered by one order to the store."""
    one = process()
    asked = [one.counters.ask([Want(BUDGET, 1)], 900) for _ in range(60)]
    before = store.calls
    one.turn()
    assert 1 == store.calls - before
    assert 40 == sum(isinstance(each.wait(), Reservation) for each in asked)


def test_what_is_settled_is_told_with_the_next_round(process, store):
    """Settling waits for nothing; the others see it after the round that follows."""
    one, two = process(), process()
    answer = one.ask(Want(BUDGET, 40))
    assert isinstance(two.spends(BUDGET, 1), Denied)
    one.counters.settle(answer, (5,))
    assert isinstance(two.spends(BUDGET, 1), Denied)
    one.turn()
    assert isinstance(two.spends(BUDGET, 34), Reservation)
    two.turn()
    assert 39 == store.seen(BUDGET).spent


def test_a_store_whose_clock_is_another(process, store, clock):
    """Windows are those of the store's clock, however wrong that of the process is; and what it knows is of them."""
    for skew in (-3 * DAY, 5 * DAY, 400 * DAY):
        one = process(skew=skew)
        assert isinstance(one.spends(BUDGET, 1), Reservation)
    one.turn()
    assert 3 == store.seen(BUDGET).spent


def test_a_lost_process_is_charged_once(process, store, clock):
    """Row 107, played: what a killed process had reserved is charged in full when the lease ends, and once."""
    one, two = process(), process()
    one.ask(Want(BUDGET, 30), lease=60.0)
    assert (0, 30) == (store.seen(BUDGET).settled, store.seen(BUDGET).open)
    clock.tick(70)
    assert isinstance(two.spends(BUDGET, 11), Denied)
    assert (30, 0) == (store.seen(BUDGET).settled, store.seen(BUDGET).open)
    assert isinstance(two.spends(BUDGET, 10), Reservation)


def test_who_settles_after_the_lease_corrects_it(process, store, clock):
    """A call that outlived its lease is put right when it ends, once, and nobody who saw it before undoes that."""
    one, two = process(), process()
    answer = one.ask(Want(BUDGET, 30), lease=60.0)
    clock.tick(70)
    two.spends(BUDGET, 1)
    assert 31 == store.seen(BUDGET).spent
    for _ in range(2):
        one.counters.settle(answer, (4,))
        one.turn()
    two.spends(BUDGET, 1)
    two.turn()
    assert 6 == store.seen(BUDGET).spent


def test_a_call_that_is_cancelled_gives_back(process, store, monkeypatch):
    """Cancelled while it waits, before or after the store has answered: nothing stays reserved."""
    one = process()
    monkeypatch.setattr(_question, "EXACT", 5.0)

    async def cancelled(*, answered):
        asked = one.counters.ask([Want(BUDGET, 7)], 900)
        waiting = asyncio.ensure_future(asked.awaited())
        await asyncio.sleep(0)
        if answered:
            one.turn()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    for answered in (False, True):
        asyncio.run(cancelled(answered=answered))
        one.turns()
        assert 0 == store.seen(BUDGET).spent


def test_an_answer_is_awaited(process, store, monkeypatch):
    """In a loop the answer comes when the round is made, and other tasks go on meanwhile."""
    one = process()
    monkeypatch.setattr(_question, "EXACT", 5.0)

    async def ask():
        asked = one.counters.ask([Want(BUDGET, 7)], 900)
        waiting = asyncio.ensure_future(asked.awaited())
        await asyncio.sleep(0.01)
        await asyncio.to_thread(one.turn)
        return await waiting

    assert isinstance(asyncio.run(ask()), Reservation)
    assert 7 == store.seen(BUDGET).spent


def test_an_answer_that_comes_too_late_is_given_back(process, store, clock):
    """Who did not wait was answered without the store; what the store reserved for him afterwards is given back."""
    one = process()
    one.spends(BUDGET, 4)
    one.turn()
    asked = one.counters.ask([Want(BUDGET, 5), Want(RATE, 5)], 900)
    carry_out = one.store.carry_out

    def slow(*orders, **given):
        """The call gives up while the store is at it."""
        report = carry_out(*orders, **given)
        if len(answers) == 0:
            answers.append(asked.wait())
        return report

    answers = []
    one.store.carry_out = slow
    one.turn()
    (answer,) = answers
    assert isinstance(answer, Reservation)
    one.counters.settle(answer, (2, 2))
    one.turns()
    assert [6, 2] == [store.seen(each).spent for each in (BUDGET, RATE)]
    gone(store, one)
    assert 38 == one.times(RATE)


def test_an_order_whose_answer_was_lost_counts_once(process, store):
    """The store did it and the answer did not come: the order is repeated, and nothing is counted twice."""
    one = process()
    one.spends(BUDGET, 1)
    one.turn()
    asked = one.counters.ask([Want(BUDGET, 10)], 900)
    store.broken, store.late = OSError("reset"), True
    one.turn()
    store.broken = None
    one.turn()
    answer = asked.wait()
    assert 11 == store.seen(BUDGET).spent
    store.broken = OSError("reset")
    one.counters.settle(answer, (4,))
    one.turn()
    store.broken = None
    one.turn()
    assert 5 == store.seen(BUDGET).spent


def test_to_settle_takes_no_lock(process, store):
    """The garbage collector may end a call, or give up a question, while the lock is held."""
    one = process()
    reservation = one.ask(Want(BUDGET, 8))
    asked = one.counters.ask([Want(BUDGET, 8)], 900)

    class Abandoned:
        def __init__(self):
            self.itself = self

        def __del__(self):
            one.counters.settle(reservation, (1,))
            one.counters.abandon(asked)

    Abandoned()
    with one.counters._lock:
        gc.collect()
    one.turns()
    assert 1 == store.seen(BUDGET).spent


def test_how_many_processes_there_are(process, clock):
    """Those count that said in the last seconds that they are there; who leaves is counted no longer."""
    fleet = [process() for _ in range(3)]
    beaten(*fleet)
    assert [3] * 3 == [each.counters._shares.processes for each in fleet]
    fleet[0].counters._leave(fleet[0].store)
    beaten(*fleet[1:])
    assert 2 == fleet[1].counters._shares.processes
    for _ in range(5):
        clock.tick(ALIVE / 4000)
        beaten(fleet[1])
    assert 1 == fleet[1].counters._shares.processes


def test_an_idle_process_hears_of_the_others(process, clock):
    """Every few seconds a process looks at what the others spent, so that its share is of what is left."""
    busy, idle = process(), process()
    idle.spends(BUDGET, 1)
    idle.turn()
    busy.spends(BUDGET, 30)
    busy.turn()
    clock.tick(BEAT)
    idle.turn()
    assert 31 == idle.counters.seen(BUDGET).spent


def test_shut_for_all(process):
    """What one process was told is used up gives out nothing to any."""
    one, two = process(), process()
    two.spends(DAILY, 1)
    one.counters.shut(DAILY, None)
    one.turn()
    assert 12 * 3600 == two.spends(DAILY, 1).seconds
    two.counters.shut(DAILY, 0)
    two.turn()
    assert isinstance(one.spends(DAILY, 1), Reservation)


# While it does not


def test_each_has_its_share_of_what_was_left(process, store):
    """Money: what was left when the store was last heard, by the number of processes; then nothing more."""
    fleet = [process() for _ in range(4)]
    beaten(*fleet)
    fleet[0].spends(BUDGET, 8)
    fleet[0].turn()
    for each in fleet:
        each.ask(Want(BUDGET, 0))
    beaten(*fleet)
    gone(store, *fleet)
    assert [8] * 4 == [each.times(BUDGET) for each in fleet]
    denied = fleet[0].spends(BUDGET, 1)
    assert denied.alone
    assert 12 * 3600 == denied.seconds


def test_rates_go_on_at_their_share(process, store, clock):
    """A rate goes on at the limit by the number of processes, what was admitted before included, but at one."""
    fleet = [process() for _ in range(4)]
    beaten(*fleet)
    for _ in range(3):
        fleet[0].spends(RATE, 1)
    gone(store, *fleet)
    assert [7, 10] == [each.times(RATE) for each in fleet[:2]]
    clock.tick(61)
    assert [10, 10] == [each.times(RATE) for each in fleet[:2]]
    few = rate("few", 3)
    assert [1] * 4 == [each.times(few) for each in fleet]


def test_a_daily_rate_goes_on_at_its_share(process, store):
    """Of a vendor's day what was left is shared as money is; where nothing is known of it, the whole."""
    fleet = [process() for _ in range(4)]
    beaten(*fleet)
    fleet[0].spends(DAILY, 8)
    fleet[0].turn()
    gone(store, *fleet)
    assert [8, 10] == [each.times(DAILY) for each in fleet[:2]]


def test_of_what_nothing_is_known_nothing_is_spent(process, store, caplog):
    """A process that has never reached the store keeps a budget by spending nothing of it; rates go on."""
    one = process()
    gone(store, one)
    assert 0 == one.times(BUDGET)
    assert 40 == one.times(RATE)
    assert "store can't be used (OSError)" in caplog.text


def test_fail_open(process, store):
    """A budget that is to be open then is not kept, and what was spent is counted all the same."""
    open_one = allowance("o", 10, fail_open=True)
    one = process()
    gone(store, one)
    assert 100 == one.times(open_one)
    store.broken = None
    one.turns(5)
    assert 100 == store.seen(open_one).spent


def test_a_new_day_without_the_store(process, store, clock):
    """When a window begins meanwhile each has its share of the whole of it."""
    fleet = [process() for _ in range(2)]
    for each in fleet:
        each.spends(BUDGET, 15)
    beaten(*fleet)
    gone(store, *fleet)
    assert [5, 5] == [each.times(BUDGET) for each in fleet]
    clock.tick(12 * 3600)
    assert [20, 20] == [each.times(BUDGET) for each in fleet]
    back(store, clock, *fleet)
    assert 40 == store.seen(BUDGET).spent


def test_all_or_nothing_without_the_store(process, store):
    """Where one share has no room nothing is taken of the others."""
    one = process()
    one.spends(BUDGET, 38)
    one.turn()
    gone(store, one)
    assert isinstance(one.ask(Want(RATE, 1), Want(BUDGET, 3)), Denied)
    assert isinstance(one.ask(Want(RATE, 40), Want(BUDGET, 2)), Reservation)


def test_shut_without_the_store(process, store):
    """What the vendor says is used up is so for this process at once."""
    one = process()
    one.spends(DAILY, 1)
    one.turn()
    gone(store, one)
    one.counters.shut(DAILY, 30.0)
    assert 30.0 == one.spends(DAILY, 1).seconds
    one.counters.shut(DAILY, 0)
    assert isinstance(one.spends(DAILY, 1), Reservation)


def test_no_call_waits_for_a_store_that_is_gone(process, store):
    """Once that is known, a call is answered without a word to the store."""
    one = process()
    gone(store, one)
    before = store.calls
    for _ in range(50):
        one.counters.ask([Want(RATE, 1)], 900).wait()
    assert before == store.calls


def test_all_who_wait_are_answered_when_it_goes(process, store):
    """With the third failure the questions that are open are answered by what this process may spend."""
    one = process()
    one.spends(BUDGET, 30)
    one.turn()
    asked = [one.counters.ask([Want(BUDGET, 4)], 900) for _ in range(4)]
    store.broken = OSError("gone")
    one.turns(FAILURES)
    answers = [each.future.result(0) for each in asked]
    assert [True, True, False, False] == [isinstance(answer, Reservation) for answer in answers]


@pytest.mark.parametrize(("failures", "seconds"), [(FAILURES - 1, SILENCE), (0, DEAF)])
def test_silence_is_noticed_by_who_waits(process, store, clock, caplog, failures, seconds):
    """A store that answers nothing counts as gone after half a second, though the thread still waits for it."""
    one = process()
    one.spends(BUDGET, 1)
    one.turn()
    asked = [one.counters.ask([Want(BUDGET, 1)], 900) for _ in range(2)]

    def silent(*orders, **given):
        if one.counters.outage.failures == failures:
            for passed in (0.0, SILENCE - 0.01, seconds - SILENCE):
                clock.tick(passed)
                assert None is one.counters.late(asked[0], patient=True)
            clock.tick(0.01)
            answers.extend(each.wait() for each in asked)
            assert one.counters.outage.gone
        raise OSError("late")

    answers = []
    one.store.carry_out = silent
    one.turns(FAILURES)
    assert [True, True] == [isinstance(answer, Reservation) for answer in answers]
    assert 2 == one.counters._outbox.unwritten("a", BUDGET.window.span(clock.now)[0])
    assert ["the store can't be used (TimeoutError): limits and budgets are kept by each process's share"] == [
        record.getMessage() for record in caplog.records
    ]


def test_one_line_for_each_change(process, store, clock, caplog):
    """That it is gone is said once, and once that it is back."""
    caplog.set_level(logging.INFO, "llmswitch")
    one = process()
    one.spends(BUDGET, 1)
    gone(store, one)
    one.turns(10)
    back(store, clock, one)
    one.turns(10)
    assert 2 == len(caplog.records)
    assert "can be used again, after 15 failures" in caplog.text


def test_whoever_listens_to_the_log_may_make_a_call(process, store, monkeypatch):
    """A line is logged when nothing is held: a handler that asks for an allowance gets an answer."""
    one, answers = process(), []
    monkeypatch.setattr(_outage, "warn", lambda *line: answers.append(one.counters.ask([Want(RATE, 1)], 900).wait()))
    gone(store, one)
    assert [True] == [isinstance(answer, Reservation) for answer in answers]


# When it is back


def test_what_was_spent_alone_is_told(process, store, clock):
    """Every call of the time without the store is counted: those that ended, and those that are still under way."""
    one = process()
    one.spends(BUDGET, 1)
    one.turn()
    gone(store, one)
    one.spends(BUDGET, 5, actual=2)
    flying = one.ask(Want(BUDGET, 6))
    back(store, clock, one)
    assert (3, 6) == (store.seen(BUDGET).settled, store.seen(BUDGET).open)
    one.counters.settle(flying, (4,))
    one.turn()
    assert (7, 0) == (store.seen(BUDGET).settled, store.seen(BUDGET).open)


def test_what_was_reserved_before_is_settled_after(process, store, clock):
    """A call that began with the store and ended without it is settled when it is back."""
    one = process()
    flying = one.ask(Want(BUDGET, 9))
    gone(store, one)
    one.counters.settle(flying, (2,))
    one.turns()
    back(store, clock, one)
    assert (2, 0) == (store.seen(BUDGET).settled, store.seen(BUDGET).open)


def test_a_store_that_was_emptied(process, store, clock):
    """From what the processes know it is filled again: nobody gets the budget a second time."""
    one, two = process(), process()
    one.spends(BUDGET, 30)
    flying = one.ask(Want(BUDGET, 5))
    two.spends(BUDGET, 1)
    two.turn()
    store.tallies.clear()
    store.records.clear()
    assert isinstance(two.spends(BUDGET, 20), Denied)
    one.counters.settle(flying, (4,))
    one.turn()
    assert 35 == store.seen(BUDGET).spent


def test_a_store_with_an_older_state(process, store, clock):
    """Row 105: of two states the later one counts, even where nobody asks; the older one brings nothing back."""
    one = process()
    one.spends(BUDGET, 10)
    one.turn()
    older = store.seen(BUDGET)
    one.spends(BUDGET, 20)
    one.turn()
    one.ask(Want(BUDGET, 0))
    store.tallies[BUDGET.name].settled = older.settled
    clock.tick(BEAT)
    one.turn()
    assert 30 == store.seen(BUDGET).spent


def test_a_late_order_of_a_call_that_is_gone(process, store, clock):
    """A stopped server that carries out an order long after it was answered otherwise reserves nothing for good."""
    one = process()
    one.spends(BUDGET, 10)
    one.turn()
    asked = one.counters.ask([Want(BUDGET, 5)], 900)
    orders = []
    carry_out = one.store.carry_out
    one.store.carry_out = lambda *given, **more: orders.append(given) or (_ for _ in ()).throw(OSError("silence"))
    one.turns(FAILURES)
    assert isinstance(asked.wait(), Reservation)
    one.store.carry_out = carry_out
    clock.tick(PAUSE)
    one.turn()
    store.carry_out(*orders[0])
    one.turn()
    store.carry_out(*orders[1])
    one.turns()
    assert (10, 5) == (store.seen(BUDGET).settled, store.seen(BUDGET).open)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_nothing_is_lost(process, store, clock, seed):
    """Outages, lost answers and lost questions in any order: in the end the store has counted what was spent."""
    chance = random.Random(seed)
    wide = allowance("w", 10**9)
    fleet = [process() for _ in range(3)]
    beaten(*fleet)
    flying, spent = [], 0
    for _ in range(400):
        clock.tick(chance.choice([0.0, 0.05, 0.5, PAUSE]) * chance.random())
        each = chance.choice(fleet)
        what = chance.random()
        if what < 0.3:
            asked = each.counters.ask([Want(wide, 50), Want(RATE, 0)], 900)
            if chance.random() < 0.6:
                each.turn()
            answer = asked.wait()
            if isinstance(answer, Reservation):
                flying.append((each, answer))
        elif what < 0.6 and flying:
            each, answer = flying.pop(chance.randrange(len(flying)))
            actual = chance.randint(0, 80)
            spent += actual
            each.counters.settle(answer, (actual, 0))
        elif what < 0.9:
            each.turn()
        else:
            store.broken = chance.choice([None, None, OSError("gone")])
            store.late = chance.random() < 0.5
    store.broken = None
    for each, answer in flying:
        each.counters.settle(answer, (50, 0))
        spent += 50
    for each in fleet:
        clock.tick(PAUSE)
        each.turns(6)
    assert (spent, 0) == (store.seen(wide).spent, store.seen(wide).open)


@pytest.mark.parametrize("seed", range(12))
def test_a_fleet_without_its_store_keeps_the_budget(process, store, clock, seed):
    """Processes that know the same spend together no more than was left, whatever each of them does."""
    chance = random.Random(seed)
    fleet = [process() for _ in range(chance.randint(1, 5))]
    limit = allowance("x", 1000)
    spent = 0
    for _ in range(chance.randint(0, 30)):
        amount = chance.randint(0, 20)
        chance.choice(fleet).spends(limit, amount)
        spent += amount
    for each in fleet:
        each.ask(Want(limit, 0))
    beaten(*fleet)
    gone(store, *fleet)
    for _ in range(500):
        amount = chance.randint(0, 20)
        actual = chance.randint(0, amount)
        if isinstance(chance.choice(fleet).spends(limit, amount, actual), Reservation):
            spent += actual
    assert spent <= 1000
    back(store, clock, *fleet)
    assert spent == store.seen(limit).spent


# After a fork


def test_after_a_fork(process, store, clock):
    """A child has no thread, no question and no reservation of its parent's, and counts beside it."""
    parent = process()
    parent.spends(BUDGET, 5)
    flying = parent.ask(Want(BUDGET, 7))
    parent.counters.ask([Want(BUDGET, 9)], 900)
    child = process()
    child.counters = parent.counters
    parent.counters.after_fork()
    assert None is child.counters._thread
    child.counters.settle(flying, (0,))
    child.turns()
    assert (5, 7) == (store.seen(BUDGET).settled, store.seen(BUDGET).open)
    assert isinstance(child.spends(BUDGET, 20), Reservation)


def test_how_long_a_call_waits():
    """A twentieth of a second where a rate is at stake; where a budget is, until the store has answered or is gone."""
    for wants, exact in (
        ([Want(RATE, 1)], False),
        ([Want(RATE, 1), Want(BUDGET, 1)], True),
        ([Want(allowance(fail_open=True), 1)], False),
    ):
        asked = _question.Question(None, wants, 900)
        assert (0.5, True) == next(asked._waits()) if exact else [(0.05, False)] == list(asked._waits())


def test_nobody_waits_longer_than_his_call_may(process, monkeypatch):
    """An attempt that has 20 ms waits no longer for a store that is silent; without it, it spends what it may alone."""
    monkeypatch.setattr(_question, "EXACT", 5.0)
    monkeypatch.setattr(_question, "LONGEST", 5.0)
    one = process()
    one.spends(BUDGET, 1)
    one.turn()
    asked, began = one.counters.ask([Want(BUDGET, 2)], 900), monotonic()
    assert isinstance(asked.wait(0.02), Reservation)
    assert isinstance(asyncio.run(one.counters.ask([Want(BUDGET, 2)], 900).awaited(0.02)), Reservation)
    assert monotonic() - began < 3.0


def test_who_only_looks_reserves_nothing(process, store):
    """He is told what would come of it, with the store and without; what the store has is then known here."""
    one = process()
    one.spends(BUDGET, 4)
    one.turn()
    two = process()
    for amount, kind in ((36, Reservation), (37, Denied)):
        asked = two.counters.ask([Want(BUDGET, amount)], 900, look=True)
        two.turns(2)
        assert isinstance(asked.wait(), kind)
    assert (4, 0) == (two.counters.seen(BUDGET).spent, store.seen(BUDGET).open)
    one.counters.ask([Want(RATE, 3)], 900)
    one.turn()
    two.counters.ask([Want(RATE, 0)], 900, look=True)
    two.turn()
    assert (3, None) == (two.counters.seen(RATE).spent, process().counters.seen(RATE))
    store.broken = OSError("gone")
    two.turns()
    for _ in range(2):
        assert isinstance(two.counters.ask([Want(BUDGET, 18)], 900, look=True).wait(), Reservation)
    store.broken = None
    two.turns()
    assert 4 == store.seen(BUDGET).spent


def test_what_is_charged_of_a_lost_reservation_is_known_for_an_hour(process, store, clock):
    """Until the grace is over a late end corrects; after that what was charged in full stays, and is not doubled."""
    one = process()
    early, late = (one.ask(Want(BUDGET, 10), lease=60.0) for _ in range(2))
    clock.tick(60 + GRACE / 1000 - 10)
    one.counters.settle(early, (1,))
    one.turn()
    assert 11 == store.seen(BUDGET).spent
    clock.tick(30)
    one.counters.settle(late, (1,))
    one.turn()
    assert 11 == store.seen(BUDGET).spent


def test_charges_are_where_the_store_says(process, clock):
    """A reservation says of each amount in which window it lies."""
    one = process()
    answer = one.ask(Want(BUDGET, 3), Want(RATE, 1))
    day, second = answer.charges
    assert Charge(BUDGET, 3, clock.now - DAY // 2, day.ends) == day
    assert clock.now // 1000 == second.start

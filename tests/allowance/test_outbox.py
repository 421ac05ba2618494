"""What is still to be told to the store: nothing is lost, however much there is of it."""

from __future__ import annotations

import random

import pytest

from llmswitch import _outbox
from llmswitch._allowance import Charge
from llmswitch._counters import Reservation
from llmswitch._outbox import Outbox
from tests.allowance.play import NOON, allowance, rate

BUDGET, RATE = allowance(), rate()
DAY_START = BUDGET.window.span(NOON)[0]
HOUR = 3_600_000


def reserved(number, amount=5, *, local=True, limit=BUDGET, start=DAY_START):
    """A reservation of one amount."""
    return Reservation(f"token {number}", (Charge(limit, amount, start, NOON + HOUR),), NOON + 2 * HOUR, local=local)


def told(outbox, most=100, now=NOON):
    """Tell the store all that there is; what it was told."""
    every = []
    while len(outbox):
        batch = outbox.batch(most, now)
        every += batch
        outbox.written(batch)
    return every


def test_what_was_reserved_alone_is_told_as_open():
    """The others are to know at once of a call that is under way, and of its end when it comes."""
    outbox, mine = Outbox(), reserved(1)
    outbox.opened(mine, NOON)
    assert 5 == outbox.unwritten("a", DAY_START)
    (give,) = told(outbox)
    assert (None, mine.kept) == (give.actuals, give.kept)
    assert not mine.local
    assert 0 == outbox.unwritten("a", DAY_START)
    outbox.ended(mine, (3,), NOON)
    (give,) = told(outbox)
    assert (3,) == give.actuals
    assert 0 == outbox.unwritten("a", DAY_START)


def test_what_ended_before_it_was_told_is_told_once():
    """One order says what was spent of something that the store never knew."""
    outbox, mine = Outbox(), reserved(1)
    outbox.opened(mine, NOON)
    outbox.ended(mine, (3,), NOON)
    outbox.ended(mine, (9,), NOON)
    assert 3 == outbox.unwritten("a", DAY_START)
    (give,) = told(outbox)
    assert (3,) == give.actuals
    assert 0 == outbox.unwritten("a", DAY_START)


def test_what_ended_while_it_was_told_is_told_again():
    """An end that comes while the store is told of the beginning is not taken for told."""
    outbox, mine = Outbox(), reserved(1)
    outbox.opened(mine, NOON)
    batch = outbox.batch(10, NOON)
    outbox.ended(mine, (3,), NOON)
    outbox.written(batch)
    assert 0 == outbox.unwritten("a", DAY_START)
    (give,) = told(outbox)
    assert (3,) == give.actuals


def test_an_order_is_repeated_only_while_it_can_be_known():
    """A store that may have forgotten that it was told is asked to count nothing anew."""
    outbox = Outbox()
    outbox.ended(reserved(1, local=False), (3,), NOON)
    first = outbox.batch(10, NOON)[0]
    later = outbox.batch(10, NOON + HOUR)[0]
    assert NOON + first.mark == first.kept == later.kept


@pytest.mark.parametrize("local", [True, False])
def test_the_oldest_are_summed_up(monkeypatch, local):
    """Beyond the bound the oldest become a sum for each window. What the store holds as reserved it charges itself."""
    monkeypatch.setattr(_outbox, "LONGEST", 50)
    outbox, chance, spent, over = Outbox(), random.Random(1), 0, 0
    for number in range(500):
        mine = reserved(number, local=local)
        if local:
            outbox.opened(mine, NOON)
        actual = chance.randint(0, 9)
        outbox.ended(mine, (actual,), NOON)
        spent += actual
        if number < 450:
            over += max(0, actual - 5)
    assert len(outbox) <= 51
    if local:
        assert spent == outbox.unwritten("a", DAY_START)
    gives = told(outbox, most=7)
    sums = [give for give in gives if 0 == give.charges[0].amount]
    assert 1 == len(sums)
    assert (spent - sum(give.actuals[0] for give in gives if give not in sums) if local else over) == sums[0].actuals[0]
    assert 0 == outbox.unwritten("a", DAY_START)


def test_calls_under_way_are_never_summed_up(monkeypatch):
    """Of a call that has not ended it is not known what it will come to."""
    monkeypatch.setattr(_outbox, "LONGEST", 5)
    outbox = Outbox()
    for number in range(20):
        outbox.opened(reserved(number), NOON)
    assert 20 == len(told(outbox))


def test_seconds_that_are_over_are_not_told(monkeypatch):
    """What was spent of a sliding minute is of no interest a minute later."""
    monkeypatch.setattr(_outbox, "LONGEST", 1)
    outbox = Outbox()
    for number in range(3):
        mine = reserved(number, limit=RATE, start=NOON // 1000)
        outbox.opened(mine, NOON)
        outbox.ended(mine, (5,), NOON)
    assert 2 == len(outbox)
    assert 1 == len(outbox.batch(10, NOON + 70_000))

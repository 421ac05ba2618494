"""The arithmetic of one allowance: what is admitted, what it costs, and until when one has to wait."""

from __future__ import annotations

import pytest

from llmswitch._allowance import CLOSED_AT_MOST, Seen, SlidingTally, SpanTally, Want, tally
from llmswitch._counters import lost_at, shut_until
from llmswitch._window import DAY, Calendar, Ever, Sliding, Until
from tests.allowance.play import NOON, allowance, rate
from tests.rows import rows

MINUTE = 60_000
BUDGET, RATE = allowance(), rate()


def test_a_budget_is_not_gone_beyond():
    """A budget admits what fits, to the last unit, and says when the next window begins."""
    each = SpanTally(BUDGET.window)
    assert None is each.room(Want(BUDGET, 10), NOON)
    each.take(Want(BUDGET, 7), NOON, NOON + MINUTE)
    assert None is each.room(Want(BUDGET, 3), NOON)
    denied = each.room(Want(BUDGET, 4), NOON)
    assert (12 * 3600, 7, True) == (denied.seconds, denied.spent, denied.soon)


def test_what_is_settled_counts_for_what_it_was():
    """Less than was reserved makes room, more takes it, beyond the limit if need be."""
    each = SpanTally(BUDGET.window)
    first = each.take(Want(BUDGET, 7), NOON, NOON + MINUTE)
    each.settle(first, 2, NOON)
    assert Seen(each.start, each.end, settled=2) == each.seen()
    second = each.take(Want(BUDGET, 7), NOON, NOON + MINUTE)
    each.settle(second, 12, NOON)
    assert 14 == each.seen().spent
    denied = each.room(Want(BUDGET, 1), NOON)
    assert (14, False) == (denied.spent, denied.soon)


def test_a_lost_reservation_is_charged_in_full():
    """When its lease ends a reservation counts as spent; it is neither given back nor counted again."""
    each = SpanTally(BUDGET.window)
    each.take(Want(BUDGET, 7), NOON, NOON + MINUTE)
    for moment in (NOON, NOON + MINUTE - 1):
        each.advance(moment)
        assert (0, 7) == (each.seen().settled, each.seen().open)
    for moment in (NOON + MINUTE, NOON + 9 * MINUTE):
        each.advance(moment)
        assert (7, 0) == (each.seen().settled, each.seen().open)


@rows(("actual", "spent"), [(2, 2), (7, 7), (9, 9)])
def test_who_settles_after_the_lease_corrects_it(actual, spent):
    """What was charged in full is put right, and what was settled never shrinks: so states can be merged by max."""
    each = SpanTally(BUDGET.window)
    charge = each.take(Want(BUDGET, 7), NOON, NOON + MINUTE)
    each.advance(NOON + MINUTE)
    each.settle(charge, actual, NOON + MINUTE)
    assert spent == each.seen().spent
    assert each.seen().settled >= 7


def test_a_lease_ends_at_a_round_moment():
    """Ends of leases are rounded up to one of fifteen parts, so that an allowance has few of them."""
    assert {NOON + 15 * MINUTE} == {lost_at(NOON - ms, 900.0) for ms in range(0, MINUTE, 999)}
    assert NOON + 900 <= lost_at(NOON, 0.9) <= NOON + 960


def test_a_new_window_begins_with_nothing():
    """What was reserved or settled in a window is of no account in the next."""
    each = SpanTally(BUDGET.window)
    charge = each.take(Want(BUDGET, 7), NOON, NOON + DAY)
    each.settle(each.take(Want(BUDGET, 3), NOON, NOON + DAY), 3, NOON)
    midnight = NOON + DAY // 2
    assert None is not each.room(Want(BUDGET, 1), midnight - 1)
    assert None is each.room(Want(BUDGET, 10), midnight)
    each.settle(charge, 9, midnight)
    assert 0 == each.seen().spent


@rows("jump", [DAY, DAY // 2, -DAY, -DAY // 2])
def test_a_clock_that_jumps_there_and_back_opens_no_window_twice(jump):
    """After a jump of up to a day and back, two days have admitted two days' worth and no more."""
    each = SpanTally(BUDGET.window)
    admitted = 0
    for moment in (NOON, NOON + jump, NOON + 1000, NOON + DAY - 1000, NOON + DAY):
        while each.room(Want(BUDGET, 1), moment) is None:
            each.take(Want(BUDGET, 1), moment, moment + MINUTE)
            admitted += 1
    assert admitted <= 20


def test_a_clock_that_was_years_ahead_does_not_close_a_budget_for_years():
    """Where the clock was wrong by far the window that it led to ends at once; what was spent there is kept."""
    each = SpanTally(BUDGET.window)
    each.take(Want(BUDGET, 4), NOON + 3650 * DAY, NOON + 3651 * DAY)
    denied = each.room(Want(BUDGET, 7), NOON)
    assert (12 * 3600, 4) == (denied.seconds, denied.spent)
    assert None is each.room(Want(BUDGET, 10), NOON + DAY // 2)


def test_a_request_larger_than_the_budget_never_passes():
    """It is refused with the word never, whatever was spent."""
    assert None is SpanTally(BUDGET.window).room(Want(BUDGET, 11), NOON).seconds


@pytest.mark.parametrize("window", [Sliding(), Calendar("day")])
def test_a_request_larger_than_the_vendors_limit_passes_alone(window):
    """Where it could never pass otherwise, it passes while nothing else was spent: one goes beyond, at the most."""
    limit = rate(window=window)
    each = tally(window)
    assert None is each.room(Want(limit, 25), NOON)
    each.take(Want(limit, 1), NOON, NOON + MINUTE)
    assert None is not each.room(Want(limit, 25), NOON)
    assert None is not each.room(Want(limit, 25), NOON).seconds


def test_a_minute_slides():
    """In no stretch of sixty seconds more than the limit is admitted, and who has to wait is told for how long."""
    each = SlidingTally(Sliding())
    for second in range(10):
        each.take(Want(RATE, 1), NOON + second * 1000, 0)
    denied = each.room(Want(RATE, 1), NOON + 30_000)
    assert 31.0 == denied.seconds
    assert None is not each.room(Want(RATE, 1), NOON + 60_999)
    assert None is each.room(Want(RATE, 1), NOON + 61_000)
    assert 34.0 == each.room(Want(RATE, 4), NOON + 30_000).seconds


def test_settled_tokens_make_room_in_a_sliding_minute():
    """What a call did not use is there again at once, and what it used beyond is gone."""
    each = SlidingTally(Sliding())
    charge = each.take(Want(RATE, 9), NOON, 0)
    each.settle(charge, 2, NOON + 5000)
    assert None is each.room(Want(RATE, 8), NOON + 5000)
    each.settle(each.take(Want(RATE, 8), NOON + 5000, 0), 12, NOON + 6000)
    assert 14 == each.seen().spent
    each.settle(charge, 0, NOON + 120_000)
    assert 0 == each.seen().spent


def test_a_sliding_minute_after_the_clock_went_back():
    """What lies in the future is as if spent now: a minute later it is over."""
    each = SlidingTally(Sliding())
    each.take(Want(RATE, 10), NOON, 0)
    earlier = NOON - DAY
    assert 61.0 == each.room(Want(RATE, 1), earlier).seconds
    assert None is each.room(Want(RATE, 1), earlier + 61_000)


def test_a_window_that_is_over_admits_nothing():
    """After its date a grant is gone for good."""
    grant = allowance(window=Until(NOON))
    each = SpanTally(grant.window)
    assert None is each.room(Want(grant, 10), NOON - 1)
    assert None is each.room(Want(grant, 1), NOON).seconds


def test_a_budget_for_good_never_comes_back():
    """Without a window's end there is nothing to wait for."""
    budget = allowance(window=Ever())
    each = SpanTally(budget.window)
    each.take(Want(budget, 10), NOON, NOON + MINUTE)
    assert None is each.room(Want(budget, 1), NOON + 400 * DAY).seconds


@rows(
    ("limit", "seconds", "until"),
    [
        (BUDGET, None, NOON + DAY // 2),
        (BUDGET, 5.0, NOON + 5000),
        (RATE, None, NOON + MINUTE),
        (BUDGET, 0, 0),
        (allowance(window=Until(NOON)), None, 0),
    ],
)
def test_what_is_shut_opens_when_it_was_said(limit, seconds, until):
    """Until the vendor's own time, or else until the window ends; 0 opens it."""
    assert until == shut_until(limit, seconds, NOON)


@pytest.mark.parametrize("limit", [BUDGET, RATE])
def test_nothing_is_given_out_while_shut(limit):
    """However much room there is; the longer of two times counts, and none is longer than a month."""
    each = tally(limit.window)
    each.close(NOON + 9000, NOON)
    each.close(NOON + 5000, NOON)
    assert 9.0 == each.room(Want(limit, 1), NOON).seconds
    assert None is each.room(Want(limit, 1), NOON + 9000)
    each.close(NOON + 400 * DAY, NOON)
    assert CLOSED_AT_MOST / 1000 == each.room(Want(limit, 1), NOON).seconds
    each.close(0, NOON)
    assert None is each.room(Want(limit, 1), NOON)

"""When a store counts as gone, what the log says of it, and who looks whether it is back."""

from __future__ import annotations

import logging
from threading import Barrier, Thread

import pytest

from llmswitch._outage import FAILURES, PAUSE, Outage, said
from tests.store.play import Clock

LOST, FOUND = "it can't be used (%s)", "it can be used again, after %d failures"


@pytest.fixture
def clock() -> Clock:
    """Seconds that pass when a test says so."""
    return Clock()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says."""
    return [record.getMessage() for record in caplog.records]


def broken(clock: Clock) -> Outage:
    """One of a store that is gone."""
    outage = Outage(LOST, FOUND, clock=clock)
    for _ in range(FAILURES):
        outage.failed(OSError("a CANARY"))
    assert outage.gone
    return outage


def test_failures_in_a_row_are_an_outage(clock, caplog):
    """Below their number nothing is said and it goes on being used; a success in between begins the count anew."""
    outage = Outage(LOST, FOUND, clock=clock)
    for _ in range(5):
        assert [0.0] * (FAILURES - 1) == [outage.failed(OSError()) for _ in range(FAILURES - 1)]
        assert outage.may_try()
        outage.worked()
    assert [] == lines(caplog)
    assert {"OSError": 5 * (FAILURES - 1)} == outage.counts
    assert [0.0, 0.0, PAUSE] == [outage.failed(OSError()) for _ in range(FAILURES)]
    assert PAUSE == Outage(LOST, FOUND, most=1).failed(OSError())


def test_its_beginning_and_its_end_are_a_line_each(clock, caplog):
    """However often it fails meanwhile. The reason is the error's class, and no more of what a server says."""
    outage = broken(clock)
    for _ in range(7):
        clock.now += PAUSE
        assert outage.may_try()
        assert PAUSE == outage.failed(RuntimeError("OOM"))
    for _ in range(2):
        outage.worked()
    assert ["it can't be used (OSError)", "it can be used again, after 10 failures"] == lines(caplog)
    assert (False, True) == (outage.gone, outage.may_try())


def test_one_at_a_time_looks_whether_it_is_back(clock):
    """Nobody for a while, then the one who asks first; the others go without until he knows, or as long again."""
    outage = broken(clock)
    asked: list[bool] = []
    for seconds in (0.0, PAUSE - 0.1, 0.1, 0.0, PAUSE - 0.1, 0.1):
        clock.now += seconds
        asked.append(outage.may_try())
    assert [False, False, True, False, False, True] == asked
    assert outage.resting
    outage.failed(OSError())
    clock.now += PAUSE - 0.1
    assert outage.resting
    clock.now += 0.1
    assert (True, False) == (outage.gone, outage.resting)
    assert outage.may_try()
    outage.worked()
    assert [True] * 3 == [outage.may_try() for _ in range(3)]


def test_its_user_may_know_better_than_the_number(clock):
    """One failure may be enough and a hundred too few; once it is gone, each is another pause."""
    outage = Outage(LOST, FOUND, clock=clock)
    pauses: list[float] = []
    for _ in range(20):
        pauses.append(outage.failed(TimeoutError(), lambda seconds: seconds >= 1))
        clock.now += 0.1
    assert [0.0] * 10 + [PAUSE] * 10 == pauses
    outage.worked()
    assert outage.failed(TimeoutError(), lambda seconds: seconds >= 1) == 0.0
    assert PAUSE == outage.failed(TimeoutError(), lambda _: True)
    assert PAUSE == outage.failed(TimeoutError(), lambda _: False)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (RuntimeError("OOM at redis://u:CANARY@host"), "RuntimeError: OOM"),
        (ConnectionError("redis://u:CANARY@host is gone"), "ConnectionError"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_reason_is_the_systems_own_or_a_code(problem, expected):
    """The class of the error, with what the system says or a server's code; never what else a server says."""
    assert expected == said(problem)


def test_threads_that_fail_at_once_say_it_once(caplog):
    """All failures are counted, one line is written, and one of the threads may look."""
    caplog.set_level(logging.WARNING, "llmswitch")
    clock = Clock()
    outage, ready = Outage(LOST, FOUND, clock=clock), Barrier(8)
    looked: list[bool] = []

    def use() -> None:
        ready.wait(5)
        for _ in range(100):
            outage.failed(OSError())
        if ready.wait(5) == 0:
            clock.now += PAUSE
        ready.wait(5)
        looked.append(outage.may_try())

    threads = [Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (800, 1, 1) == (outage.counts["OSError"], len(caplog.records), sum(looked))

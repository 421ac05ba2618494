"""
What one of several processes has reserved and spent: with the store, and by its share where that does not answer.

It does no I/O and never waits. All of it but `ended` is guarded by the lock of the counters that it belongs to.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from ._allowance import Charge
from ._counter_store import Taken
from ._counters import NOTHING, Answer, Reservation, lost_at, worst
from ._outbox import Outbox
from ._question import Question
from ._redis_counters import GRACE
from ._shares import Shares

__all__ = ["Books"]

_Ended: TypeAlias = tuple[Reservation, tuple[int, ...]]


class Books:
    """
    `ended`: reservations that were settled, and questions that nobody waits for, since the last look at them. It is
    appended to without the lock, by whoever ends a call: that may be the garbage collector.
    """

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.shares = Shares(self.outbox.unwritten)
        self.ended: deque[_Ended | Question] = deque()
        self._era = 0

    def forked(self) -> Books:
        """For a forked child: what is known stays known; what is reserved is the parent's."""
        child = Books()
        child.shares, child._era = self.shares.forked(child.outbox.unwritten), self._era + 1
        return child

    def reserve(self, question: Question, now: int) -> Answer:
        """Reserve without the store what a question asks for; nothing for one that only looks."""
        wants = question.wants
        self.take_in(now)
        denials = [denied for want in wants if (denied := self.shares.room(want, now)) is not None]
        if denials:
            return worst(denials)
        if question.look:
            return NOTHING
        ends = lost_at(now, question.lease)
        charges = tuple(
            Charge(want.allowance, want.amount, self.shares.start(want.allowance, now), ends) for want in wants
        )
        reservation = Reservation(secrets.token_hex(16), charges, ends + GRACE, local=True, era=self._era)
        self.outbox.opened(reservation, now)
        for charge in charges:
            self.shares.took(charge, now)
        return reservation

    def taken(self, question: Question, taken: Taken, now: int) -> Reservation:
        """The store has reserved it."""
        if question.look:
            return NOTHING
        for charge in taken.charges:
            self.shares.took(charge, now)
        kept = max(charge.ends for charge in taken.charges) + GRACE
        return Reservation(question.token, taken.charges, kept, era=self._era)

    def take_in(self, now: int) -> None:
        """Take note of what ended."""
        while self.ended:
            ended = self.ended.popleft()
            if isinstance(ended, Question):
                self.forget(ended, now)
                continue
            reservation, actuals = ended
            if not reservation.ended and reservation.era == self._era:
                self._end(reservation, actuals, now)

    def forget(self, question: Question, now: int) -> None:
        """Give back what was reserved for a call that is gone."""
        if isinstance(question.answer, Reservation):
            if not question.answer.ended:
                self._end(question.answer, (0,) * len(question.answer.charges), now)
        elif question.answer is None and question.asked:
            self.give_back_unsure(question, now)

    def give_back_unsure(self, question: Question, now: int) -> None:
        """Give back what the store may have reserved, or may yet, for a question that was answered without it."""
        if question.look:
            return
        charges = tuple(Charge(want.allowance, want.amount, 0, 0) for want in question.wants)
        unsure = Reservation(question.token, charges, now + GRACE, era=self._era)
        self._end(unsure, (0,) * len(charges), now)

    def _end(self, reservation: Reservation, actuals: Sequence[int], now: int) -> None:
        reservation.ended = True
        for charge, actual in zip(reservation.charges, actuals, strict=True):
            self.shares.settled(charge, actual, now)
        self.outbox.ended(reservation, actuals, now)

"""A reservation that a call waits for while a thread asks the store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from math import inf
from time import monotonic
from typing import Protocol

from ._allowance import Want
from ._counters import Answer

__all__ = ["Question"]

PATIENCE = 0.05  # seconds that a call waits where only rates are at stake, which the vendor keeps as well
EXACT = 0.5  # and where a budget is: longer than it takes to notice that the store is gone
LONGEST = 5.0  # while the store answers others, and only this process is slow


class _Counters(Protocol):
    def late(self, question: Question, *, patient: bool) -> Answer | None: ...

    def abandon(self, question: Question) -> None: ...


class Question:
    """A reservation that the store is asked for; `Asked`. `look`: only whether it would be made."""

    __slots__ = ("_counters", "abandoned", "answer", "asked", "exact", "future", "lease", "look", "token", "wants")

    def __init__(self, counters: _Counters, wants: Sequence[Want], lease: float, *, look: bool = False) -> None:
        self._counters = counters
        self.look = look
        self.exact = any(want.allowance.kind == "budget" and not want.allowance.fail_open for want in wants)
        self.token = secrets.token_hex(16)
        self.wants = tuple(wants)
        self.lease = lease
        self.future: Future[Answer] = Future()
        self.answer: Answer | None = None
        self.asked = 0  # how often it was sent
        self.abandoned = False

    def wait(self, most: float = inf) -> Answer:
        """`Asked.wait`."""
        for seconds, patient in self._waits(most):
            try:
                return self.future.result(seconds)
            except TimeoutError:
                answer = self._counters.late(self, patient=patient)
                if answer is not None:
                    return answer
            except BaseException:
                self._counters.abandon(self)
                raise
        raise AssertionError("the last wait is not a patient one")

    async def awaited(self, most: float = inf) -> Answer:
        """`Asked.awaited`."""
        import asyncio

        future = asyncio.wrap_future(self.future)
        try:
            for seconds, patient in self._waits(most):
                await asyncio.wait({future}, timeout=seconds)
                if future.done():
                    return future.result()
                answer = self._counters.late(self, patient=patient)
                if answer is not None:
                    return answer
        except BaseException:
            self._counters.abandon(self)
            raise
        finally:
            future.cancel()
        raise AssertionError("the last wait is not a patient one")

    def _waits(self, most: float = inf) -> Iterator[tuple[float, bool]]:
        """How long to wait, and whether to go on waiting then if the store is not gone; `most` seconds in all."""
        if not self.exact:
            yield min(PATIENCE, most), False
            return
        ends = monotonic() + min(LONGEST, most)
        yield min(EXACT, most), True
        while ends - monotonic() > PATIENCE:
            yield PATIENCE, True
        yield max(0.0, ends - monotonic()), False

    def conclude(self, answer: Answer) -> None:
        """Say the answer; called under the lock of the counters."""
        self.answer = answer
        try:
            self.future.set_result(answer)
        except InvalidStateError:  # the task that waits is being cancelled, and gives the answer back
            pass

"""A reservation that a call waits for while a thread asks the store."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Protocol

from ._allowance import Want
from ._counters import Answer

__all__ = ["EXACT", "PATIENCE", "Question"]

PATIENCE = 0.05  # seconds that a call waits where only rates are at stake, which the vendor keeps as well
EXACT = 0.5  # and where a budget is: until the store counts as gone


class _Counters(Protocol):
    def late(self, question: Question) -> Answer: ...

    def abandon(self, question: Question) -> None: ...


class Question:
    """A reservation that the store is asked for; `Asked`."""

    __slots__ = ("_counters", "_patience", "abandoned", "answer", "asked", "future", "lease", "token", "wants")

    def __init__(self, counters: _Counters, wants: Sequence[Want], lease: float) -> None:
        self._counters = counters
        exact = any(want.allowance.kind == "budget" and not want.allowance.fail_open for want in wants)
        self._patience = EXACT if exact else PATIENCE
        self.token = secrets.token_hex(16)
        self.wants = tuple(wants)
        self.lease = lease
        self.future: Future[Answer] = Future()
        self.answer: Answer | None = None
        self.asked = 0  # how often it was sent
        self.abandoned = False

    def wait(self) -> Answer:
        """`Asked.wait`."""
        try:
            return self.future.result(self._patience)
        except TimeoutError:
            return self._counters.late(self)
        except BaseException:
            self._counters.abandon(self)
            raise

    async def awaited(self) -> Answer:
        """`Asked.awaited`."""
        import asyncio

        future = asyncio.wrap_future(self.future)
        try:
            await asyncio.wait({future}, timeout=self._patience)
        except BaseException:
            self._counters.abandon(self)
            future.cancel()
            raise
        if future.done():
            return future.result()
        future.cancel()
        return self._counters.late(self)

    def conclude(self, answer: Answer) -> None:
        """Say the answer; called under the lock of the counters."""
        self.answer = answer
        try:
            self.future.set_result(answer)
        except InvalidStateError:  # the task that waits is being cancelled, and gives the answer back
            pass

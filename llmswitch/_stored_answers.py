"""
Answers in a file or a server. A thread of its own reads and writes; a call waits for it for a moment at the most.

Where it fails or is slow, calls go past it, and the log says so once.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from time import monotonic
from typing import Literal, Protocol, TypeAlias

from ._errors import LLMSwitchError
from ._outage import Outage, said

__all__ = ["AnswerStore", "StoredAnswers"]

MOMENT = 0.05  # seconds that a call waits for its answer
SLOW = 1.0  # seconds in which every answer came too late, after which calls go past it
HANGS = 0.25  # or seconds that one order takes
CLEARING = 5.0  # seconds
LEAVING = 0.5  # seconds that what is still to be written may hold up the end of a process
WAITING = 16 * 1024 * 1024  # bytes that may wait to be written; more is not kept
BATCH = 500  # of what waits, at a time


class AnswerStore(Protocol):
    """Where answers lie. Opened and used by one thread, which is not that of a call; any method may raise anything."""

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each key, and not too old."""

    def write(self, answers: Sequence[tuple[str, bytes]]) -> None:
        """Keep each answer under its key, in place of what was there."""

    def clear(self) -> None:
        """Forget all."""

    def close(self) -> None:
        """Let go of it."""


class StoredAnswers:
    """
    `Answers` in what `opened` opens; nothing is opened, and no thread started, before the first call.

    `counts`: how often it failed, by class of the error, and how many answers were `dropped` since too many waited.
    """

    def __init__(self, opened: Callable[[], AnswerStore], clock: Callable[[], float] = monotonic) -> None:
        self._opened = opened
        self._clock = clock
        self._desk: _Desk | None = None
        self._ends: weakref.finalize[..., StoredAnswers] | None = None
        self.after_fork()
        _every.add(self)

    def after_fork(self) -> None:
        """Begin anew. What the parent has open is kept as it is: to close it here would be felt there."""
        if self._desk is not None:
            _inherited.append(self._desk)
        self._part()
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self._reading, self._writing = (
            Outage(
                f"the cache can't be {used} (%s): calls go past it",
                f"the cache can be {used} again, after %d failures",
                clock=self._clock,
                counts=self.counts,
            )
            for used in ("read", "written")
        )

    def find(self, key: str) -> _Finding:
        """`Answers.find`."""
        return _Finding(self, key)

    def keep(self, key: str, answer: bytes) -> None:
        """`Answers.keep`; the thread writes it."""
        if self._writing.may_try() and not self._put(("write", (key, answer))):
            self.counts["dropped"] += 1

    def clear(self) -> None:
        """`Answers.clear`."""
        done: Future[None] = Future()
        problem: Exception | None = None
        try:
            if self._put(("clear", done)):
                done.result(CLEARING)
                return
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises
            problem = error
        why = "no thread can be started" if problem is None else said(problem)
        raise LLMSwitchError(f"the cache could not be emptied ({why}): what it holds stays until its time is over")

    def close(self, wait: float = 0.0) -> None:
        """`Answers.close`."""
        with self._lock:
            desk = self._desk
            self._part()
        if desk is not None:
            desk.stop(wait)

    def _part(self) -> None:
        """From the thread, if there is one."""
        self._desk = None
        if self._ends is not None:
            self._ends.detach()

    def ask(self, key: str) -> Future[bytes | None] | None:
        """The answer to come; `None` where there is no way to it."""
        asked: Future[bytes | None] = Future()
        return asked if self._reading.may_try() and self._put(("read", (key, asked))) else None

    def taken(self, asked: Future[bytes | None]) -> bytes | None:
        """What came of asking, now that the time is over that a call has for it."""
        if asked.cancel() or not asked.done():
            desk = self._desk  # a busy process may be the reason, unless one order hangs
            hangs = desk is not None and desk.hangs
            self._reading.failed(TimeoutError(), lambda seconds: hangs or seconds >= SLOW)
            return None
        try:
            found = asked.result()
        except Exception:  # noqa: BLE001 - the thread has noted it
            return None
        self._reading.worked()
        return found

    def _put(self, order: _Order) -> bool:
        with self._lock:
            if self._desk is None:
                desk = _Desk(self._opened, self._reading, self._writing, self._clock)
                if not desk.start():
                    self.counts["RuntimeError"] += 1
                    return False
                self._desk = desk
                self._ends = weakref.finalize(self, desk.stop)
                self._ends.atexit = False  # see below
            return self._desk.put(order)


class _Finding:
    """An answer that the thread looks up."""

    __slots__ = ("_answers", "_key")

    def __init__(self, answers: StoredAnswers, key: str) -> None:
        self._answers = answers
        self._key = key

    def perform(self) -> bytes | None:
        asked = self._answers.ask(self._key)
        if asked is None:
            return None
        wait([asked], MOMENT)
        return self._answers.taken(asked)

    async def aperform(self) -> bytes | None:
        import asyncio

        asked = self._answers.ask(self._key)
        if asked is None:
            return None
        waited = asyncio.wrap_future(asked)
        waited.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is looked at below
        try:
            await asyncio.wait([waited], timeout=MOMENT)
        except BaseException:
            asked.cancel()
            raise
        return self._answers.taken(asked)  # where the loop was busy, it may be there by now


_Order: TypeAlias = (
    tuple[Literal["read"], tuple[str, "Future[bytes | None]"]]
    | tuple[Literal["write"], tuple[str, bytes]]
    | tuple[Literal["clear"], "Future[None]"]
)


class _Desk:
    """The thread, the orders that wait for it, and what it has open."""

    def __init__(
        self, opened: Callable[[], AnswerStore], reading: Outage, writing: Outage, clock: Callable[[], float]
    ) -> None:
        self._opened = opened
        self._reading = reading
        self._writing = writing
        self._clock = clock
        self._busy: float | None = None  # since when
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._store: AnswerStore | None = None
        self._thread = threading.Thread(target=self._run, name="llmswitch-cache", daemon=True)

    @property
    def hangs(self) -> bool:
        """Whether what it does now takes too long."""
        busy = self._busy
        return busy is not None and self._clock() - busy >= HANGS

    def start(self) -> bool:
        """Whether there is a thread to be had."""
        try:
            self._thread.start()
        except RuntimeError:  # none, or the interpreter ends: the call goes on
            return False
        _desks.add(self)
        return True

    def put(self, order: _Order) -> bool:
        """Whether there is room for it."""
        if order[0] == "write":
            with self._lock:
                if self._waiting > WAITING:
                    return False
                self._waiting += len(order[1][1])
        self._orders.put(order)
        return True

    def stop(self, wait: float = 0.0) -> None:
        """Do what was ordered, and end."""
        self._orders.put(None)
        if wait and self._thread is not threading.current_thread():
            self._thread.join(wait)

    def _run(self) -> None:
        ends = False
        while not ends:
            orders = [self._orders.get()]
            while len(orders) < BATCH and not self._orders.empty():
                orders.append(self._orders.get())
            ends = None in orders
            self._carry_out([order for order in orders if order is not None])
        if self._store is not None:
            try:
                self._store.close()
            except Exception as problem:  # noqa: BLE001 - as everywhere: the process goes on
                self._writing.failed(problem)

    def _carry_out(self, orders: Sequence[_Order]) -> None:
        """Who waits is served first."""
        self._busy = self._clock()
        self._read([order[1] for order in orders if order[0] == "read"])
        self._busy = self._clock()
        self._write([order[1] for order in orders if order[0] == "write"])
        self._busy = None  # to clear may take its time
        for order in orders:
            if order[0] == "clear" and order[1].set_running_or_notify_cancel():
                try:
                    self._open().clear()
                    order[1].set_result(None)
                except Exception as problem:  # noqa: BLE001 - told to who ordered it
                    order[1].set_exception(problem)

    def _read(self, asked: Sequence[tuple[str, Future[bytes | None]]]) -> None:
        wanted = [(key, answer) for key, answer in asked if answer.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            found = self._open().read([key for key, _ in wanted])
        except Exception as problem:  # noqa: BLE001 - whatever a store's library raises, the process goes on
            self._reading.failed(problem)
            for _, answer in wanted:
                answer.set_exception(problem)
        else:
            for (_, answer), raw in zip(wanted, found, strict=True):
                answer.set_result(raw)

    def _write(self, answers: Sequence[tuple[str, bytes]]) -> None:
        if not answers:
            return
        with self._lock:
            self._waiting -= sum(len(answer) for _, answer in answers)
        try:
            self._open().write(answers)
        except Exception as problem:  # noqa: BLE001 - as above
            self._writing.failed(problem)
        else:
            self._writing.worked()

    def _open(self) -> AnswerStore:
        if self._store is None:
            self._store = self._opened()
        return self._store


_every: weakref.WeakSet[StoredAnswers] = weakref.WeakSet()
_desks: weakref.WeakSet[_Desk] = weakref.WeakSet()
_inherited: list[_Desk] = []


@atexit.register
def _leave_all() -> None:
    """What a short program has just been answered is written before it ends."""
    desks = list(_desks)
    for desk in desks:
        desk.stop()
    ends = monotonic() + LEAVING
    for desk in desks:
        desk.stop(max(0.001, ends - monotonic()))


def _after_fork() -> None:
    _desks.clear()
    for answers in list(_every):
        answers.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""
Allowances that several processes count together in a store, so that all of them keep within it as if they were one.

A call waits for the store's answer, since a bound that holds is worth a moment. A thread carries the questions of all
calls of this process to the store, many at a time; nothing else is waited for. Where the store does not answer, each
process goes on with its share of what was left, and tells afterwards what it spent.
"""

from __future__ import annotations

import atexit
import queue
import secrets
import threading
import weakref
from collections.abc import Callable, Sequence
from time import monotonic

from ._allowance import Allowance, Denied, Seen, Want
from ._books import Books
from ._counter_store import CounterStore, Give, Order, Result, Shut, Take, Taken, View, edges
from ._counters import Answer, Answered, Reservation, shut_until
from ._outage import FAILURES, Outage
from ._question import Question
from ._window import Sliding, steady

__all__ = ["SharedCounters"]

SILENCE = 0.45  # seconds without an answer, after which a store counts as gone that one more failure would lose
DEAF = 2.0  # or so many, where not even a failure comes back
BEAT = 5.0  # seconds after which a process says that it is there, and looks at what the others spent
GAP = 0.05  # seconds for which what is to be told, and nobody waits for, is gathered
SLICE = 0.05  # seconds for which telling it may hold up the end of a process
BATCH = 100


class SharedCounters:
    """
    `Counters` on a store that `opened` opens, given a name for this process. `clock`: milliseconds since 1970, until
    the store has told its own. `outage`: whether it can be used.
    """

    def __init__(self, opened: Callable[[str], CounterStore], clock: Callable[[], int] = steady) -> None:
        self._opened = opened
        self._clock = clock
        self._offset = 0  # milliseconds by which the store's clock is ahead
        self._begin(None)

    def _begin(self, parent: Books | None) -> None:
        self.outage = Outage(
            "the store can't be used (%s): limits and budgets are kept by each process's share",
            "the store can be used again, after %d failures: limits and budgets are counted together",
        )
        self._lock = threading.Lock()
        self._books = Books() if parent is None else parent.forked()
        self._shares, self._outbox = self._books.shares, self._books.outbox
        self._watched: dict[str, Allowance] = {}
        self._edges: dict[str, tuple[int, ...]] = {}
        self._shuts: dict[str, Shut] = {}
        self._pending: list[Question] = []
        self._asked: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._called = False
        self._silent_since: float | None = None
        self._beaten = float("-inf")
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stopping = False

    def after_fork(self) -> None:
        """`Counters.after_fork`: no thread and no connection of the parent's either."""
        self._begin(self._books)

    # From the threads of calls

    def ask(self, wants: Sequence[Want], lease: float, *, look: bool = False) -> Question | Answered:
        """`Counters.ask`."""
        question = Question(self, wants, lease, look=look)
        if self.outage.gone:
            self._start()  # somebody has to see when it is back
        else:
            self._asked.put(question)  # first, since a thread that ends looks here before it does
            if self._start():
                return question
            question.abandoned = True
        with self._lock:
            return Answered(self._alone(question))

    def settle(self, reservation: Reservation, actuals: Sequence[int]) -> None:
        """`Counters.settle`; the thread tells the store."""
        self._books.ended.append((reservation, tuple(actuals)))
        self._wake()

    def abandon(self, question: Question) -> None:
        """Nobody waits for this answer any longer. As `settle`, this may be called from anywhere."""
        question.abandoned = True
        self._books.ended.append(question)
        self._wake()

    def late(self, question: Question, *, patient: bool) -> Answer | None:
        """The answer in place of one that did not come; `None` for who is `patient`, unless the store is gone."""
        if question.answer is None and not self.outage.gone and self._silent():
            self._failed(TimeoutError(), lambda _: self._silent())
        with self._lock:
            answer = question.answer
            if answer is None and not (patient and not self.outage.gone):
                self.abandon(question)
                answer = self._alone(question)
        return answer

    def _silent(self) -> bool:
        since = self._silent_since
        return since is not None and monotonic() - since >= (SILENCE if self.outage.failures >= FAILURES - 1 else DEAF)

    def shut(self, allowance: Allowance, seconds: float | None) -> None:
        """`Counters.shut`."""
        with self._lock:
            until = shut_until(allowance, seconds, self._now())
            self._shares.shut(allowance, until)
            before = self._shuts.get(allowance.name)
            longer = max(until, before.until) if before is not None and until else until
            self._shuts[allowance.name] = Shut(allowance, longer)
        self._wake()

    def seen(self, allowance: Allowance) -> Seen | None:
        """`Counters.seen`: as of the last answer."""
        with self._lock:
            return self._shares.seen(allowance, self._now())

    def _now(self) -> int:
        return self._clock() + self._offset

    def _alone(self, question: Question) -> Answer:
        answer = self._books.reserve(question, self._now())
        self._wake()  # the others are to hear of it, if they can
        return answer

    # The thread

    def _wake(self) -> None:
        if not self._called:
            self._called = True
            self._asked.put(None)

    def _start(self) -> bool:
        """Run the thread, unless it runs. It is not run before there is a call, so that a fork finds none."""
        if self._thread is not None:
            return True
        with self._starting:
            if self._thread is None:
                self._stopping = False
                thread = self._thread = threading.Thread(target=self._run, name="llmswitch-counters", daemon=True)
                try:
                    thread.start()
                except RuntimeError as problem:  # no thread to be had, or the interpreter ends: the call goes on
                    self.outage.counts[type(problem).__name__] += 1
                    self._thread = None
                    return False
                _running.add(self)
        return True

    def close(self, wait: float = 0.0) -> None:
        """`Counters.close`: what is to be told is told, and this process is no longer counted."""
        thread = self._thread
        if thread is None:
            return
        self._stopping = True
        self._asked.put(None)
        if wait and thread is not threading.current_thread():
            thread.join(wait)

    def _run(self) -> None:
        try:
            store = self._opened(secrets.token_hex(8))
            try:
                while not self._ended_here():
                    while not self._stopping:
                        self._wait(self.turn(store))
                    self._leave(store)
            finally:
                store.close()
        except BaseException:
            self._thread = None  # the next call starts another one
            raise

    def _ended_here(self) -> bool:
        """Whether this thread has nothing left to do. Who asked while it was being stopped is answered first."""
        with self._starting:
            if not self._stopping:
                return False
            self._thread = None
            self._wait(0.0)
            if all(question.abandoned for question in self._pending):
                return True
            self._thread, self._stopping = threading.current_thread(), False
            return False

    def _wait(self, seconds: float) -> None:
        """Gather questions, for so long as there is none."""
        began = monotonic()
        while True:
            left = began + seconds - monotonic()
            try:
                question = self._asked.get(timeout=left) if left > 0 else self._asked.get_nowait()
            except queue.Empty:
                return
            if self._stopping:
                seconds = 0.0
            elif question is None and not self.outage.gone:  # else nothing that happens here brings the store back
                seconds = min(seconds, GAP)
            if question is not None:
                with self._lock:
                    self._pending.append(question)
                    if self.outage.gone:
                        self._answer_pending()
                    else:
                        seconds = 0.0

    def turn(self, store: CounterStore) -> float:
        """Make a round: ask and tell the store what there is, and take note where it fails. Seconds until the next."""
        beat = monotonic() - self._beaten >= BEAT
        with self._lock:
            self._called = False
            orders, questions = self._gather()
            if not orders and not beat and not self.outage.gone:
                return max(0.0, self._beaten + BEAT - monotonic())
            views = self._views(orders, everything=beat)
            if self._silent_since is None:
                self._silent_since = monotonic()
        try:
            report = store.carry_out(views, orders, beat=beat)
        except Exception as problem:  # noqa: BLE001 - whatever a store's library raises, the process goes on
            return self._failed(problem)
        self._silent_since = None  # first, or who waits could lose the store that has just been found
        self.outage.worked()
        with self._lock:
            if beat:
                self._beaten = monotonic()
            self._offset = report.now - self._clock()
            self._shares.learn(report)
            self._told(orders, report.results)
            for question, result in zip(questions, report.results[len(orders) - len(questions) :], strict=True):
                self._deliver(question, result, report.now)
            more = bool(self._pending or self._shuts or len(self._outbox))
        return 0.0 if more else max(0.0, self._beaten + BEAT - monotonic())

    def _gather(self) -> tuple[list[Order], list[Question]]:
        """What there is to order: last of all what these questions ask."""
        now = self._now()
        self._books.take_in(now)
        self._pending = [question for question in self._pending if not question.abandoned]
        questions = self._pending[:BATCH]
        orders: list[Order] = [*self._shuts.values(), *self._outbox.batch(BATCH, now)]
        for question in questions:
            question.asked += 1
            orders.append(Take(question.token, question.wants, question.lease, question.look))
        return orders, questions

    def _told(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        done = [order for order, result in zip(orders, results, strict=True) if result is not None]
        self._outbox.written([order for order in done if isinstance(order, Give)])
        for order in done:
            if isinstance(order, Shut) and self._shuts.get(order.allowance.name) is order:
                del self._shuts[order.allowance.name]

    def _views(self, orders: Sequence[Order], *, everything: bool) -> list[View]:
        """Of all that the orders have to do with; of `everything` that this process has had to do with."""
        found: dict[str, Allowance] = dict(self._watched) if everything else {}
        for order in orders:
            if isinstance(order, Take):
                found.update((want.allowance.name, want.allowance) for want in order.wants)
            elif isinstance(order, Give):
                found.update((charge.allowance.name, charge.allowance) for charge in order.charges)
            else:
                found[order.allowance.name] = order.allowance
        self._watched.update((name, each) for name, each in found.items() if not isinstance(each.window, Sliding))
        now, known = self._now(), self._shares.known
        return [View(each, self._around(each, now), known.get(name)) for name, each in found.items()]

    def _around(self, allowance: Allowance, now: int) -> tuple[int, ...]:
        known = self._edges.get(allowance.name, ())
        if len(known) < 2 or not known[0] <= now < known[1]:
            known = self._edges[allowance.name] = edges(allowance.window, now)
        return known

    def _deliver(self, question: Question, result: Result, now: int) -> None:
        if question not in self._pending or question.abandoned:
            return  # it was answered otherwise, and what the store may have reserved for it is being given back
        if result is None and question.asked < FAILURES:
            return  # the windows were reckoned by a clock that is not the store's; now it is known
        self._pending.remove(question)
        if isinstance(result, Taken):
            question.conclude(self._books.taken(question, result, now))
        else:
            question.conclude(result if isinstance(result, Denied) else self._alone(question))

    def _failed(self, problem: Exception, enough: Callable[[float], bool] | None = None) -> float:
        """Without the lock, since whoever listens to the log may take his time, or make a call."""
        pause = self.outage.failed(problem, enough)
        if pause:
            with self._lock:
                self._answer_pending()
        return pause

    def _answer_pending(self) -> None:
        """Nobody waits for a store that is gone."""
        pending, self._pending = self._pending, []
        now = self._now()
        for question in pending:
            if question.asked:
                self._books.give_back_unsure(question, now)
            if not question.abandoned:
                question.conclude(self._alone(question))

    def _leave(self, store: CounterStore) -> None:
        ends = monotonic() + SLICE
        try:
            while True:
                with self._lock:
                    now = self._now()
                    self._books.take_in(now)
                    gives = self._outbox.batch(BATCH, now)
                    views = self._views(gives, everything=False)
                report = store.carry_out(views, gives, leave=True)
                with self._lock:
                    self._told(gives, report.results)
                    if not len(self._outbox) or monotonic() >= ends:
                        return
        except Exception as problem:  # noqa: BLE001 - as above; leases end by themselves
            self.outage.counts[type(problem).__name__] += 1


_running: weakref.WeakSet[SharedCounters] = weakref.WeakSet()


@atexit.register
def _leave_all() -> None:
    for counters in list(_running):
        counters.close(SLICE)

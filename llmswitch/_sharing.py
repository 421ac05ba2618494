"""
The thread that keeps a process and its store in step. No call waits for it: calls read and write memory alone.

More than once a second, and soon after something has changed here, it makes a round: it reads what the others said,
writes what is to be told, and sees to the leases. Where rounds fail, the process goes on with what it knows.
"""

from __future__ import annotations

import atexit
import queue
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from ._fleet import FRESH, Fleet, Step
from ._ledger import Ledger
from ._outage import Outage
from ._store import Store

if TYPE_CHECKING:
    from ._health import Health

__all__ = ["Sharing"]

PERIOD = 0.8  # seconds from one round to the next, so that what is known is no older than a second
GAP = 0.05  # seconds between rounds, however much happens
SLICE = 0.05  # seconds of writing before the others are heard again; so long, too, may it hold up the end of a process
BATCH = 100  # records at a time, so that the lock is never held for long
AWAY = 1.0  # seconds: an answer that took longer is too old to set the clock by


class Sharing:
    """
    `opened` opens the store. `egress` names the way by which this process reaches the vendors: what is known of an
    endpoint is shared by those of the same way, and without a name by those of this machine.
    `outage`: whether the store can be used.
    """

    def __init__(self, opened: Callable[[], Store], *, egress: str | None = None, machine: str | None = None) -> None:
        machine = machine or socket.gethostname()
        self._opened = opened
        self._begin(Fleet(machine, egress or machine, self.wake), Ledger())

    def _begin(self, fleet: Fleet, ledger: Ledger) -> None:
        self.fleet = fleet
        self.outage = Outage(
            "the store can't be used (%s): each process goes on with what it knows",
            "the store can be used again, after %d failures: what each process learns is shared",
        )
        self._ledger = ledger
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stopping = False
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._called = False

    def bind(self, health: Health, lock: AbstractContextManager[Any], clock: Callable[[], float]) -> None:
        """Serve this `Health`, whose lock guards the fleet."""
        self._health = weakref.ref(health)
        self._lock = lock
        self._clock = clock

    def after_fork(self, lock: AbstractContextManager[Any]) -> None:
        """In a forked child: no thread, no connection and no lease of the parent's."""
        self._lock = lock
        self._begin(self.fleet.forked(self.wake), self._ledger.forked())

    # From the threads of calls

    def wake(self) -> None:
        """Have a round made soon."""
        if not self._called:
            self._called = True
            self._calls.put(None)

    def start(self) -> None:
        """Run the thread, unless it runs. It is not run before there is a call, so that a fork finds none."""
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                self._stopping = False
                thread = self._thread = threading.Thread(target=self._run, name="llmswitch-store", daemon=True)
                try:
                    thread.start()
                except RuntimeError as problem:  # no thread to be had, or the interpreter ends: the call goes on
                    self.outage.counts[type(problem).__name__] += 1
                    self._thread = None
                else:
                    _running.add(self)

    def await_news(self, most: float) -> None:
        """Wait until the store has told what it knows, or is gone; `most` seconds at the most."""
        ends = monotonic() + most
        while self.fleet.fresh_until == float("-inf") and not self.outage.gone and monotonic() < ends:
            sleep(0.005)

    def stop(self, wait: float = 0.0) -> None:
        """Tell what is still to be told, give leases back, and end. Waits so many seconds for it at the most."""
        thread = self._thread
        if thread is None:
            return
        self._stopping = True
        self._calls.put(None)
        if wait and thread is not threading.current_thread():
            thread.join(wait)

    # The thread

    def _run(self) -> None:
        store = self._opened()
        try:
            while not self._stopping:
                health = self._health()
                if health is None:
                    break
                pause = self.turn(store, health)
                del health  # it may go while this thread waits
                self._wait(pause)
            self._leave(store)
        finally:
            self.fleet.fresh_until = float("-inf")
            self._thread = None
            store.close()

    def turn(self, store: Store, health: Health) -> float:
        """Make a round, and take note where it fails; seconds until the next one."""
        self._called = False
        try:
            self._round(store, health)
        except Exception as problem:  # noqa: BLE001 - whatever a store's library raises, the process goes on
            pause = self.outage.failed(problem)
            if pause:
                self.fleet.fresh_until = float("-inf")
            return pause
        self.outage.worked()
        return health.lease_due(GAP if self._ledger.unwritten or self.fleet.untold else PERIOD)

    def _round(self, store: Store, health: Health) -> None:
        with self._lock:
            watched = dict(self.fleet.watched)
        asked = self._clock()
        clock, raws = store.read(list(watched.values()))
        now = self._clock()
        if now - asked > AWAY:
            return
        news = self._ledger.read(list(watched), raws, clock, now)
        for start in range(0, len(news), BATCH):
            health.learn(news[start : start + BATCH], clock, now)
        self._write(store)
        for step in health.lease_steps(self._ledger.unwritten):
            self._take(store, step)
        with self._lock:
            self.fleet.fresh_until = now + FRESH

    def _write(self, store: Store) -> None:
        ends = self._clock() + SLICE
        while True:
            with self._lock:
                told = self.fleet.outgoing(BATCH)
            now = self._clock()
            self._ledger.note(told)
            batch = self._ledger.batch(self.fleet.watched, BATCH, now)
            if batch:
                store.write([(name, record) for _, name, record in batch])
                self._ledger.written(batch)
            if not (told or self._ledger.unwritten) or now >= ends:
                return

    def _take(self, store: Store, step: Step) -> None:
        asked = self._clock()
        granted = True
        if step.seconds:
            granted = store.hold(step.name, step.token, step.seconds)
        else:
            store.free(step.name, step.token)
        with self._lock:
            self.fleet.stepped(step, asked, granted=granted)

    def _leave(self, store: Store) -> None:
        if self.outage.gone or self._ledger.offset is None:
            return
        try:
            self._write(store)
            with self._lock:
                steps = self.fleet.leaving()
            for step in steps:
                self._take(store, step)
        except Exception as problem:  # noqa: BLE001 - as above; leases end by themselves
            self.outage.counts[type(problem).__name__] += 1

    def _wait(self, seconds: float) -> None:
        began = monotonic()
        while not self._stopping and (left := began + seconds - monotonic()) > 0:
            try:
                self._calls.get(timeout=left)
            except queue.Empty:
                return
            if not self.outage.gone:  # else nothing that happens here brings it back
                seconds = min(seconds, GAP)


_running: weakref.WeakSet[Sharing] = weakref.WeakSet()


@atexit.register
def _leave_all() -> None:
    for sharing in list(_running):
        sharing.stop(SLICE)
